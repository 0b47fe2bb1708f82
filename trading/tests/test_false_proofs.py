"""What a platform that lies could show: proofs whose hashes all fit, made by whoever makes the roots.

Each is built like a genuine one from books that are false in one place; only what the script knows of a ledger's
meaning can find it.
"""

import importlib.util
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from astrade.core.clock import to_ms
from trading.domain.ledger import Line, canonical_text, fixed, text_hash
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.merkle import HASH_BYTES, leaf_hash, root_hash, siblings, tree_levels
from trading.models.account import GENESIS_HASH
from trading.tests.api.test_proofs import SCRIPT

spec = importlib.util.spec_from_file_location("verify_proof", SCRIPT)
assert spec is not None and spec.loader is not None
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)

MINE, OTHER = UUID(int=1), UUID(int=2)
FIRST, DAY, HOUR = datetime(2026, 11, 20, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
Json = Any


@dataclass(frozen=True)
class Entry:
    """A journal entry of the false books: what it does to cash, and what it says the balance is then."""

    number: int
    at: datetime
    amount: str
    balance: str
    account: UUID = MINE
    against: str | None = None  # the other posting's amount, where it isn't the opposite
    previous: str | None = None  # the hash it is chained to, where that isn't the one before it
    cash_lines: int = 1


# Two entries on the day before the first root, one before the second root.
BOOKS = (
    Entry(1, FIRST - 10 * HOUR, "100", "100"),
    Entry(2, FIRST - 9 * HOUR, "-1", "99"),
    Entry(3, FIRST + 5 * HOUR, "-2", "97"),
)


@dataclass(frozen=True)
class Told:
    """What the roots tell of the account: entry, balance and the roots' own days and chain."""

    entry_count: int = 3
    balance: str = "97"
    days: tuple[timedelta, ...] = (timedelta(0), DAY)
    numbers: tuple[int, ...] = (1, 2)
    previous: str | None = None  # the hash the second root is chained to, where that isn't the first one's
    begins_with: str = GENESIS_HASH


def texts_of(books: Sequence[Entry]) -> list[str]:
    """Their canonical texts, each chained to the one before."""
    texts, previous = list[str](), GENESIS_HASH
    for entry in books:
        amount = Decimal(entry.amount)
        against = -amount if entry.against is None else Decimal(entry.against)
        cash = Line(LedgerAccount.CASH, "USD", amount, Decimal(entry.balance))
        lines = (*[cash] * entry.cash_lines, Line(LedgerAccount.EXTERNAL, "USD", against, None))
        text = canonical_text(
            account=entry.account,
            entry=UUID(int=100 + entry.number),
            number=entry.number,
            kind=EntryKind.DEPOSIT,
            reference="any",
            at=entry.at,
            previous_hash=entry.previous or previous,
            lines=lines,
        )
        texts.append(text)
        previous = text_hash(text)
    return texts


def proof_of(
    books: Sequence[Entry] = BOOKS,
    *,
    told: Told | None = None,
    at: datetime = FIRST + 6 * HOUR,
    entry_count: int = 3,
    balance: str = "97",
    shown: slice = slice(None),
    position: int = 1,
    accounts: int = 3,
) -> Json:
    """The proof of a moment on the second day, with all hashes as they have to be."""
    told = told or Told()
    texts = texts_of(books)
    head = text_hash(texts[told.entry_count - 1]) if told.entry_count else GENESIS_HASH
    leaf = {
        "nonce": "ab" * 32,
        "position": position,
        "balance": fixed(Decimal(told.balance)) if told.balance else "",
        "entry_count": told.entry_count,
        "head_hash": head,
    }
    fields = ("leaf", leaf["nonce"], MINE, "USD", leaf["balance"], leaf["entry_count"], leaf["head_hash"])
    mine = leaf_hash("|".join(map(str, fields)))
    leaves = [mine if place == position else leaf_hash(f"another's {place}") for place in range(accounts)]
    levels = tree_levels(b"".join(leaves))
    path = [
        levels[level][place * HASH_BYTES :][:HASH_BYTES].hex() for level, place in siblings(position, size=accounts)
    ]
    roots, previous = list[Json](), told.begins_with
    for number, day in zip(told.numbers, told.days, strict=True):
        named: dict[str, Any] = {"number": number, "accounts": accounts, "root": levels[-1].hex()}
        chained = told.previous if told.previous and roots else previous
        previous = root_hash(at=FIRST + day, previous_hash=chained, **named)
        roots.append(named | {"at": to_ms(FIRST + day), "previous_hash": chained, "hash": previous})
    return {
        "format": "astrade-proof-1",
        "account_id": str(MINE),
        "at": to_ms(at),
        "asset": "USD",
        "balance": balance,
        "entry_count": entry_count,
        "entries": texts[shown],
        "leaf": leaf,
        "path": path,
        "root": told.numbers[-1],
        "roots": roots,
    }


def test_true_books_are_sound_and_named() -> None:
    said = script.verify(proof_of())

    assert said.startswith("97 USD after 3 entries at 2026-11-20T06:00:00+00:00")
    assert f"on account {MINE}, by root 2 of 2026-11-21" in said


@pytest.mark.parametrize(("position", "accounts"), [(place, size) for size in (1, 2, 3, 5) for place in range(size)])
def test_any_leaf_of_any_tree_leads_to_its_root(position: int, accounts: int) -> None:
    assert script.verify(proof_of(position=position, accounts=accounts)).startswith("97 USD")


def changed(index: int, **fields: Any) -> tuple[Entry, ...]:
    """The books with one entry told otherwise."""
    return (*BOOKS[:index], replace(BOOKS[index], **fields), *BOOKS[index + 1 :])


LIES: dict[str, tuple[Json, str]] = {
    "more in the leaf than in the ledger": (
        proof_of(told=Told(balance="1000")),
        "the leaf's hash or balance is not its entry's",
    ),
    "more in the proof than in the ledger": (proof_of(balance="1000"), "the balance is not its entry's"),
    "cash that vanishes between two entries": (
        proof_of(changed(2, balance="9"), told=Told(balance="9"), balance="9"),
        "the balance after entry 3 isn't the one before it with its amount",
    ),
    "cash that was there before the first entry": (
        proof_of(
            (replace(BOOKS[0], balance="200"), replace(BOOKS[1], balance="199"), replace(BOOKS[2], balance="197")),
            told=Told(balance="197"),
            balance="197",
        ),
        "the first balance isn't the first amount",
    ),
    "an entry that doesn't balance": (proof_of(changed(1, against="5")), "entry 2 doesn't balance in USD"),
    "the last entry before the root left out of it": (
        proof_of(told=Told(entry_count=2, balance="99"), at=FIRST - 8 * HOUR, entry_count=2, balance="99"),
        "entry 3 isn't on the right side of the root",
    ),
    "an entry after the root counted in it": (
        proof_of(changed(2, at=FIRST + 2 * DAY), at=FIRST + 3 * DAY),
        "entry 3 isn't on the right side of the root",
    ),
    "an entry left out between moment and root": (
        proof_of(
            (BOOKS[0], replace(BOOKS[2], balance="98")),
            told=Told(entry_count=2, balance="98"),
            balance="98",
        )
        | {"entry_count": 3},
        "entry 2 is missing",
    ),
    "the entry in force not shown": (
        proof_of(shown=slice(2, 3), at=FIRST - 8 * HOUR, entry_count=2, balance="99"),
        "the entry in force at the moment isn't shown",
    ),
    "an earlier balance for the moment": (
        proof_of(entry_count=2, balance="99"),
        "entry 3 isn't on the right side of the moment",
    ),
    "an entry of the very moment counted": (
        proof_of(at=BOOKS[2].at),
        "entry 3 isn't on the right side of the moment",
    ),
    "two lines of cash in an entry": (
        proof_of(changed(1, cash_lines=2, against="2")),
        "entry 2 has 2 lines of cash in USD",
    ),
    "an entry chained to another past": (
        proof_of(changed(2, previous="1" * 64)),
        "entry 3 isn't chained to the one before it",
    ),
    "a past cut off": (
        proof_of((replace(BOOKS[0], previous="1" * 64), *BOOKS[1:])),
        "the chain doesn't begin where it says",
    ),
    "another account's entries": (
        proof_of(tuple(replace(entry, account=OTHER) for entry in BOOKS)),
        "entry 1 is another account's",
    ),
    "another account's leaf": (proof_of() | {"account_id": str(OTHER)}, "entry 1 is another account's"),
    "a root that isn't chained": (proof_of(told=Told(previous="1" * 64)), "root 2 isn't chained"),
    "roots that begin elsewhere": (proof_of(told=Told(begins_with="1" * 64)), "the roots don't begin where they say"),
    "a day without its root": (
        proof_of(told=Told(days=(timedelta(0), 2 * DAY))),
        "root 2 isn't of the day after the one before it",
    ),
    "a root number left out": (proof_of(told=Told(numbers=(1, 3))), "root 2 is missing"),
    "two roots of one day": (
        proof_of(told=Told(days=(DAY, DAY))),
        "root 2 isn't of the day after the one before it",
    ),
    "roots of another hour": (proof_of(told=Told(days=(HOUR, DAY + HOUR))), "root 1 isn't of a midnight"),
    "no such account before the root": (
        proof_of(told=Told(entry_count=0, balance="")),
        "entry 1 isn't on the right side of the root",
    ),
    "a path that goes on above the root": (
        proof_of() | {"path": [*proof_of()["path"], "00" * 32]},
        "the path is too long",
    ),
    "a leaf beyond the tree": (
        proof_of(position=0, accounts=1) | {"leaf": proof_of()["leaf"] | {"position": 1}},
        "the leaf lies outside the tree",
    ),
    "a root under another hash": (
        proof_of() | {"roots": [proof_of()["roots"][0], proof_of()["roots"][1] | {"hash": "1" * 64}]},
        "root 2 isn't its hash's",
    ),
    "a root that isn't shown": (proof_of() | {"root": 9}, "the proof's root isn't among its roots"),
    "another format": (proof_of() | {"format": "astrade-proof-0"}, "this is another format"),
    "the root of a tree the leaf isn't in": (
        proof_of() | {"path": proof_of()["path"][::-1]},
        "the leaf's path doesn't lead to the root",
    ),
}


@pytest.mark.parametrize(("proof", "fault"), LIES.values(), ids=LIES.keys())
def test_a_lie_whose_hashes_fit_is_found_out(proof: Json, fault: str) -> None:
    with pytest.raises(script.Wrong) as found:
        script.verify(proof)

    assert fault in str(found.value)


def test_books_that_were_rewritten_are_found_out_by_a_kept_root() -> None:
    """Whoever rewrites all of it makes a proof that fits in itself: only what was kept doesn't fit to it."""
    kept = proof_of()["roots"]
    rewritten = proof_of(changed(2, amount="-90", balance="9"), told=Told(balance="9"), balance="9")

    assert script.verify(rewritten).startswith("9 USD")
    with pytest.raises(script.Wrong, match="root 1 is not the one you kept"):
        script.verify(rewritten, kept)
    with pytest.raises(script.Wrong, match="none of the kept roots"):
        script.verify(deepcopy(rewritten), [kept[0] | {"number": 9}])
