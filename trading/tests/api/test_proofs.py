"""Proofs of balance over HTTP, and the stand-alone script that checks them: on genuine ones, and on touched ones."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.tests.client import Answer, Api
from astrade.core.clock import from_ms, to_ms
from trading import proofs
from trading.models import BalanceRoot
from trading.services.roots import DAY, make_roots
from trading.tests.api.client import Trader
from trading.tests.backdating import backdate
from trading.tests.conftest import Feed
from trading.tests.factories import open_account
from trading.tests.test_verification import superuser

SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "verify_proof.py"
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)  # the day's that the tests run on
HOUR, MS = timedelta(hours=1), timedelta(milliseconds=1)
Json = Any


@pytest.fixture
def trader(transactional_db: None, feed: Feed) -> Trader:
    """The third of five: a deposit and three fees, booked on two days before the latest root, and with its stroke."""
    first, second = MIDNIGHT - 2 * DAY, MIDNIGHT - DAY
    earlier = [open_account(balance=str(n)) for n in (1, 2)]
    trader = Trader()
    for account in (*earlier, open_account(balance="3"), open_account(balance="4")):
        backdate(account, first + HOUR)
    for _ in range(3):
        trader.place()
    backdate(trader.account, first + 10 * HOUR, first + 12 * HOUR, second + 9 * HOUR, MIDNIGHT)
    assert [root.at for root in make_roots(until=timezone.now())] == [second, MIDNIGHT]
    return trader


def asked(trader: Trader, at: datetime | None = None) -> Answer:
    """The proof of a moment."""
    return trader.api.get(f"{trader.path}/proof{'' if at is None else f'?at={to_ms(at)}'}")


@pytest.fixture
def verified(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Exit code and words of the script, in a process that knows nothing of the platform."""

    def run(proof: Json, kept: Json = None) -> tuple[int, str]:
        paths = [tmp_path / "proof.json", tmp_path / "kept.json"]
        for path, content in zip(paths, (proof, kept), strict=True):
            path.write_text(json.dumps(content))
        options = [] if kept is None else ["--kept", str(paths[1])]
        command = [sys.executable, "-I", "-S", str(SCRIPT), str(paths[0]), *options]
        done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


Verified = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("at", "entries", "root", "shown"),
    [
        (None, 3, 2, [3]),
        (MIDNIGHT, 3, 2, [3]),
        (MIDNIGHT - HOUR, 3, 2, [3]),
        (MIDNIGHT - DAY, 2, 1, [2]),
        (MIDNIGHT - DAY + MS, 2, 2, [2, 3]),
        (MIDNIGHT - DAY - 12 * HOUR, 1, 1, [1, 2]),
        (MIDNIGHT - DAY - 12 * HOUR + MS, 2, 1, [2]),
        (MIDNIGHT - 9 * DAY, 0, 1, [1, 2]),
        (MIDNIGHT + MS, 4, 2, [3, 4]),
    ],
)
def test_proof_of_any_moment_is_found_sound(
    trader: Trader, verified: Verified, at: datetime | None, entries: int, root: int, shown: list[int]
) -> None:
    answer = asked(trader, at)
    proof = answer.data

    balances = ["0", *(line["running_balance"] for line in trader.api.get(f"{trader.path}/ledger").data[::-1])]
    assert (proof["entry_count"], proof["root"], proof["balance"]) == (entries, root, balances[entries])
    assert [int(text.split("|")[2]) for text in proof["entries"]] == shown
    assert from_ms(proof["at"]) == (at or MIDNIGHT)
    code, said = verified(answer.content)
    assert (code, said.startswith(f"sound: {proof['balance']} USD after {entries} entries")) == (0, True), said
    assert ("a later root must still confirm" in said) == (entries == 4)


