"""Triggers and protection on PostgreSQL and Redis: once, whole, and still there for the next booking."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from astrade.core import errors
from astrade.core.clock import system_clock
from marketdata import live
from trading.domain.lifecycle import LIVE, OrderRole, OrderStatus, OrderType, Side, TriggerBy
from trading.loading import OrderRef, read_account
from trading.models import Event, Fill, MarketSetting, Order, OrderTransition, Position, TradingAccount
from trading.services.orders import cancel_order, cancel_orders, fill_resting_order
from trading.services.positions import close_position, protect_position
from trading.services.triggers import trigger_order
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D, open_account, place, ref
from trading.verification import CHECKS, run_check

STOP: dict[str, Any] = {"type": OrderType.STOP, "trigger_price": D(105)}
Leg = tuple[str | None, Any, Any, str]


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """A practice account with 10,000 and a market around 100."""
    return open_account()


def trigger(order: Order, **named: Any) -> bool:
    """As the matcher does, on the market as it is in Redis."""
    view, quotes = live.view_of("BTC-USD")
    return trigger_order(account_id=order.account_id, order_id=order.pk, view=view, quotes=quotes, **named)


def one(**fields: Any) -> Order:
    """The one order like that."""
    return Order.objects.get(**fields)


def legs(account: TradingAccount) -> list[Leg]:
    """Live protective orders: role, quantity, trigger price, side."""
    rows = Order.objects.filter(account=account, status__in=sorted(LIVE), role__isnull=False).order_by("role")
    return [(row.role, row.quantity, row.trigger_price, row.side) for row in rows]


def sound(account: TradingAccount) -> None:
    """The ledger is whole, and what the account counts as open is what is."""
    assert {name: run_check(name) for name in CHECKS} == {name: [] for name in CHECKS}
    state = read_account(ref(account))
    live_orders = Order.objects.filter(account=account, status__in=sorted(LIVE))
    assert sum(orders.count for orders in state.open_orders.values()) == live_orders.count()


def protect(account: TradingAccount, **wanted: Any) -> dict[str, Any]:
    """Stop loss and take profit of the position on BTC-USD."""
    position = Position.objects.get(account=account)
    version = wanted.pop("version", None)
    levels = {OrderRole(name): None if price is None else D(price) for name, price in wanted.items()}
    return protect_position(account=ref(account), position_uuid=position.uuid, wanted=levels, version=version)


def test_a_stop_waits_without_margin_and_fills_on_the_book_of_its_trigger(account: TradingAccount, feed: Feed) -> None:
    body = place(account, "2", **STOP, trigger_by=TriggerBy.LAST).body
    assert [body[name] for name in ("status", "type", "trigger_price", "trigger_by", "price")] == [
        "untriggered", "stop", "105", "last", None,
    ]  # fmt: skip
    stored = read_account(ref(account)).open_orders
    assert [(orders.count, orders.buy_notional) for orders in stored.values()] == [(1, 0)]

    feed(bids=(("118", "9"),), asks=(("120", "1"), ("121", "9")), sequence=2)
    assert trigger(one())

    order = one()
    assert (order.status, order.filled_notional, order.admitted_sequence) == ("filled", 241, 2)
    moves = OrderTransition.objects.order_by("id").values_list("from_status", "to_status")
    assert list(moves) == [("new", "untriggered"), ("untriggered", "filled")]
    sound(account)


def test_a_second_trigger_does_nothing(account: TradingAccount) -> None:
    place(account, **STOP)
    assert trigger(one())
    events = Event.objects.count()

    assert not trigger(one())

    assert (Fill.objects.count(), Event.objects.count()) == (1, events)


def test_what_was_changed_or_ended_meanwhile_is_not_triggered(account: TradingAccount) -> None:
    place(account, **STOP)
    order = one()

    assert not trigger(order, admitted=(D(104), order.admitted_sequence))
    assert not trigger(order, admitted=(D(105), order.admitted_sequence + 1))
    cancel_order(account=ref(account), order=OrderRef(order_id=order.pk))
    assert not trigger(order, admitted=(D(105), order.admitted_sequence))
    view, quotes = live.view_of("BTC-USD")
    assert not trigger_order(account_id=account.pk, order_id=404, view=view, quotes=quotes)
    assert Fill.objects.count() == 0


def test_stale_prices_trigger_nothing(account: TradingAccount, feed: Feed) -> None:
    place(account, **STOP)
    feed(at=system_clock() - timedelta(minutes=1), sequence=2)

    assert not trigger(one())

    assert one().status == "untriggered"


def test_a_stop_limit_rests_once_it_is_triggered_and_binds_margin_then(account: TradingAccount, feed: Feed) -> None:
    stop_limit: dict[str, Any] = {"type": OrderType.STOP_LIMIT, "trigger_price": D(105)}
    place(account, "3", price="104", **stop_limit)
    feed(asks=(("104", "1"), ("106", "9")), bids=(("103", "9"),), sequence=7)
    trigger(one())

    order = one()
    assert (order.status, order.filled_quantity, order.admitted_sequence) == ("partially_filled", 1, 7)
    (orders,) = read_account(ref(account)).open_orders.values()
    assert (orders.count, orders.buy_quantity, orders.buy_notional) == (1, 2, 208)
    view, quotes = live.view_of("BTC-USD")
    fill_resting_order(account_id=account.pk, order_id=order.pk, book=view.book, quotes=quotes, traded_through=True)
    assert one().status == "filled"
    sound(account)


def test_margin_is_asked_for_at_the_trigger_and_a_refusal_moves_nothing(account: TradingAccount) -> None:
    place(account, "900", **STOP)

    assert trigger(one())

    assert (one().status, one().reason) == ("rejected", "insufficient_margin")
    assert (Fill.objects.count(), Position.objects.count(), MarketSetting.objects.count()) == (0, 0, 0)
    sound(account)


def test_a_triggered_order_queues_behind_the_accounts_own_at_its_price(account: TradingAccount, feed: Feed) -> None:
    for quantity in ("3", "2"):
        place(account, quantity, price="104", type=OrderType.STOP_LIMIT, trigger_price=D(105))
    feed(bids=(("104", "1"), ("103", "9")), asks=(("106", "9"),), sequence=2)
    first, second = Order.objects.order_by("number")

    assert trigger(first)
    assert trigger(second)

    assert [one(number=number).queue_ahead for number in (1, 2)] == [1, 1 + 3]


def test_leverage_named_by_an_untriggered_order_is_set(account: TradingAccount) -> None:
    place(account, "500", leverage=10, **STOP)
    assert MarketSetting.objects.get().leverage == 10

    trigger(one())

    assert one().status == "filled"


def test_a_reduce_only_stop_whose_position_is_gone_is_cancelled(account: TradingAccount) -> None:
    place(account, "2")
    place(account, "2", side=Side.SELL, type=OrderType.STOP, trigger_price=D(95), reduce_only=True)
    close_position(account=ref(account), symbol="BTC-USD")

    assert trigger(one(type="stop"))

    assert (one(type="stop").status, one(type="stop").reason) == ("cancelled", "nothing_to_reduce")


def test_brackets_come_with_the_fill_grow_with_it_and_one_cancels_the_other(
    account: TradingAccount, feed: Feed
) -> None:
    parent = place(account, "3", price="100", take_profit=D(120), stop_loss=D(90)).body
    assert legs(account) == []
    for sequence, quantity in ((2, "1"), (3, "2")):
        feed(bids=(("99", "9"),), asks=(("100", quantity),), sequence=sequence)
        view, quotes = live.view_of("BTC-USD")
        fill_resting_order(
            account_id=account.pk, order_id=one(number=1).pk, book=view.book, quotes=quotes, traded_through=False
        )
        held = Position.objects.get().quantity
        assert legs(account) == [("stop_loss", held, 90, "sell"), ("take_profit", held, 120, "sell")]
        sound(account)
    assert {uuid.hex for uuid in Order.objects.exclude(parent=None).values_list("parent__uuid", flat=True)} == {
        parent["id"].replace("-", "")
    }

    feed(bids=(("89", "9"),), asks=(("91", "9"),), sequence=4)
    assert trigger(one(role="stop_loss"))

    ends = dict(Order.objects.exclude(role=None).values_list("role", "status"))
    assert ends == {"stop_loss": "filled", "take_profit": "cancelled"}
    assert one(role="take_profit").reason == "other_side_filled"
    assert Position.objects.get().quantity == 0
    assert not trigger(one(role="take_profit"))
    sound(account)


def test_protection_outlives_the_process_and_ends_with_the_position(account: TradingAccount) -> None:
    place(account, "2", stop_loss=D(90), take_profit=D(120))
    state = read_account(ref(account))
    assert [(leg.role, leg.quantity, leg.status) for leg in state.protective] == [
        (OrderRole.TAKE_PROFIT, 2, OrderStatus.UNTRIGGERED),
        (OrderRole.STOP_LOSS, 2, OrderStatus.UNTRIGGERED),
    ]

    close_position(account=ref(account), symbol="BTC-USD", quantity=D("0.5"))
    assert [leg[1] for leg in legs(account)] == [D("1.5"), D("1.5")]
    close_position(account=ref(account), symbol="BTC-USD")

    assert legs(account) == []
    assert set(Order.objects.exclude(role=None).values_list("status", "reason")) == {("cancelled", "position_closed")}
    sound(account)


def test_a_positions_protection_is_stored_shown_and_follows_it(account: TradingAccount) -> None:
    place(account, "2")

    body = protect(account, stop_loss="90", take_profit="120")

    assert (body["stop_loss"], body["take_profit"], body["quantity"]) == ("90", "120", "2")
    assert legs(account) == [("stop_loss", 2, 90, "sell"), ("take_profit", 2, 120, "sell")]
    row = Position.objects.get()
    assert (row.stop_loss, row.take_profit, row.version) == (90, 120, body["version"])
    told = [event.kind for event in Event.objects.order_by("sequence")][-3:]
    assert told == ["order_update", "order_update", "position_update"]
    place(account, "1")
    assert legs(account) == [("stop_loss", 3, 90, "sell"), ("take_profit", 3, 120, "sell")]
    assert protect(account, stop_loss=None)["stop_loss"] is None
    assert legs(account) == [("take_profit", 3, 120, "sell")]
    close_position(account=ref(account), symbol="BTC-USD")
    assert (legs(account), Position.objects.get().take_profit) == ([], None)
    sound(account)


def test_a_position_that_changed_meanwhile_is_a_conflict_and_a_gone_one_not_found(account: TradingAccount) -> None:
    place(account, "2")
    version = Position.objects.get().version
    protect(account, stop_loss="90", version=version)

    with pytest.raises(errors.VersionConflict) as conflict:
        protect(account, stop_loss="91", version=version)
    assert conflict.value.details == {"version": version + 1}
    close_position(account=ref(account), symbol="BTC-USD")
    with pytest.raises(errors.NotFound):
        protect(account, stop_loss="90")


def test_a_frozen_account_and_stale_prices_set_no_protection(account: TradingAccount, feed: Feed) -> None:
    place(account, "2")
    feed(at=system_clock() - timedelta(minutes=1), sequence=2)
    with pytest.raises(errors.MarketDataStale):
        protect(account, stop_loss="90")
    feed(sequence=3)
    TradingAccount.objects.update(state="frozen")
    with pytest.raises(errors.AccountFrozen):
        protect(account, stop_loss="90")
    assert legs(account) == []


def test_protecting_again_the_same_way_writes_nothing(account: TradingAccount) -> None:
    place(account, "2")
    first = protect(account, stop_loss="90")
    events = Event.objects.count()

    assert protect(account, stop_loss="90") == first

    assert Event.objects.count() == events


def test_cancelling_all_takes_protection_along_for_good(account: TradingAccount) -> None:
    place(account, "2", take_profit=D(120))
    protect(account, stop_loss="90")
    place(account, **STOP)

    assert len(cancel_orders(account=ref(account))) == 3
    place(account, "1")

    assert (legs(account), Position.objects.get().stop_loss) == ([], None)
    sound(account)


def test_another_markets_protection_is_left_alone(account: TradingAccount, feed: Feed) -> None:
    make_market("ETH-USD")
    feed(symbol="ETH-USD")
    place(account, "2", stop_loss=D(90))
    place(account, "1", symbol="ETH-USD", stop_loss=D(80))

    close_position(account=ref(account), symbol="BTC-USD")

    assert legs(account) == [("stop_loss", 1, 80, "sell")]


def test_the_database_refuses_what_no_order_may_be(account: TradingAccount) -> None:
    place(account, "2", stop_loss=D(90))
    for wrong in ({"reduce_only": False}, {"trigger_price": None}, {"trigger_by": None}, {"trigger_price": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Order.objects.exclude(role=None).update(**wrong)
    with pytest.raises(IntegrityError), transaction.atomic():
        Position.objects.update(quantity=0, entry_notional=0, stop_loss=1)
