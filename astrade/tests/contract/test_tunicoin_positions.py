"""Requirement document 3, "Position Management" and "PnLCalculator", at `/api/accounts/{account_id}/positions`."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from trading.api import schemas
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed, make_market

D = Decimal
HIGHER = {"bids": (("119", "1000"),), "asks": (("121", "1000"),), "sequence": 2}


def position_of(trader: Trader, **changes: Any) -> dict[str, Any]:
    """The position that an order of 1 BTC-USD opens, but for the changes."""
    trader.place(**changes)
    (position,) = trader.api.get(f"{trader.path}/positions?is_open=true").data
    found: dict[str, Any] = position
    return found


def test_list_open_positions_as_printed(tunicoin: Trader) -> None:
    position = position_of(tunicoin, leverage=2)

    assert set(position) == set(schemas.PositionOut().fields)
    assert (position["symbol"], position["side"], position["is_open"], position["leverage"]) == (
        "BTC-USD", "long", True, 2,
    )  # fmt: skip


def test_open_ones_are_listed_unless_said(tunicoin: Trader) -> None:
    position = position_of(tunicoin)

    assert tunicoin.api.get(f"{tunicoin.path}/positions").data == [position]
    for no in ("false", "False", "0"):
        assert tunicoin.api.get(f"{tunicoin.path}/positions?is_open={no}").data == []
    assert tunicoin.api.get(f"{tunicoin.path}/positions?is_open=maybe").error == (400, 1001)


def test_get_position(tunicoin: Trader) -> None:
    position = position_of(tunicoin)

    assert tunicoin.api.get(f"{tunicoin.path}/positions/{position['id']}").data == position
    assert tunicoin.api.get(f"{tunicoin.path}/positions/{uuid4()}").error == (404, 1002)


def test_close_position_as_printed(tunicoin: Trader) -> None:
    position = position_of(tunicoin)

    answer = tunicoin.api.post(f"{tunicoin.path}/positions/close", {"position_id": position["id"]})

    assert (answer.status, answer.data["side"], answer.data["filled_quantity"]) == (200, "sell", "1")
    assert tunicoin.api.get(f"{tunicoin.path}/positions").data == []
    (closed,) = tunicoin.api.get(f"{tunicoin.path}/positions?is_open=false").data
    assert (closed["id"], closed["is_open"], closed["realized_pnl"]) == (position["id"], False, "-2")
    assert tunicoin.api.get(f"{tunicoin.path}/positions/{position['id']}").data == closed


@pytest.mark.parametrize("part", [{"size": 0.4}, {"quantity": "0.4"}, {"qty": 0.4}])
@pytest.mark.parametrize("name", ["symbol", "market", "instrument_id"])
def test_close_a_part_of_a_position(tunicoin: Trader, name: str, part: dict[str, Any]) -> None:
    position_of(tunicoin)

    answer = tunicoin.api.post(f"{tunicoin.path}/positions/close", {name: "BTC-USD", **part})

    assert (answer.status, answer.data["filled_quantity"]) == (200, "0.4")
    (left,) = tunicoin.api.get(f"{tunicoin.path}/positions").data
    assert (left["quantity"], left["realized_pnl"]) == ("0.6", "-0.8")


def test_closing_more_than_is_held_is_refused(tunicoin: Trader) -> None:
    position = position_of(tunicoin)
    body = {"position_id": position["id"], "size": 2}

    assert tunicoin.api.post(f"{tunicoin.path}/positions/close", body).error == (400, 3006)


def test_update_stop_loss_and_take_profit(tunicoin: Trader) -> None:
    path = f"{tunicoin.path}/positions/{position_of(tunicoin)['id']}"

    both = tunicoin.api.patch(path, {"stop_loss": 95, "take_profit": 105})
    assert (both.status, both.data["stop_loss"], both.data["take_profit"]) == (200, "95", "105")
    one = tunicoin.api.patch(path, {"stop_loss": None}).data
    assert (one["stop_loss"], one["take_profit"]) == (None, "105")
    assert tunicoin.api.patch(path, {}).error == (400, 1001)
    assert tunicoin.api.patch(path, {"stop_loss": "94", "version": 1}).error == (409, 1006)


def test_profit_of_a_long_is_price_less_entry_times_size(tunicoin: Trader, feed: Feed) -> None:
    position_of(tunicoin)
    feed(**HIGHER)

    (position,) = tunicoin.api.get(f"{tunicoin.path}/positions").data
    assert (position["entry_price"], position["mark_price"]) == ("101", "120")
    assert D(position["unrealized_pnl"]) == (120 - 101) * 1


def test_profit_of_a_short_is_entry_less_price_times_size(tunicoin: Trader, feed: Feed) -> None:
    position_of(tunicoin, side="sell")
    feed(**HIGHER)

    (position,) = tunicoin.api.get(f"{tunicoin.path}/positions").data
    assert (position["side"], position["entry_price"]) == ("short", "99")
    assert D(position["unrealized_pnl"]) == (99 - 120) * 1


def test_profit_percentage_is_of_the_margin(tunicoin: Trader, feed: Feed) -> None:
    position_of(tunicoin, leverage=5)
    feed(**HIGHER)

    (position,) = tunicoin.api.get(f"{tunicoin.path}/positions").data
    assert D(position["pnl_percentage"]) == (D(100) * 19 / (D(101) / 5)).quantize(D("1e-8"))


def test_profits_of_the_whole_account_and_of_closed_trades(tunicoin: Trader) -> None:
    """`calculate_account_pnl` and win/loss statistics; the rest of their figures: `test_portfolio.py`."""
    position_of(tunicoin)
    assert tunicoin.api.get("/account/balance").data["unrealized_pnl"] == "-1"
    tunicoin.place(side="sell")

    risk = tunicoin.api.get("/portfolio/risk").data
    assert (risk["trades"], risk["win_rate"], risk["largest_loss"]) == (1, "0", "-2.2")


def test_positions_of_a_market_by_each_of_its_names(tunicoin: Trader) -> None:
    make_market("ETH-USD")
    position = position_of(tunicoin)

    for path in (f"{tunicoin.path}/positions?", "/account/positions?"):
        for name in ("symbol", "market", "instrument_id"):
            assert tunicoin.api.get(f"{path}{name}=btc-usd").data == [position]
            assert tunicoin.api.get(f"{path}{name}=ETH-USD").data == []
            assert tunicoin.api.get(f"{path}{name}=NOTHING").error == (400, 2000)
            assert tunicoin.api.get(f"{path}is_open=false&{name}=NOTHING").error == (400, 2000)
