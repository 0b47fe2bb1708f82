"""What a tick tells of the quantities at its lowest and highest trade."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.messages import TradeTick
from marketdata import keys
from marketdata.edges import EdgeVolumes
from marketdata.frames import Tick, decode_tick
from marketdata.tape import Tape
from marketdata.tests.factories import quote_of

AT = datetime(2026, 3, 1, tzinfo=UTC)
Trade = tuple[Literal["buy", "sell"], int, int]


def trade_of(trade: Trade) -> TradeTick:
    """One public trade: the taker's side, price and quantity."""
    return TradeTick("X-USD", 1, trade[0], Decimal(trade[1]), Decimal(trade[2]), AT)


class Ticks:
    """A pipeline that only remembers the ticks it was given to publish."""

    def __init__(self) -> None:
        self.told: list[Tick] = []

    def publish(self, channel: str, payload: bytes) -> None:
        if channel == keys.TICKS:
            self.told.append(decode_tick(payload))

    def __getattr__(self, name: str) -> object:
        return lambda *args, **kwargs: None


def told(tape: Tape, *trades: Trade, last: str = "100", arrives: bool = True) -> tuple[int, int]:
    """Sold at the lowest and bought at the highest price of the next tick."""
    for trade in trades:
        tape.take(trade_of(trade), now_ms=0)
    tape.take(quote_of("X-USD", last), now_ms=0)
    pipe = Ticks()
    tape.queue(pipe, now_ms=0)
    (tape.sent if arrives else tape.failed)()
    (tick,) = pipe.told
    return int(tick.sold_at_low), int(tick.bought_at_high)


@pytest.mark.parametrize(
    ("trades", "expected"),
    [
        ([], (0, 0)),
        ([("sell", 99, 2), ("sell", 99, 3), ("buy", 101, 7)], (5, 7)),
        ([("sell", 99, 2), ("sell", 98, 3)], (3, 0)),
        ([("sell", 98, 3), ("sell", 99, 2)], (3, 0)),
        ([("buy", 101, 4), ("buy", 102, 1), ("buy", 101, 9)], (0, 1)),
        ([("buy", 99, 4)], (0, 0)),  # lowest, but its taker bought; the highest is the last price
        ([("sell", 101, 2), ("buy", 99, 2)], (0, 0)),
    ],
)
def test_a_tick_tells_what_was_sold_at_its_low_and_bought_at_its_high(
    trades: list[Trade], expected: tuple[int, int]
) -> None:
    assert told(Tape("X-USD"), *trades) == expected


def test_each_trade_is_told_of_once_and_none_is_lost_with_a_publication() -> None:
    tape = Tape("X-USD")

    assert told(tape, ("sell", 99, 2), arrives=False) == (2, 0)
    assert told(tape, ("sell", 99, 3)) == (5, 0)
    assert told(tape, ("sell", 99, 1)) == (1, 0)
    assert told(tape) == (0, 0)


trades = st.tuples(st.sampled_from(["buy", "sell"]), st.integers(98, 102), st.integers(1, 9))


@given(st.lists(trades, min_size=1, max_size=20))
def test_the_edges_hold_what_a_look_at_all_trades_finds(made: list[Trade]) -> None:
    edges = EdgeVolumes()
    for trade in made:
        edges.take(trade_of(trade))
    low, high = min(price for _, price, _ in made), max(price for _, price, _ in made)

    assert edges.between(Decimal(low), Decimal(high)) == {
        "sold_at_low": sum(size for side, price, size in made if (side, price) == ("sell", low)),
        "bought_at_high": sum(size for side, price, size in made if (side, price) == ("buy", high)),
    }
