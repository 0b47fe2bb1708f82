"""Orders that wait for a trigger: when they are taken, what they are refused for, and what a trigger makes of them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from astrade.core.errors import AstradeError
from astrade.core.messages import MarketView
from trading.domain import booking, conditional
from trading.domain.admission import Limits, check_offered
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderStatus, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.state import AccountState, OpenOrders, OrderRequest, OrderState
from trading.tests.factories import (
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

BIDS = (("99", "1"), ("98", "2"), ("97", "100"))
ASKS = (("101", "1"), ("102", "2"), ("103", "100"))
LIMITS = Limits(open_orders_max=5, stale_after_s=10.0)
STOP, STOP_LIMIT = OrderType.STOP, OrderType.STOP_LIMIT
TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT


def market(**changes: Any) -> MarketView:
    """The book above, marks at 100."""
    return view(**{"bids": BIDS, "asks": ASKS, "mark": "100"} | changes)


def conditional_order(type_: OrderType, trigger: str, **changes: Any) -> OrderRequest:
    """A buy of 1 that waits for `trigger`."""
    return request(type=type_, trigger_price=D(trigger), **changes)


def admit(account: AccountState, wanted: OrderRequest, **changes: Any) -> tuple[Batch, OrderState]:
    """As the service does."""
    batch = batch_of(account)
    check_offered(wanted)
    values: dict[str, Any] = {"terms": terms(), "view": market(), "board": board("100")} | changes
    return batch, booking.admit(batch, wanted, limits=LIMITS, fingerprint="f", **values)


def refused(wanted: OrderRequest, account: AccountState | None = None, **changes: Any) -> tuple[int, list[str]]:
    """Code and fields with which an order is refused."""
    with pytest.raises(AstradeError) as raised:
        admit(account or AccountStateFactory.build(), wanted, **changes)
    return raised.value.code, list(raised.value.details.get("fields", ()))


def untriggered(**changes: Any) -> OrderState:
    """A stop to buy 1 above 105."""
    values = {"type": STOP, "price": None, "trigger_price": D(105), "trigger_by": TriggerBy.MARK}
    order: OrderState = OrderStateFactory.build(**values | {"status": OrderStatus.UNTRIGGERED} | changes)
    return order


def holding(quantity: str, **changes: Any) -> AccountState:
    """With a position entered at 100."""
    position = PositionStateFactory.build(quantity=D(quantity), entry_notional=abs(D(quantity)) * 100)
    account: AccountState = AccountStateFactory.build(positions={MARKET_ID: position}, **changes)
    return account


def trigger(account: AccountState, order: OrderState, **changes: Any) -> tuple[Batch, bool]:
    """The order's trigger was reached; its account counts it as open."""
    account.orders_on(MARKET_ID).count += 1
    values: dict[str, Any] = {"terms": terms(), "view": market(), "board": board("100")} | changes
    batch = batch_of(account)
    return batch, conditional.trigger(batch, order, limits=LIMITS, **values)


def kinds(batch: Batch) -> list[str]:
    """What is told, in order."""
    return [frame["type"] for frame in batch.frames]


@pytest.mark.parametrize(
    ("type_", "side", "trigger_price"),
    [
        (STOP, Side.BUY, "101"),
        (STOP, Side.SELL, "99"),
        (TAKE_PROFIT, Side.BUY, "99"),
        (TAKE_PROFIT, Side.SELL, "101"),
    ],
)
def test_it_waits_and_what_is_reached_already_is_refused(type_: OrderType, side: Side, trigger_price: str) -> None:
    wanted = conditional_order(type_, trigger_price, side=side)

    batch, order = admit(AccountStateFactory.build(), wanted)

    assert (order.status, order.trigger_by, order.time_in_force) == ("untriggered", "mark", "GTC")
    assert (order.filled_quantity, order.price, order.admitted_sequence) == (0, None, 1)
    assert kinds(batch) == ["order_update", "balance_update"]
    assert "fill" not in batch.inserts
    at_once = "100"  # where the mark stands
    assert refused(replace(wanted, trigger_price=D(at_once))) == (1001, ["trigger_price"])
    beyond = str(200 - D(trigger_price))
    assert refused(replace(wanted, trigger_price=D(beyond))) == (1001, ["trigger_price"])


