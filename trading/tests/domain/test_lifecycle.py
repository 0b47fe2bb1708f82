"""The transition table, held against the design's own row by row."""

import pytest

from trading.domain.lifecycle import (
    LIVE,
    RESTING,
    TRANSITIONS,
    IllegalTransition,
    OrderStatus,
    Side,
    advance,
)

TABLE = {
    "new": "submitted untriggered open partially_filled filled cancelled expired rejected",
    "submitted": "unknown untriggered open partially_filled filled cancelled expired rejected",
    "unknown": "untriggered open partially_filled filled cancelled expired rejected",
    "untriggered": "open partially_filled filled cancelled expired rejected",
    "open": "partially_filled filled cancelled expired rejected",
    "partially_filled": "partially_filled filled cancelled expired",
    "filled": "",
    "cancelled": "filled",
    "expired": "filled",
    "rejected": "open partially_filled filled cancelled expired",
}
PAIRS = [(current, to) for current in OrderStatus for to in OrderStatus]


@pytest.mark.parametrize(("current", "to"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_moves_are_those_of_the_design(current: OrderStatus, to: OrderStatus) -> None:
    if to in TABLE[current].split():
        assert advance(current, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"{current} -> {to}"):
            advance(current, to)


def test_every_status_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(OrderStatus) == {OrderStatus(name) for name in TABLE}


def test_a_status_is_either_live_or_ended() -> None:
    assert {status.value for status in set(OrderStatus) - LIVE} == {"filled", "cancelled", "expired", "rejected"}
    assert RESTING < LIVE


def test_sides_are_opposite() -> None:
    assert [(side.sign, side.opposite) for side in (Side.BUY, Side.SELL)] == [(1, Side.SELL), (-1, Side.BUY)]