def scalars(value: Json, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each single value stands in a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        yield at
        return
    for key, inner in pairs:
        yield from scalars(inner, (*at, key))


def touched(proof: Json, place: tuple[Any, ...], change: Callable[[Any], Any]) -> Json:
    """The proof with one value changed."""
    copy = deepcopy(proof)
    target = copy
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = change(target[place[-1]])
    return copy


def flipped(value: Any) -> Any:
    """Another value of the same kind: the next number, or a text whose middle character is another one."""
    if isinstance(value, int):
        return value + 1
    middle = len(value) // 2
    return value[:middle] + ("1" if value[middle] == "0" else "0") + value[middle + 1 :]


def test_every_value_of_a_proof_matters(trader: Trader, verified: Verified) -> None:
    proof = asked(trader, MIDNIGHT - DAY - 12 * HOUR).data
    assert verified(proof)[0] == 0
    places = list(scalars(proof))
    assert len(places) == 14 + len(proof["entries"]) + len(proof["path"]) + 6 * len(proof["roots"]) - 2

    passed = [place for place in places if verified(touched(proof, place, flipped))[0] != 1]

    assert passed == []


def test_every_part_of_an_entry_matters(trader: Trader, verified: Verified) -> None:
    proof = asked(trader, MIDNIGHT - DAY - 12 * HOUR).data
    for index, text in enumerate(proof["entries"]):
        parts = text.split("|")
        for part in range(len(parts)):
            changed = deepcopy(proof)
            changed["entries"][index] = "|".join([*parts[:part], flipped(parts[part]), *parts[part + 1 :]])
            assert verified(changed)[0] == 1, changed["entries"][index]


LISTS = {
    "no entry": lambda proof: proof["entries"].clear(),
    "entry left out at the beginning": lambda proof: proof["entries"].pop(0),
    "entry left out at the end": lambda proof: proof["entries"].pop(),
    "entry twice": lambda proof: proof["entries"].append(proof["entries"][-1]),
    "path too short": lambda proof: proof["path"].pop(),
    "path too long": lambda proof: proof["path"].append("00" * 32),
    "no roots": lambda proof: proof["roots"].clear(),
    "root of the proof left out": lambda proof: proof["roots"].pop(0),
    "root twice": lambda proof: proof["roots"].append(proof["roots"][-1]),
    "another balance": lambda proof: proof.update(balance="1000000"),
    "another moment": lambda proof: proof.update(at=proof["at"] + 3 * 60 * 60 * 1000),
    "an earlier moment": lambda proof: proof.update(at=proof["at"] - 3 * 60 * 60 * 1000),
    "another position": lambda proof: proof["leaf"].update(position=-1),
}


@pytest.mark.parametrize("change", LISTS.values(), ids=LISTS.keys())
def test_nothing_can_be_left_out_or_put_in(trader: Trader, verified: Verified, change: Callable[[Json], Any]) -> None:
    proof = asked(trader, MIDNIGHT - DAY - 12 * HOUR).data
    change(proof)

    code, said = verified(proof)

    assert (code, said.startswith("WRONG: ")) == (1, True)


def test_kept_roots_are_held_against_the_proof(trader: Trader, verified: Verified) -> None:
    proof, page = asked(trader).data, trader.api.get("/proofs/roots").content
    kept = page["data"][-1]

    assert verified(proof, page)[0] == verified(proof, kept)[0] == 0
    for place in scalars(kept):
        assert verified(proof, touched(kept, place, flipped))[0] == 1, place


def test_roots_that_were_made_anew_are_found_out_by_a_kept_one(trader: Trader, verified: Verified) -> None:
    """A whole chain of other roots fits in itself; what somebody kept doesn't fit to it."""
    kept = trader.api.get("/proofs/roots").data
    proof = asked(trader).data
    with superuser() as cursor:
        for table in ("trading_balancetreelevel", "trading_balanceleaf", "trading_balanceroot"):
            cursor.execute(f"DELETE FROM {table}")
    list(make_roots(until=timezone.now()))
    anew = asked(trader).data

    assert anew["leaf"]["nonce"] != proof["leaf"]["nonce"]
    assert verified(anew)[0] == 0
    code, said = verified(anew, kept)
    assert (code, "is not the one you kept" in said) == (1, True)


def test_roots_are_public_and_page(trader: Trader) -> None:
    anybody = Api()

    first = anybody.get("/proofs/roots?limit=1")
    second = anybody.get(f"/proofs/roots?limit=1&cursor={first.content['pagination']['cursor']}")

    assert [row["number"] for row in first.data + second.data] == [2, 1]
    assert second.content["pagination"] == {"cursor": None, "count": 1}
    assert set(first.data[0]) == {"number", "at", "accounts", "root", "previous_hash", "hash"}
    assert (first.data[0]["accounts"], first.data[0]["previous_hash"]) == (5, second.data[0]["hash"])
    salts = [bytes(salt).hex() for salt in BalanceRoot.objects.values_list("salt", flat=True)]
    assert not any(salt in json.dumps(asked(trader).content) for salt in salts)


def test_a_proof_is_its_owners(trader: Trader) -> None:
    stranger = Trader()
    assert stranger.api.get(f"{trader.path}/proof").error == (404, 1002)
    assert Api().get(f"{trader.path}/proof").error == (401, 1100)
    assert trader.with_key("read").get(f"{trader.path}/proof").data == asked(trader).data
    other = open_account(user=trader.user)
    assert trader.with_key("read", account=other).get(f"{trader.path}/proof").error == (404, 1002)


def test_what_can_not_be_proved_is_refused(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in ("soon", "-1", "1.5", str(to_ms(timezone.now() + HOUR)), "9" * 30):
        answer = trader.api.get(f"{trader.path}/proof?at={at}")
        assert answer.error == (400, 1001)
        assert set(answer.content["error"]["details"]["fields"]) == {"at"}
    assert Trader().api.get(f"{trader.path}/proof").error == (404, 1002)
    young = Trader()
    assert young.api.get(f"{young.path}/proof").error == (404, 1002)
    monkeypatch.setattr(proofs, "ENTRIES_MAX", 1)
    assert asked(trader, MIDNIGHT - DAY - 12 * HOUR).error == (400, 1001)
    assert asked(trader).status == 200


def test_an_account_without_money_has_nothing_to_prove(trader: Trader) -> None:
    empty = open_account(user=trader.user, balance="0")
    assert trader.api.get(f"/accounts/{empty.uuid}/proof").error == (404, 1002)


def test_chain_is_shown_up_to_a_limit(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "ROOTS_MAX", 1)
    assert [root["number"] for root in asked(trader).data["roots"]] == [2]
    assert [root["number"] for root in asked(trader, MIDNIGHT - DAY).data["roots"]] == [1]