def test_which_price_is_looked_at_is_the_callers_choice() -> None:
    quote = replace(market().quote, last=D(104), mark=D(100), index=D(102))
    present = replace(market(), quote=quote)
    wanted = conditional_order(STOP, "103")

    assert admit(AccountStateFactory.build(), wanted, view=present)[1].trigger_by is TriggerBy.MARK
    admit(AccountStateFactory.build(), replace(wanted, trigger_by=TriggerBy.INDEX), view=present)
    assert refused(replace(wanted, trigger_by=TriggerBy.LAST), view=present) == (1001, ["trigger_price"])
    reached = replace(wanted, trigger_price=D(102))
    admit(AccountStateFactory.build(), reached, view=present)
    assert refused(replace(reached, trigger_by=TriggerBy.INDEX), view=present) == (1001, ["trigger_price"])


def test_an_untriggered_order_binds_no_margin_and_counts_as_open() -> None:
    account = AccountStateFactory.build()

    admit(account, conditional_order(STOP_LIMIT, "105", price="106"))

    assert account.open_orders[MARKET_ID] == OpenOrders(count=1)
    full = AccountStateFactory.build(open_orders={MARKET_ID: OpenOrders(count=5)})
    assert refused(conditional_order(STOP, "105"), full) == (3009, [])


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        (request(type=STOP), (1001, ["trigger_price"])),
        (request(trigger_price=D(105)), (1001, ["trigger_price"])),
        (request(trigger_by=TriggerBy.LAST), (1001, ["trigger_by"])),
        (conditional_order(STOP, "105", price="105"), (1001, ["price"])),
        (conditional_order(STOP_LIMIT, "105"), (1001, ["price"])),
        (conditional_order(STOP, "105", post_only=True), (1001, ["post_only"])),
        (conditional_order(STOP, "105.5"), (3002, [])),
        (conditional_order(TAKE_PROFIT, "-1"), (3002, [])),
        (conditional_order(STOP_LIMIT, "200", price="221"), (3008, [])),  # 10 % around the trigger, not the mark
        (conditional_order(STOP, "105", reduce_only=True), (3006, [])),
        (request(take_profit=D(110), reduce_only=True), (1001, ["reduce_only"])),
        (request(type=OrderType.TWAP), (1001, ["twap"])),
    ],
)
def test_parts_that_do_not_fit_are_refused(wanted: OrderRequest, refusal: tuple[int, list[str]]) -> None:
    assert refused(wanted) == refusal


def test_the_limit_of_a_conditional_order_may_lie_far_from_the_mark() -> None:
    _, order = admit(AccountStateFactory.build(), conditional_order(STOP_LIMIT, "200", price="220"))

    assert order.status == "untriggered"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stop_loss": D(100)}, "stop_loss"),
        ({"take_profit": D(100)}, "take_profit"),
        ({"side": Side.SELL, "stop_loss": D(100)}, "stop_loss"),
        ({"side": Side.SELL, "take_profit": D(100)}, "take_profit"),
        ({"price": "95", "stop_loss": D(96)}, "stop_loss"),
        ({"price": "105", "take_profit": D(100)}, "take_profit"),  # it enters at the market
        ({"type": STOP, "trigger_price": D(110), "take_profit": D(105)}, "take_profit"),
    ],
)
def test_protection_lies_on_its_side_of_the_entry(changes: dict[str, Any], field: str) -> None:
    assert refused(request(**changes)) == (1001, [field])


def test_protection_is_on_tick_and_may_lie_beyond_the_mark_of_an_order_that_rests() -> None:
    assert refused(request(stop_loss=D("90.5"))) == (3002, [])
    assert refused(request(take_profit=D("110.5"))) == (3002, [])
    admit(AccountStateFactory.build(), request(price="95", take_profit=D(96), stop_loss=D(94)))
    admit(AccountStateFactory.build(), conditional_order(STOP, "110", take_profit=D(111), stop_loss=D(109)))


