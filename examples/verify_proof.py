"""Check a proof of balance from AsTrade without AsTrade: Python's standard library is all it needs.

    python verify_proof.py proof.json [--kept roots.json]

`proof.json` is the answer of `GET /api/v1/accounts/{id}/proof?at=`. `roots.json` is what you kept of
`GET /api/v1/proofs/roots` on an earlier day: one root or a page of them. Exit code 0 if everything fits, 1 if not.
docs/proofs.md says what is checked, and what it shows.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

GENESIS = "0" * 64
DAY_MS = 24 * 60 * 60 * 1000
Json = dict[str, Any]


class Wrong(Exception):
    """What doesn't fit."""


def check(condition: bool, fault: str) -> None:
    if not condition:
        raise Wrong(fault)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Entry:
    """A journal entry, read from the text that its hash covers."""

    def __init__(self, text: str, *, asset: str) -> None:
        head, at_us, self.previous_hash, lines = text.rsplit("|", 3)
        self.account, _, number, _ = head.split("|", 4)[:4]
        self.number, self.at_us, self.hash = int(number), int(at_us), sha256(text.encode()).hex()
        postings = [line.split(":") for line in lines.split(";")]
        for of in {of for _, of, _, _ in postings}:
            total = sum(Fraction(amount) for _, each, amount, _ in postings if each == of)
            check(total == 0, f"entry {number} doesn't balance in {of}")
        cash = [(amount, balance) for pot, of, amount, balance in postings if (pot, of) == ("cash", asset)]
        check(len(cash) == 1, f"entry {number} has {len(cash)} lines of cash in {asset}")
        self.amount, self.balance = Fraction(cash[0][0]), cash[0][1]


def check_entries(proof: Json) -> list[Entry]:
    """The entries are the account's and follow each other, by number, hash and balance."""
    entries = [Entry(text, asset=proof["asset"]) for text in proof["entries"]]
    check(bool(entries), "no entry is shown")
    for entry in entries:
        check(entry.account == proof["account_id"], f"entry {entry.number} is another account's")
    for before, entry in pairwise(entries):
        check(entry.number == before.number + 1, f"entry {before.number + 1} is missing")
        check(entry.previous_hash == before.hash, f"entry {entry.number} isn't chained to the one before it")
        explained = Fraction(before.balance) + entry.amount == Fraction(entry.balance)
        check(explained, f"the balance after entry {entry.number} isn't the one before it with its amount")
    if entries[0].number == 1:
        check(entries[0].amount == Fraction(entries[0].balance), "the first balance isn't the first amount")
    check((entries[0].number == 1) == (entries[0].previous_hash == GENESIS), "the chain doesn't begin where it says")
    return entries


def last_before(entries: Sequence[Entry], number: int, at_ms: int, what: str) -> Entry | None:
    """Entry `number` (None for 0), which must be the last one booked before a moment as far as entries are shown."""
    for entry in entries:
        booked_before = entry.at_us < at_ms * 1000
        check(booked_before == (entry.number <= number), f"entry {entry.number} isn't on the right side of {what}")
    found = [entry for entry in entries if entry.number == number]
    check(bool(found) or (number == 0 and entries[0].number == 1), f"the entry in force at {what} isn't shown")
    return found[0] if found else None


