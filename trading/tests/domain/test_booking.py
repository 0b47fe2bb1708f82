"""What one booking writes: orders, fills, ledger and events, decided without a database."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any
from uuid import uuid4

import orjson
import pytest

from astrade.core.errors import AstradeError
from trading.domain import booking
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderStatus, Side, TimeInForce
from trading.domain.state import AccountState, OpenOrders, OrderRequest, OrderState
from trading.tests.factories import (
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    PositionStateFactory,
    batch_of,
    board,
    book,
    request,
    terms,
    view,
)
from trading.writer import document_of

BIDS = (("99", "1"), ("98", "2"), ("97", "100"))
ASKS = (("101", "1"), ("102", "2"), ("103", "100"))
LIMITS = Limits(open_orders_max=5, stale_after_s=10.0)


def admit(account: AccountState, wanted: OrderRequest, **changes: Any) -> tuple[Batch, OrderState]:
    """One order against the book above; marks at 100."""
    batch = batch_of(account)
    values: dict[str, Any] = {"terms": terms(), "view": view(bids=BIDS, asks=ASKS), "board": board("100")} | changes
    order = booking.admit(batch, wanted, limits=LIMITS, fingerprint="f", **values)
    return batch, order


def kinds(batch: Batch) -> list[str]:
    """What is told, in order."""
    return [frame["type"] for frame in batch.frames]


def postings(batch: Batch) -> list[tuple[str, Decimal]]:
    """Account and amount of each line."""
    return [(row["ledger_account"], row["amount"]) for row in batch.inserts.get("posting", [])]


def test_market_order_fills_over_levels_and_books_each() -> None:
    account = AccountStateFactory.build()

    batch, order = admit(account, request("2"))

    assert (order.status, order.filled_quantity, order.filled_notional, order.fee) == ("filled", 2, 203, D("0.203"))
    assert order.time_in_force is TimeInForce.IOC
    assert [(row["price"], row["quantity"], row["number"]) for row in batch.inserts["fill"]] == [
        (101, 1, 1),
        (102, 1, 2),
    ]
    assert postings(batch) == [("cash", D("-0.101")), ("fees", D("0.101")), ("cash", D("-0.102")), ("fees", D("0.102"))]
    assert account.cash.balance == D("9999.797")
    assert account.positions[MARKET_ID].entry_notional == 203
    assert [(row["from_status"], row["to_status"]) for row in batch.inserts["transition"]] == [("new", "filled")]


def test_events_come_in_the_order_of_what_happened() -> None:
    batch, _ = admit(AccountStateFactory.build(sequence=41), request("2"))

    assert kinds(batch) == ["trade_update", "trade_update", "order_update", "position_update", "balance_update"]
    assert [frame["sequence"] for frame in batch.frames] == [42, 43, 44, 45, 46]
    assert [row["sequence"] for row in batch.inserts["event"]] == [42, 43, 44, 45, 46]
    assert batch.account.sequence == 46


def test_closing_books_pnl_before_the_fee_and_tells_of_the_closed_position() -> None:
    account = AccountStateFactory.build()
    admit(account, request("1", side=Side.SELL))  # at 99, fee 0.099

    batch, _ = admit(account, request("1"))  # at 101, fee 0.101

    assert postings(batch) == [("cash", D(-2)), ("trading", D(2)), ("cash", D("-0.101")), ("fees", D("0.101"))]
    assert [row["kind"] for row in batch.inserts["entry"]] == ["trade_pnl", "commission"]
    assert [row["number"] for row in batch.inserts["entry"]] == [2, 3]
    assert account.cash.balance == D("9997.8")
    (closed,) = batch.inserts["closed_position"]
    assert (closed["side"], closed["realized_pnl"], closed["fees"]) == ("sell", -2, D("0.2"))
    frame = next(frame["data"] for frame in batch.frames if frame["type"] == "position_update")
    assert (frame["side"], frame["is_open"], frame["quantity"]) == ("short", False, "1")
    assert (frame["entry_price"], frame["mark_price"], frame["realized_pnl"]) == ("99", "101", "-2")
    assert frame["closed_at"] is not None


def test_a_flip_tells_of_the_position_that_ended_and_of_the_new_one() -> None:
    account = AccountStateFactory.build()
    admit(account, request("1"))

    batch, _ = admit(account, request("2", side=Side.SELL))

    told = [frame["data"] for frame in batch.frames if frame["type"] == "position_update"]
    assert [(body["side"], body["quantity"], body["is_open"]) for body in told] == [
        ("long", "1", False),
        ("short", "1", True),
    ]
    assert told[0]["id"] != told[1]["id"]


def test_limit_order_takes_what_it_may_and_rests() -> None:
    account = AccountStateFactory.build()

    batch, order = admit(account, request("5", price="102"))

    assert (order.status, order.filled_quantity) == (OrderStatus.PARTIALLY_FILLED, 3)
    assert account.open_orders[MARKET_ID] == OpenOrders(count=1, buy_quantity=D(2), buy_notional=D(204))
    assert order.admitted_sequence == 1
    assert kinds(batch)[-3:] == ["order_update", "position_update", "balance_update"]


def test_limit_order_that_crosses_nothing_rests_without_a_fill() -> None:
    batch, order = admit(AccountStateFactory.build(), request(price="100"))

    assert (order.status, kinds(batch)) == (OrderStatus.OPEN, ["order_update", "balance_update"])
    assert "fill" not in batch.inserts
    assert "posting" not in batch.inserts


@pytest.mark.parametrize(
    ("wanted", "status", "filled", "reason"),
    [
        (request("5", price="102", time_in_force=TimeInForce.IOC), "cancelled", 3, "not_fillable_at_once"),
        (request("5", price="102", time_in_force=TimeInForce.FOK), "cancelled", 0, "not_fillable_at_once"),
        (request("3", price="102", time_in_force=TimeInForce.FOK), "filled", 3, ""),
        (request("1000", side=Side.SELL), "cancelled", 103, "no_liquidity"),
    ],
)
def test_orders_that_do_not_wait(wanted: OrderRequest, status: str, filled: int, reason: str) -> None:
    rich = AccountStateFactory.build(max_leverage=50)
    rich.cash.balance = D(10**6)

    _, order = admit(rich, wanted)

    assert (order.status, order.filled_quantity, order.reason) == (status, filled, reason)
    assert rich.orders_on(MARKET_ID).count == 0


def test_what_an_account_took_from_a_book_is_gone_for_its_next_order() -> None:
    split, whole = AccountStateFactory.build(), AccountStateFactory.build()
    paid = [admit(split, request("0.75"))[1].filled_notional for _ in range(4)]

    assert sum(paid) == admit(whole, request("3"))[1].filled_notional == 305
    assert admit(split, request("1"), view=view(bids=BIDS, asks=ASKS, sequence=2))[1].filled_notional == 101


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (request("0.0001", leverage=99), 3000),
        (request("1", price="150", leverage=99), 3008),
        (request("1", leverage=99), 3005),
        (request("1", reduce_only=True), 3006),
        (request("1", price="105", post_only=True), 3007),
        (request("100"), 3003),
    ],
)
def test_first_fault_in_order_is_the_one_named(wanted: OrderRequest, code: int) -> None:
    with pytest.raises(AstradeError) as refusal:
        admit(AccountStateFactory.build(), wanted)
    assert refusal.value.code == code


def test_margin_counts_the_loss_that_a_fill_begins_with() -> None:
    """98 at 103 while the mark is 100 binds 9,800 and loses some 300 at once, and the fee: more than there is."""
    with pytest.raises(AstradeError) as refusal:
        admit(AccountStateFactory.build(), request("98"))
    figures = refusal.value.details
    assert refusal.value.code == 3003
    assert D(figures["required"]) == 98 * 100 + (98 * 3 - 4) + D("10.09")
    assert figures["available"] == "10000"


def test_leverage_of_an_order_becomes_the_markets() -> None:
    account = AccountStateFactory.build()

    batch, order = admit(account, request("98", leverage=10))

    assert (order.leverage, account.leverage, batch.leverage) == (10, {MARKET_ID: 10}, {MARKET_ID: 10})


# Resting orders


def resting(account: AccountState, **changes: Any) -> OrderState:
    """An order of the account that waits."""
    order: OrderState = OrderStateFactory.build(**changes)
    account.orders_on(MARKET_ID).add(order)
    return order


def fill(account: AccountState, order: OrderState, *, asks: str = "100", size: str = "1", through: bool = False) -> Any:
    """A tick with this much against the order; None where nothing was booked."""
    batch = batch_of(account)
    against = book(bids=((asks, size),), asks=((asks, size),), sequence=9)
    done = booking.fill_resting(batch, order, board=board("100"), book=against, traded_through=through)
    return batch if done else None


def test_resting_order_is_filled_as_maker_at_its_price() -> None:
    account = AccountStateFactory.build()
    order = resting(account, quantity=D(3), price=D(100))

    batch = fill(account, order, asks="95", size="2")

    assert (order.status, order.filled_quantity, order.filled_notional) == ("partially_filled", 2, 200)
    (row,) = batch.inserts["fill"]
    assert (row["is_taker"], row["fee"], row["book_sequence"]) == (False, D("0.1"), 9)
    assert row["venue_trade_id"] == f"{order.uuid}:1"
    assert account.open_orders[MARKET_ID].buy_notional == 100
    assert fill(account, order, asks="95", size="2") is None  # the same book has nothing more for this account
    assert fill(account, order, through=True) is not None
    assert (order.status, account.open_orders[MARKET_ID].count) == ("filled", 0)


@pytest.mark.parametrize("status", [OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED])
def test_an_order_that_ended_gets_nothing(status: OrderStatus) -> None:
    account = AccountStateFactory.build()

    assert fill(account, OrderStateFactory.build(status=status), through=True) is None
    assert account.sequence == 0


def test_reduce_only_is_cut_to_the_position_and_ends_with_it() -> None:
    account = AccountStateFactory.build()
    account.positions[MARKET_ID] = PositionStateFactory.build(
        quantity=D(1), entry_notional=D(90), opened_quantity=D(1), opened_notional=D(90)
    )
    order = resting(account, side=Side.SELL, quantity=D(3), reduce_only=True)

    assert fill(account, order, through=True) is not None
    assert (order.status, order.filled_quantity, account.positions[MARKET_ID].quantity) == ("partially_filled", 1, 0)

    assert fill(account, order, through=True) is not None
    assert (order.status, order.reason) == ("cancelled", "nothing_to_reduce")


def test_cancelling_frees_what_the_order_bound_and_happens_once() -> None:
    account = AccountStateFactory.build()
    order, batch = resting(account), batch_of(account)

    booking.cancel(batch, order, board=board("100"), reason="requested")

    assert (order.status, order.reason, account.open_orders[MARKET_ID].count) == ("cancelled", "requested", 0)
    assert kinds(batch) == ["order_update", "balance_update"]
    with pytest.raises(AstradeError) as refusal:
        booking.cancel(batch, order, board=board("100"), reason="again")
    assert (refusal.value.code, refusal.value.details) == (3010, {"status": "cancelled"})


def test_same_inputs_give_the_same_document_to_the_byte() -> None:
    def document(simulator: str) -> bytes:
        account = AccountStateFactory.build(simulator=simulator)
        batch, _ = admit(account, request("2"))
        return orjson.dumps(document_of(batch), default=str, option=orjson.OPT_NON_STR_KEYS)

    for simulator in ("realistic", "classic"):
        assert document(simulator) == document(simulator)


def test_orders_of_a_booking_carry_all_columns() -> None:
    batch, order = admit(AccountStateFactory.build(), request("1", tag="x"))

    (row,) = document_of(batch)["order"]
    values = {name: value for name, value in asdict(order).items() if name not in ("parent_uuid", "twap")}
    assert row == values | {"account_id": 1}


def test_a_booking_that_needs_more_rows_than_a_block_fails() -> None:
    account = AccountStateFactory.build()
    batch = Batch(account, now=OrderStateFactory.build().created_at, new_uuid=uuid4, row_ids=1)
    batch.next_id()

    with pytest.raises(OverflowError):
        batch.next_id()