def test_a_triggered_stop_takes_the_present_book_however_far_it_is() -> None:
    account, order = AccountStateFactory.build(), untriggered(quantity=D(2))
    gap = market(bids=(("118", "5"),), asks=(("120", "1"), ("121", "5")), mark="119", sequence=9)

    batch, changed = trigger(account, order, view=gap, board=board("119"))

    assert changed
    assert (order.status, order.filled_notional, order.reason) == ("filled", 241, "")
    assert (order.type, order.admitted_sequence) == (STOP, 9)
    assert [(row["from_status"], row["to_status"]) for row in batch.inserts["transition"]] == [
        ("untriggered", "filled")
    ]
    assert account.open_orders[MARKET_ID].count == 0
    assert kinds(batch) == ["trade_update", "trade_update", "order_update", "position_update", "balance_update"]


def test_what_a_triggered_stop_does_not_get_is_cancelled() -> None:
    order = untriggered(quantity=D(5))

    trigger(AccountStateFactory.build(), order, view=market(asks=(("101", "2"), ("150", "9"))))

    assert (order.status, order.filled_quantity, order.reason) == ("cancelled", 2, "no_liquidity")


def test_a_triggered_limit_takes_what_it_reaches_and_rests_with_the_rest() -> None:
    account = AccountStateFactory.build()
    order = untriggered(type=STOP_LIMIT, price=D(101), quantity=D(3))

    _, changed = trigger(account, order, view=market(sequence=9))

    assert changed
    assert (order.status, order.filled_quantity, order.admitted_sequence) == ("partially_filled", 1, 9)
    orders = account.open_orders[MARKET_ID]
    assert (orders.count, orders.buy_quantity, orders.buy_notional) == (1, 2, 202)


def test_a_triggered_limit_that_reaches_nothing_rests_whole() -> None:
    account, order = AccountStateFactory.build(), untriggered(type=TAKE_PROFIT_LIMIT, price=D(95))

    trigger(account, order)

    assert (order.status, account.open_orders[MARKET_ID].buy_quantity) == ("open", 1)


def test_fill_or_kill_is_decided_at_the_trigger() -> None:
    order = untriggered(type=STOP_LIMIT, price=D(101), quantity=D(3), time_in_force=TimeInForce.FOK)

    trigger(AccountStateFactory.build(), order)

    assert (order.status, order.filled_quantity, order.reason) == ("cancelled", 0, "not_fillable_at_once")


@pytest.mark.parametrize(
    ("account", "order", "changes", "end"),
    [
        ({}, {"quantity": D(200)}, {}, ("rejected", "insufficient_margin")),
        ({"user_state": "frozen"}, {}, {}, ("rejected", "user_frozen")),
        ({"state": "frozen"}, {}, {}, ("rejected", "account_frozen")),
        ({}, {}, {"terms": terms(status="closed")}, ("rejected", "market_not_trading")),
        ({}, {"type": STOP_LIMIT, "price": D(150)}, {}, ("rejected", "price_outside_band")),
        ({}, {"type": STOP_LIMIT, "price": D(102), "post_only": True}, {}, ("rejected", "post_only_would_take")),
        ({}, {"reduce_only": True}, {}, ("cancelled", "nothing_to_reduce")),
        ({}, {"side": Side.SELL}, {"terms": terms(type="spot")}, ("rejected", "insufficient_balance")),
    ],
)
def test_what_may_not_be_placed_now_ends(
    account: dict[str, Any], order: dict[str, Any], changes: dict[str, Any], end: tuple[str, str]
) -> None:
    state, waiting = AccountStateFactory.build(**account), untriggered(**order)

    batch, changed = trigger(state, waiting, **changes)

    assert changed
    assert (waiting.status, waiting.reason, waiting.filled_quantity) == (*end, 0)
    assert (state.cash.balance, state.open_orders[MARKET_ID].count, state.fill_count) == (10_000, 0, 0)
    assert "fill" not in batch.inserts
    assert kinds(batch) == ["order_update", "balance_update"]