def check_leaf(proof: Json, entries: Sequence[Entry], root: Json) -> None:
    """The leaf tells of an entry that is shown, and its path leads to the root (RFC 9162, section 2.1.3)."""
    leaf = proof["leaf"]
    entry = last_before(entries, leaf["entry_count"], root["at"], "the root")
    of_entry = (entry.hash, entry.balance) if entry else (GENESIS, "")
    check(of_entry == (leaf["head_hash"], leaf["balance"]), "the leaf's hash or balance is not its entry's")
    told = (leaf["nonce"], proof["account_id"], proof["asset"], leaf["balance"], leaf["entry_count"], leaf["head_hash"])
    node = sha256(b"\x00" + "|".join(["leaf", *map(str, told)]).encode())
    position, size, path = leaf["position"], root["accounts"], [bytes.fromhex(text) for text in proof["path"]]
    check(0 <= position < size, "the leaf lies outside the tree")
    while size > 1:
        if position ^ 1 < size:
            check(bool(path), "the path is too short")
            pair = (path.pop(0), node) if position % 2 else (node, path.pop(0))
            node = sha256(b"\x01" + b"".join(pair))
        position, size = position // 2, (size + 1) // 2
    check(not path, "the path is too long")
    check(node.hex() == root["root"], "the leaf's path doesn't lead to the root")


def check_roots(roots: Sequence[Json]) -> None:
    """Each root's hash covers it, and the root before; they are of one midnight (UTC) after the other."""
    for root in roots:
        told = (root["number"], root["at"], root["accounts"], root["root"], root["previous_hash"])
        text = "|".join(["root", *map(str, told)])
        check(sha256(text.encode()).hex() == root["hash"], f"root {root['number']} isn't its hash's")
        check(root["at"] % DAY_MS == 0, f"root {root['number']} isn't of a midnight")
        check((root["number"] == 1) == (root["previous_hash"] == GENESIS), "the roots don't begin where they say")
    for before, root in pairwise(roots):
        check(root["number"] == before["number"] + 1, f"root {before['number'] + 1} is missing")
        check(root["previous_hash"] == before["hash"], f"root {root['number']} isn't chained to the one before it")
        check(root["at"] == before["at"] + DAY_MS, f"root {root['number']} isn't of the day after the one before it")


def check_kept(kept: Any, roots: Sequence[Json]) -> None:
    """What was kept of the roots is what is told now; at least one of them must be shown."""
    shown = {root["number"]: root for root in roots}
    both = [root for root in (kept if isinstance(kept, list) else [kept]) if root["number"] in shown]
    check(bool(both), "none of the kept roots is among those of the proof")
    for root in both:
        check(root == shown[root["number"]], f"root {root['number']} is not the one you kept")


def verify(proof: Json, kept: Any = None) -> str:
    """What the proof shows; raises Wrong where it doesn't."""
    check(proof["format"] == "astrade-proof-1", "this is another format")
    check_roots(proof["roots"])
    roots = [root for root in proof["roots"] if root["number"] == proof["root"]]
    check(len(roots) == 1, "the proof's root isn't among its roots")
    entries = check_entries(proof)
    check_leaf(proof, entries, roots[0])
    entry = last_before(entries, proof["entry_count"], proof["at"], "the moment")
    check(Decimal(entry.balance if entry else 0) == Decimal(proof["balance"]), "the balance is not its entry's")
    if kept is not None:
        check_kept(kept, proof["roots"])
    at, of = (datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (proof["at"], roots[0]["at"]))
    note = "" if proof["at"] <= roots[0]["at"] else "; a later root must still confirm that nothing is left out since"
    said = f"{proof['balance']} {proof['asset']} after {proof['entry_count']} entries at {at}"
    return f"{said} on account {proof['account_id']}, by root {proof['root']} of {of}{note}"


def read(path: Path) -> Any:
    answer = json.loads(path.read_text())
    return answer["data"] if isinstance(answer, dict) and "data" in answer else answer


def main() -> None:
    parser = argparse.ArgumentParser(description="Check a proof of balance.")
    parser.add_argument("proof", type=Path)
    parser.add_argument("--kept", type=Path)
    options = parser.parse_args()
    try:
        print("sound:", verify(read(options.proof), read(options.kept) if options.kept else None))
    except (Wrong, ArithmeticError, KeyError, LookupError, TypeError, ValueError) as fault:
        sys.exit(f"WRONG: {str(fault) or type(fault).__name__}")


if __name__ == "__main__":
    main()
