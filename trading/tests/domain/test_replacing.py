"""Replacing an order, meeting one's own, ending many: decided without a database, numbers to check by hand."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from astrade.core.errors import AstradeError
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.booking import admit
from trading.domain.dead_man import unprotected_positions
from trading.domain.ending import EXPIRED, end_orders
from trading.domain.lifecycle import OrderRole, OrderStatus, OrderType, Side, TimeInForce
from trading.domain.replacing import Changes, replace_order
from trading.domain.state import AccountState, OpenOrders, OrderState
from trading.tests.factories import (
    AT,
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    PositionStateFactory,
    batch_of,
    board,
    request,
    terms,
    view,
)

LIMITS = Limits(open_orders_max=10, stale_after_s=10)
VIEW = view(bids=(("99", "1"), ("98", "2")), asks=(("101", "1"), ("102", "2")), sequence=7)


def holding(*orders: OrderState, **values: Any) -> AccountState:
    """An account with 10,000 whose orders these are; the first is the one that was named."""
    account = AccountStateFactory.build(order=orders[0], orders=list(orders), **values)
    account.open_orders[MARKET_ID] = OpenOrders()
    for order in orders:
        if order.is_live:
            account.open_orders[MARKET_ID].add(order)
    return account


def replaced(account: AccountState, *, version: int | None = None, **changes: str) -> Batch:
    """The batch of a replace of the named order."""
    batch = batch_of(account)
    assert account.order is not None
    replace_order(
        batch,
        account.order,
        Changes(**{name: D(value) for name, value in changes.items()}),
        version=version,
        terms=terms(),
        view=VIEW,
        board=board("100"),
        limits=LIMITS,
    )
    return batch


def refused(account: AccountState, *, version: int | None = None, **changes: str) -> int:
    """The code a replace is refused with."""
    with pytest.raises(AstradeError) as raised:
        replaced(account, version=version, **changes)
    return raised.value.code


def resting(**values: Any) -> OrderState:
    """Buys 1 at 95, admitted at book sequence 1."""
    order: OrderState = OrderStateFactory.build(**{"price": D(95)} | values)
    return order


def sums(account: AccountState) -> tuple[int, Decimal, Decimal]:
    """Open orders, what they would buy and for how much."""
    orders = account.open_orders[MARKET_ID]
    return orders.count, orders.buy_quantity, orders.buy_notional


def test_new_price_and_total_are_admitted_anew() -> None:
    account = holding(resting(version=3))

    batch = replaced(account, price="96", quantity="2", version=3)

    order = account.order
    assert order is not None
    assert (order.price, order.quantity, order.version, order.reason) == (96, 2, 4, "replaced")
    assert (order.admitted_sequence, order.admitted_at) == (7, batch.now)
    assert sums(account) == (1, 2, 192)
    (row,) = batch.inserts["transition"]
    assert (row["from_status"], row["to_status"], row["reason"]) == ("open", "open", "replaced")
    assert row["change"] == {"price": ["95", "96"], "quantity": ["1", "2"]}
    assert [frame["kind"] for frame in batch.frames] == ["order_update", "balance_update"]


def test_what_is_as_wished_is_left_alone_whatever_version_is_named() -> None:
    account = holding(resting(version=3))

    batch = replaced(account, price="95.0", quantity="1", version=1)

    assert (batch.frames, batch.orders, sums(account)) == ([], {}, (1, 1, 95))


def test_only_the_version_that_was_seen_is_replaced() -> None:
    assert refused(holding(resting(version=3)), price="96", version=2) == 1006


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FILLED])
def test_what_ended_is_not_replaced(status: OrderStatus) -> None:
    assert refused(holding(resting(status=status)), price="96") == 3010


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.EXPIRED])
def test_what_ended_unfilled_never_is_as_wished(status: OrderStatus) -> None:
    assert refused(holding(resting(status=status)), price="95") == 3010
    assert replaced(holding(resting(status=OrderStatus.FILLED)), price="95").frames == []


def test_who_is_frozen_changes_nothing_not_even_to_less() -> None:
    assert refused(holding(resting(quantity=D(2)), state="frozen"), quantity="1") == 3016


def test_what_is_filled_already_is_not_held_against_the_position_again() -> None:
    held = {MARKET_ID: PositionStateFactory.build(quantity=D(1), entry_notional=D(100))}
    half = {"quantity": D(2), "filled_quantity": D(1), "status": OrderStatus.PARTIALLY_FILLED}
    account = holding(resting(side=Side.SELL, price=D(105), reduce_only=True, **half), positions=held)

    replaced(account, price="104")

    assert account.order is not None and account.order.price == 104


def test_what_an_order_has_not_is_not_replaced() -> None:
    stop = {"type": OrderType.STOP, "trigger_price": D(105), "price": None, "status": OrderStatus.UNTRIGGERED}
    assert refused(holding(resting(**stop)), price="96") == 1001
    assert refused(holding(resting(**stop, role=OrderRole.STOP_LOSS)), trigger_price="104") == 1001
    replaced(holding(resting(**stop)), trigger_price="104")


def test_what_is_about_to_expire_is_not_replaced() -> None:
    assert refused(holding(resting(expires_at=AT)), price="96") == 3010
    replaced(holding(resting(expires_at=AT + timedelta(seconds=1))), price="96")


def test_crossing_price_takes_what_remains() -> None:
    account = holding(resting(quantity=D(4), filled_quantity=D(1), filled_notional=D(95), fill_count=1,
                              status=OrderStatus.PARTIALLY_FILLED))  # fmt: skip

    batch = replaced(account, price="102")

    order = account.order
    assert order is not None
    assert [(fill["price"], fill["quantity"]) for fill in batch.inserts["fill"]] == [(101, 1), (102, 2)]
    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, 4)
    assert account.open_orders[MARKET_ID].count == 0


def test_part_that_is_left_rests_at_the_new_price() -> None:
    account = holding(resting(quantity=D(4)))

    replaced(account, price="101")

    order = account.order
    assert order is not None
    assert (order.status, order.filled_quantity, sums(account)) == (OrderStatus.PARTIALLY_FILLED, 1, (1, 3, 303))


@pytest.mark.parametrize(("total", "code"), [("1", 1001), ("0.5", 1001), ("1.0005", 3001), ("2000", 1001)])
def test_new_total_exceeds_what_is_filled_and_fits_the_market(total: str, code: int) -> None:
    order = resting(quantity=D(3), filled_quantity=D(1), status=OrderStatus.PARTIALLY_FILLED)

    assert refused(holding(order), quantity=total) == code


def test_growth_is_held_against_margin_and_shrinking_never() -> None:
    """10,000: 105 at 95 bind 9,975, 106 would 10,070. What is under water already may still shrink."""
    replaced(holding(resting()), quantity="105")
    assert refused(holding(resting()), quantity="106") == 3003
    replaced(holding(resting(quantity=D(300))), quantity="200")


def test_shrinking_keeps_its_place_in_the_queue() -> None:
    account = holding(resting(quantity=D(2)))

    replaced(account, quantity="1")

    assert account.order is not None
    assert (account.order.admitted_sequence, account.order.quantity) == (1, 1)


def test_post_only_and_reduce_only_stay_so() -> None:
    assert refused(holding(resting(post_only=True)), price="101") == 3007
    held = {MARKET_ID: PositionStateFactory.build(quantity=D(2), entry_notional=D(200))}
    sell = {"side": Side.SELL, "price": D(105), "reduce_only": True}
    assert refused(holding(resting(**sell), positions=held), quantity="3") == 3006
    replaced(holding(resting(**sell), positions=held), quantity="2")


def test_a_triggered_order_is_a_limit_order_and_its_trigger_is_past() -> None:
    order = {"type": OrderType.STOP_LIMIT, "trigger_price": D(90)}

    replaced(holding(resting(**order)), price="96")
    assert refused(holding(resting(**order, stop_loss=D(100))), price="101") == 1001  # it would enter at the mark
    assert refused(holding(resting(**order)), trigger_price="91") == 1001
    assert refused(holding(resting()), trigger_price="91") == 1001


def arriving(account: AccountState, quantity: str, **changes: Any) -> Batch:
    """The batch of a new order."""
    batch = batch_of(account)
    admit(
        batch, request(quantity, **changes), terms=terms(), view=VIEW, board=board("100"), limits=LIMITS, fingerprint=""
    )
    return batch


@pytest.mark.parametrize(
    ("quantity", "named", "gone"),
    [
        ("1", {"price": "103"}, []),  # filled at 101 before it gets there
        ("2", {"price": "103"}, [102]),
        ("9", {"price": "103"}, [102]),
        ("9", {"price": "102"}, [102]),
        ("9", {"price": "101"}, []),
        ("9", {}, [102, 104]),  # as far as the band
        ("9", {"price": "103", "time_in_force": TimeInForce.FOK}, []),
    ],
)
def test_own_orders_end_as_far_as_the_arriving_one_goes(quantity: str, named: dict[str, Any], gone: list[int]) -> None:
    own = [resting(side=Side.SELL, price=D(price), quantity=D(1)) for price in (102, 104)]
    account = holding(*own)

    arriving(account, quantity, **named)

    assert [order.price for order in own if order.status is OrderStatus.CANCELLED] == gone
    assert {order.reason for order in own if order.price in gone} <= {"self_trade_prevention"}
    assert account.open_orders[MARKET_ID].sell_quantity == 2 - len(gone)


def test_orders_of_the_same_side_or_another_market_are_not_in_the_way() -> None:
    bystanders = [resting(price=D(100)), resting(side=Side.SELL, price=D(102), market_id=MARKET_ID + 1)]
    account = holding(*bystanders)

    arriving(account, "3", price="103")

    assert {order.status for order in bystanders} == {OrderStatus.OPEN}


def test_ending_many_tells_of_each_and_once_of_the_money() -> None:
    waiting = resting(status=OrderStatus.UNTRIGGERED, type=OrderType.STOP, trigger_price=D(105), price=None)
    account = holding(resting(), waiting, resting(status=OrderStatus.FILLED))
    batch = batch_of(account)

    ended = end_orders(batch, account.orders, to=OrderStatus.EXPIRED, board=board("100"), reason=EXPIRED)

    assert ended == account.orders[:2]
    assert {(order.status, order.reason) for order in ended} == {(OrderStatus.EXPIRED, "expired")}
    assert [frame["kind"] for frame in batch.frames] == ["order_update", "order_update", "balance_update"]
    assert sums(account) == (0, 0, 0)
    assert batch.frames[-1]["data"]["margin_used"] == "0"
    assert end_orders(batch_of(account), account.orders, to=OrderStatus.EXPIRED, board=board("100"), reason="") == []


@pytest.mark.parametrize(
    ("order", "protects"),
    [
        ({"reduce_only": True}, True),
        ({"status": OrderStatus.UNTRIGGERED}, True),
        ({}, False),
        ({"reduce_only": True, "side": Side.BUY}, False),
        ({"reduce_only": True, "market_id": MARKET_ID + 1}, False),
    ],
)
def test_what_protects_a_long_position(order: dict[str, Any], protects: bool) -> None:
    account = holding(resting(**{"side": Side.SELL} | order))
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(2), entry_notional=D(200))

    found = unprotected_positions(account, {MARKET_ID: terms()})

    assert [(bare["symbol"], bare["side"], bare["quantity"], bare["protective_orders"]) for bare in found] == (
        [("BTC-USD", "long", "2", 1)] if protects else []
    )