def test_a_reduce_only_stop_is_cut_to_what_is_held() -> None:
    account = holding("-2")
    order = untriggered(quantity=D(5), reduce_only=True)

    batch, _ = trigger(account, order)

    assert (order.status, order.quantity, order.filled_quantity) == ("filled", 2, 2)
    assert account.positions[MARKET_ID].quantity == 0
    assert [row.get("change") for row in batch.inserts["transition"]] == [{"quantity": ["5", "2"]}, None]


def test_reducing_needs_no_margin() -> None:
    account = holding("-2")
    account.cash.balance = D(1)

    trigger(account, order := untriggered(quantity=D(2), reduce_only=True))

    assert order.status == "filled"


def test_a_stop_closes_even_where_what_still_rests_binds_more_without_the_position() -> None:
    """Buying back 2 leaves orders to buy 4, of which the short had bound half."""
    account = holding("-2")
    account.open_orders[MARKET_ID] = OpenOrders(count=1, buy_quantity=D(4), buy_notional=D(400))
    account.cash.balance = D(250)

    trigger(account, order := untriggered(quantity=D(2), reduce_only=True))

    assert (order.status, account.positions[MARKET_ID].quantity) == ("filled", 0)


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (OrderStatus.CANCELLED, {}),
        (OrderStatus.FILLED, {}),
        (OrderStatus.OPEN, {}),
        (OrderStatus.UNTRIGGERED, {"view": market(sequence=3)}),  # a book older than its admission
        (OrderStatus.UNTRIGGERED, {"stale": True}),
    ],
)
def test_nothing_happens_to_what_no_longer_waits_or_on_old_prices(status: OrderStatus, changes: dict[str, Any]) -> None:
    account = AccountStateFactory.build()
    order = untriggered(status=status, admitted_sequence=4)
    present = market(sequence=9)
    if changes.get("stale"):
        quote = replace(present.quote, at=present.quote.at - timedelta(seconds=11))
        changes = {"view": replace(present, quote=quote)}

    batch, changed = trigger(account, order, **{"view": present} | changes)

    assert (changed, batch.frames, batch.inserts) == (False, [], {})
    assert (order.status, order.version) == (status, 1)


def test_an_order_whose_time_is_over_expires_instead() -> None:
    order = untriggered(time_in_force=TimeInForce.GTT, expires_at=OrderStateFactory.admitted_at)

    trigger(AccountStateFactory.build(), order)

    assert (order.status, order.reason) == ("expired", "expired")


def test_it_triggers_once() -> None:
    account, order = AccountStateFactory.build(), untriggered()
    trigger(account, order)

    _, again = trigger(account, order)

    assert not again
    assert order.fill_count == 1


def test_own_orders_in_its_way_are_cancelled() -> None:
    own = OrderStateFactory.build(side=Side.SELL, price=D(101))
    account = AccountStateFactory.build(orders=[own], open_orders={MARKET_ID: OpenOrders(count=1)})

    trigger(account, order := untriggered())

    assert (own.status, own.reason, order.status) == ("cancelled", "self_trade_prevention", "filled")


def test_dust_can_be_reduced() -> None:
    """Below the minimum, as partial fills leave it."""
    account = holding("-0.001")
    rules = terms(min_quantity=D("0.01"))

    trigger(account, order := untriggered(quantity=D("0.001"), reduce_only=True), terms=rules)

    assert order.status == "filled"
    assert refused(request("0.001"), terms=rules)[0] == 3000


def test_a_refusal_is_named_as_its_error() -> None:
    error = type("AnythingGoesWrong", (AstradeError,), {})()

    assert conditional.reason_of(error) == "anything_goes_wrong"
    assert isinstance(order_margin(), Decimal)


def order_margin() -> Decimal:
    """Margin an untriggered limit order binds."""
    orders = OpenOrders()
    orders.add(untriggered(type=STOP_LIMIT, price=D(106)))
    return orders.buy_notional + orders.buy_quantity
