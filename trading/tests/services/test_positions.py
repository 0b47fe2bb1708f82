"""Closing positions: the order that does it, and that it happens once."""

from uuid import uuid4

import pytest

from astrade.core import errors
from trading.domain.lifecycle import Side
from trading.models import ClosedPosition, Fill, Order, OrderRefusal, Position, TradingAccount
from trading.services.positions import close_position
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """An account that is long 1 at 101."""
    account = open_account()
    place(account, "1")
    return account


def test_whole_position_by_symbol(account: TradingAccount) -> None:
    placed = close_position(account=ref(account), symbol="btc-usd")

    assert [placed.body[name] for name in ("side", "type", "reduce_only", "status", "average_price")] == [
        "sell", "market", True, "filled", "99",
    ]  # fmt: skip
    closed = ClosedPosition.objects.get(account=account)
    assert (closed.side, closed.quantity, closed.realized_pnl, closed.fees) == ("buy", 1, -2, D("0.2"))
    with pytest.raises(errors.NotFound):
        close_position(account=ref(account), symbol="BTC-USD")


def test_part_of_a_position_by_id(account: TradingAccount) -> None:
    position = Position.objects.get(account=account)

    close_position(account=ref(account), position_uuid=position.uuid, quantity=D("0.4"))

    position.refresh_from_db()
    assert (position.quantity, position.entry_notional) == (D("0.6"), D("60.6"))
    assert not ClosedPosition.objects.exists()


def test_short_is_closed_by_buying(feed: Feed) -> None:
    account = open_account()
    place(account, "1", side=Side.SELL)

    assert close_position(account=ref(account), symbol="BTC-USD").body["side"] == "buy"


def test_more_than_is_held_is_refused(account: TradingAccount) -> None:
    with pytest.raises(errors.ReduceOnlyWouldIncrease):
        close_position(account=ref(account), symbol="BTC-USD", quantity=D("1.001"))
    assert Fill.objects.count() == 1


def test_nothing_to_close(account: TradingAccount) -> None:
    stranger = open_account()
    position = Position.objects.get(account=account)

    for attempt in (
        lambda: close_position(account=ref(account), position_uuid=uuid4()),
        lambda: close_position(account=ref(stranger), position_uuid=position.uuid),
        lambda: close_position(account=ref(stranger), symbol="BTC-USD"),
    ):
        with pytest.raises(errors.NotFound):
            attempt()
    assert not OrderRefusal.objects.exists()


def test_retry_under_the_same_id_returns_the_first_order(account: TradingAccount) -> None:
    first = close_position(account=ref(account), symbol="BTC-USD", client_order_id="close")

    second = close_position(account=ref(account), symbol="BTC-USD", client_order_id="close")

    assert (first.replayed, second.replayed) == (False, True)
    assert second.body == first.body
    assert Order.objects.count() == 2


def test_retry_does_not_close_what_was_opened_since(account: TradingAccount) -> None:
    first = close_position(account=ref(account), symbol="BTC-USD", client_order_id="close")
    place(account, "1")

    again = close_position(account=ref(account), symbol="BTC-USD", client_order_id="close")

    assert again.body["id"] == first.body["id"]
    assert Position.objects.get(account=account).quantity == 1


def test_the_id_of_another_order_is_a_conflict(account: TradingAccount) -> None:
    place(account, price="95", client_order_id="used")

    with pytest.raises(errors.DuplicateClientOrderId):
        close_position(account=ref(account), symbol="BTC-USD", client_order_id="used")
    close_position(account=ref(account), symbol="BTC-USD", quantity=D("0.5"), client_order_id="half")
    with pytest.raises(errors.DuplicateClientOrderId):
        close_position(account=ref(account), symbol="BTC-USD", quantity=D("0.25"), client_order_id="half")
