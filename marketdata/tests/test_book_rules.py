"""The rules by which the venues' books are kept, one by one, and a real book that was recorded."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from astrade.venues.binance.book import LiveBook as BinanceBook
from astrade.venues.binance.public_wire import Depth, DepthUpdate
from astrade.venues.errors import StreamBroken, StreamGap
from astrade.venues.extended.book import LiveBook as ExtendedBook
from astrade.venues.extended.stream_wire import BookChange, BookUpdate, BookUpdateType
from marketdata.ladder import Ladder


def event(first: int, last: int, bids: Sequence[Any] = (), asks: Sequence[Any] = ()) -> DepthUpdate:
    return DepthUpdate(first_id=first, last_id=last, bids=list(bids), asks=list(asks))


def begun(last_id: int = 10) -> BinanceBook:
    book = BinanceBook("X")
    book.take(event(last_id, last_id))
    snapshot = Depth(last_update_id=last_id, bids=[("9.00", "1.0"), ("8.00", "2.0")], asks=[("11.00", "1.0")])
    assert book.begin(snapshot)
    return book


def test_what_came_before_the_snapshot_is_applied_after_it_and_only_once() -> None:
    book = BinanceBook("X")
    for number in (9, 10, 11, 12):
        assert not book.take(event(number, number, bids=[("9.00", f"{number}.0")]))
    assert not book.is_synced
    assert book.begin(Depth(last_update_id=10, bids=[("9.00", "5.0")], asks=[("11.00", "1.0")]))
    assert book.update_id == 12 and book.top(1)[0] == ((Decimal(9), Decimal(12)),)
    assert not book.take(event(11, 11, bids=[("9.00", "11.0")]))  # older: nothing changes
    assert book.take(event(11, 13, bids=[("9.00", "13.0")]))  # overlaps, and goes further
    assert book.top(1)[0] == ((Decimal(9), Decimal(13)),)


def test_a_snapshot_from_before_the_first_event_is_none() -> None:
    book = BinanceBook("X")
    assert not book.begin(Depth(last_update_id=10, bids=[], asks=[]))  # nothing has come yet
    book.take(event(12, 13))
    assert not book.begin(Depth(last_update_id=11, bids=[], asks=[])) and not book.is_synced
    assert book.begin(Depth(last_update_id=12, bids=[], asks=[])) and book.update_id == 13


def test_events_that_were_lost_are_a_gap() -> None:
    book = begun()
    assert book.take(event(11, 11))
    with pytest.raises(StreamGap):
        book.take(event(13, 13))
    waiting = BinanceBook("X")
    waiting.take(event(10, 10))
    waiting.take(event(12, 12))
    with pytest.raises(StreamGap):
        waiting.begin(Depth(last_update_id=10, bids=[], asks=[]))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (event(11, 11, bids=[("11.00", "1.0")]), "crossed_book"),
        (event(11, 11, asks=[("9.00", "1.0")]), "crossed_book"),
        (event(11, 11, bids=[("x.00", "1.0")]), "unreadable_message"),
        (event(11, 11, bids=[("9.0", "1.0")]), "unreadable_message"),
    ],
    ids=["bid", "ask", "no number", "another writing"],
)
def test_a_book_that_cannot_be_true_is_none(change: DepthUpdate, cause: str) -> None:
    book = begun()
    with pytest.raises(StreamBroken) as broken:
        book.take(change)
        book.top(5)
    assert broken.value.cause == cause


def test_a_level_of_nothing_is_gone_and_one_that_was_not_there_is_no_error() -> None:
    book = begun()
    book.take(event(11, 12, bids=[("9.00", "0.0"), ("1.00", "0.0")]))
    assert book.top(5) == (((Decimal(8), Decimal(2)),), ((Decimal(11), Decimal(1)),))
    assert book.best() == (Decimal(8), Decimal(11))
    book.take(event(13, 13, asks=[("11.00", "0.0")]))
    assert book.best() is None


def test_a_recorded_book_is_kept_by_both(recorded: Path) -> None:
    """Five seconds of a real book of 500 levels: both show what a ladder of the recorded changes has."""
    bids, asks = Ladder(is_bid=True), Ladder(is_bid=False)
    binance, extended = BinanceBook("X"), ExtendedBook("X")
    for number, line in enumerate((recorded / "xrpusdt-orderbook-2024-12-01.jsonl").read_bytes().splitlines(), start=1):
        message = orjson.loads(line)
        changes = {side: [(price, f"{int(size)}.0") for price, size in message["data"][side]] for side in "ba"}
        for ladder, side in ((bids, "b"), (asks, "a")):
            ladder.apply([(Decimal(price), Decimal(size)) for price, size in changes[side]])
        told = event(number, number, changes["b"], changes["a"])
        if number == 1:
            binance.take(event(1, 1))
            binance.begin(Depth(last_update_id=1, bids=changes["b"], asks=changes["a"]))
        else:
            binance.take(told)
        kind = BookUpdateType.SNAPSHOT if message["type"] == "snapshot" else BookUpdateType.DELTA
        levels = {
            side: [BookChange(price=Decimal(p), change=Decimal(s), size=Decimal(s)) for p, s in changes[side]]
            for side in "ba"
        }
        update = BookUpdate(type=kind, market="X", bids=levels["b"], asks=levels["a"])
        extended.apply(update, sequence=number, ts_ms=message["ts"])
        kept = (tuple(bids.best_first()), tuple(asks.best_first()))
        assert binance.top(1_000) == kept
        snapshot = extended.snapshot()
        assert (snapshot.bids, snapshot.asks) == kept
