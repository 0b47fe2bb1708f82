"""A client that applies deltas to a snapshot holds the published book, whatever it did in between."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.messages import BookSnapshot
from marketdata import frames, keys
from marketdata.ladder import Ladder
from marketdata.tape import Tape
from marketdata.tests.factories import quote_of

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW_MS = 1_767_225_600_000
PRICES = st.integers(1, 40).map(lambda ticks: Decimal(ticks).scaleb(-1))
QUANTITIES = st.integers(1, 10**6).map(lambda steps: Decimal(steps).scaleb(-5))
SIDES = st.dictionaries(PRICES, QUANTITIES, max_size=12)


class Pipe:
    """Collects what is queued."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.values: dict[str, bytes] = {}

    def publish(self, channel: str, payload: bytes) -> None:
        self.published.append((channel, orjson.loads(payload)))

    def set(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def book(sequence: int, bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal]) -> BookSnapshot:
    return BookSnapshot("X-USD", sequence, tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items())), AT)


def apply(levels: dict[str, str], changes: list[list[str]]) -> dict[str, str]:
    merged = levels | dict(changes)
    return {price: quantity for price, quantity in merged.items() if quantity != "0"}


@given(st.lists(st.tuples(SIDES, SIDES, st.booleans()), min_size=1, max_size=8))
def test_deltas_rebuild_every_published_book(steps: list[tuple[dict[Any, Any], dict[Any, Any], bool]]) -> None:
    tape, sequence = Tape("X-USD"), 0
    held: dict[str, Any] = {}
    tape.take(quote_of("X-USD", at=AT), now_ms=NOW_MS)
    for bids, asks, arrives in steps:
        for _ in range(2):  # two changes that are published as one
            sequence += 1
            tape.take(book(sequence, bids, asks), now_ms=NOW_MS)
        pipe = Pipe()
        tape.queue(pipe, now_ms=NOW_MS)
        if not arrives:
            tape.failed()
            continue
        tape.sent()
        frame = next(frame for channel, frame in pipe.published if channel == keys.stream("orderbook:X-USD"))
        if frame["type"] == "orderbook_snapshot":
            held = {"sequence": frame["sequence"], "bids": dict(frame["bids"]), "asks": dict(frame["asks"])}
        else:
            assert frame["first_sequence"] == held["sequence"] + 1
            held = {"sequence": frame["sequence"]} | {s: apply(held[s], frame[s]) for s in ("bids", "asks")}
        stored = frames.decode_book(pipe.values[keys.book("X-USD")])
        assert held["sequence"] == stored.sequence == sequence
        assert {Decimal(p): Decimal(q) for p, q in held["bids"].items()} == dict(stored.bids) == bids
        assert {Decimal(p): Decimal(q) for p, q in held["asks"].items()} == dict(stored.asks) == asks


def test_a_failed_publication_brings_the_whole_book_and_the_trades_again() -> None:
    tape = Tape("X-USD")
    tape.take(quote_of("X-USD", at=AT), now_ms=NOW_MS)
    for sequence, sent in ((1, True), (2, False), (3, True)):
        tape.take(book(sequence, {Decimal(1): Decimal(sequence)}, {}), now_ms=NOW_MS)
        pipe = Pipe()
        tape.queue(pipe, now_ms=NOW_MS)
        (tape.sent if sent else tape.failed)()
        types = [frame["type"] for channel, frame in pipe.published if channel == keys.stream("orderbook:X-USD")]
        assert types == (["orderbook_delta"] if sequence == 2 else ["orderbook_snapshot"])


@given(st.lists(st.tuples(PRICES, st.integers(0, 3).map(Decimal)), max_size=60), st.booleans())
def test_a_ladder_is_what_its_changes_leave(changes: list[tuple[Decimal, Decimal]], is_bid: bool) -> None:
    ladder, expected = Ladder(is_bid=is_bid), dict[Decimal, Decimal]()
    ladder.apply(changes)
    for price, quantity in changes:
        expected[price] = quantity
    left = sorted(((p, q) for p, q in expected.items() if q), reverse=is_bid)

    assert list(ladder.best_first()) == left
    assert ladder.best() == (left[0][0] if left else None)


def test_equal_numbers_have_one_spelling() -> None:
    assert frames.text_levels([(Decimal("1.50"), Decimal("1E+2"))]) == {"1.5": "100"}
