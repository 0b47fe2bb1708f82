"""The bodies that leave have exactly the keys that the OpenAPI document says, and plain numbers."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rest_framework.serializers import Serializer

from trading.api import schemas
from trading.domain import bodies
from trading.domain.lifecycle import Side
from trading.domain.margin import summarise
from trading.domain.positions import Closed
from trading.tests.factories import (
    AT,
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    PositionStateFactory,
    board,
    terms,
)

UUID_1 = UUID(int=1)
LEVELS = {"stop_loss": D(85), "take_profit": None}


def order_body() -> dict[str, Any]:
    """Of an order that was filled at an unending average."""
    order = OrderStateFactory.build(filled_quantity=D(3), filled_notional=D(100))
    return bodies.order_body(order, account=UUID_1, venue="practice", symbol="BTC-USD")


def position_body() -> dict[str, Any]:
    """Long 2 at 90, leverage 5, mark 100."""
    account = AccountStateFactory.build(leverage={MARKET_ID: 5})
    position = account.positions[MARKET_ID] = PositionStateFactory.build(
        quantity=D(2), entry_notional=D(180), opened_at=AT
    )
    summary = summarise(account, board("100"))
    return bodies.position_body(position, market=terms(), mark=D(100), leverage=5, summary=summary, protection=LEVELS)


def closed_body() -> dict[str, Any]:
    """A short that lost 20 of 200."""
    closed = Closed(
        uuid=UUID_1, side=Side.SELL, quantity=D(4), entry_notional=D(200), exit_notional=D(220),
        realized_pnl=D(-20), fees=D(1), funding=D("-0.5"), opened_at=AT,
    )  # fmt: skip
    return bodies.closed_position_body(closed, symbol="BTC-USD", leverage=2, version=1, closed_at=AT)


def balance_body() -> dict[str, Any]:
    """10,000 with 1,000 bound."""
    account = AccountStateFactory.build()
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(10), entry_notional=D(900))
    return bodies.balance_body(summarise(account, board("100")), asset="USD")


@pytest.mark.parametrize(
    ("body", "schema"),
    [
        (order_body(), schemas.OrderOut),
        (position_body(), schemas.PositionOut),
        (closed_body(), schemas.PositionOut),
        (balance_body(), schemas.BalanceOut),
        (balance_body()["assets"][0], schemas.AssetOut),
        (bodies.event_frame(kind="x", sequence=1, schema=1, at=AT, data={}), schemas.EventOut),
    ],
)
def test_keys_are_those_of_the_schema(body: dict[str, Any], schema: type[Serializer[Any]]) -> None:
    assert set(body) == set(schema().fields)


def test_derived_figures_are_rounded_for_display_only() -> None:
    body = order_body()

    assert (body["average_price"], body["quantity"], body["created_at"]) == ("33.33333333", "1", 1772366400000)


def test_position_figures() -> None:
    body = position_body()

    shown = {name: body[name] for name in ("side", "quantity", "entry_price", "unrealized_pnl", "margin")}
    assert shown == {"side": "long", "quantity": "2", "entry_price": "90", "unrealized_pnl": "20", "margin": "40"}
    assert D(body["pnl_percentage"]).quantize(D("0.01")) == D("55.56")  # 20 of 180 / 5
    assert body["is_open"]


def test_closed_position_figures() -> None:
    body = closed_body()

    assert (body["side"], body["entry_price"], body["mark_price"]) == ("short", "50", "55")
    assert (body["realized_pnl"], body["pnl_percentage"], body["is_open"]) == ("-20", "-20", False)


def test_balance_splits_what_is_locked_from_what_is_free() -> None:
    body = balance_body()

    assert body["assets"] == [{"asset": "USD", "free": "9000", "locked": "1000", "total": "10000"}]
    assert (body["equity"], body["margin_used"], body["margin_available"]) == ("10100", "1000", "9100")
    assert (body["unrealized_pnl"], body["withdrawable"]) == ("100", "9000")


def test_nothing_to_divide_by_shows_nothing() -> None:
    assert bodies.quotient(Decimal(5), Decimal(0)) is None
    assert bodies.text_of(None) is None
