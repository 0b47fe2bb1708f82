"""Requirement document 3, "Order Execution Simulator" and "ExecutionService": accounts made with `classic`."""

from decimal import Decimal
from typing import Any

import pytest

from trading.models import Fill
from trading.tests.api.client import ORDER, Trader
from trading.tests.conftest import Feed, make_market

D = Decimal
FINE = {"tick_size": "0.000001", "step_size": "0.001", "spread": "0.0002", "slippage_factor": "1"}


@pytest.fixture
def classic(tunicoin: Trader, feed: Feed) -> str:
    """Path of the orders of an account that fills as the document says; EURUSD is at 100 with ticks to see it by."""
    make_market("EURUSD", **FINE)
    feed(symbol="EURUSD")
    account = tunicoin.api.post("/accounts", {"simulator": "classic", "max_leverage": 100}).data
    return f"/accounts/{account['id']}/orders"


def filled(trader: Trader, path: str, **changes: Any) -> dict[str, Any]:
    """An order that is filled at once."""
    answer = trader.api.post(path, {**ORDER, "symbol": "EURUSD", **changes})
    assert (answer.status, answer.data["status"]) == (201, "filled")
    data: dict[str, Any] = answer.data
    return data


def slippage_of(order: dict[str, Any]) -> Decimal:
    """Fraction by which the price is worse than 100 and half the spread of 0.02 %."""
    sign = 1 if order["side"] == "buy" else -1
    return sign * (D(order["average_price"]) / (100 * (1 + sign * D("0.0001"))) - 1)


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("size", ["0.5", "2", "5"])
def test_slippage_is_a_tenth_of_a_percent_a_unit_and_noise(
    tunicoin: Trader, classic: str, side: str, size: str
) -> None:
    """Latest price, half the spread against the taker, 0.1 % per unit of size, ±0.02 % at random."""
    slippage = slippage_of(filled(tunicoin, classic, side=side, quantity=size))

    assert abs(slippage - D("0.001") * D(size)) <= D("0.0002") + D("0.0000001")


def test_slippage_is_capped_at_one_percent(tunicoin: Trader, classic: str) -> None:
    order = filled(tunicoin, classic, quantity="50", leverage=10)

    assert D(order["average_price"]) == D("101.0101")  # 100 × 1.0001 × 1.01


def test_slippage_grows_with_the_instruments_factor(tunicoin: Trader, classic: str, feed: Feed) -> None:
    make_market("SPX-FUT", **FINE | {"slippage_factor": "3"})
    feed(symbol="SPX-FUT")

    assert abs(slippage_of(filled(tunicoin, classic, symbol="SPX-FUT", quantity="2")) - D("0.006")) <= D("0.00021")


def test_commission_is_two_basis_points_and_at_least_a_cent_at_entry_and_exit(tunicoin: Trader, classic: str) -> None:
    small = [filled(tunicoin, classic, side=side, quantity="0.1") for side in ("buy", "sell")]
    assert [order["fee"] for order in small] == ["0.01", "0.01"]

    large = filled(tunicoin, classic, quantity="50", leverage=10)
    assert D(large["fee"]) == D("101.0101") * 50 * D("0.0002")


def test_limit_orders_fill_at_their_limit(tunicoin: Trader, classic: str) -> None:
    assert filled(tunicoin, classic, type="limit", price="102")["average_price"] == "102"


def test_the_seed_stands_on_the_fill(tunicoin: Trader, classic: str) -> None:
    filled(tunicoin, classic)

    assert Fill.objects.get().seed


def test_margin_is_asked_for_before_execution(tunicoin: Trader, classic: str) -> None:
    body = {**ORDER, "symbol": "EURUSD", "quantity": "200"}

    assert tunicoin.api.post(classic, body).error == (400, 3003)
    assert tunicoin.api.post(classic, {**body, "leverage": 10}).status == 201


def test_opposite_orders_close_the_position_and_turn_it(tunicoin: Trader, classic: str) -> None:
    positions = classic.replace("/orders", "/positions")
    filled(tunicoin, classic, quantity="2")
    filled(tunicoin, classic, side="sell", quantity="0.5")
    assert [(row["side"], row["quantity"]) for row in tunicoin.api.get(positions).data] == [("long", "1.5")]
    filled(tunicoin, classic, side="sell", quantity="2")
    assert [(row["side"], row["quantity"]) for row in tunicoin.api.get(positions).data] == [("short", "0.5")]
