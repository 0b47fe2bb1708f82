"""What a venue's evidence makes of an order, in whatever order and number it comes."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.errors import OrderTypeNotOffered
from trading.domain import booking, live
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderSource, OrderStatus, OrderType, Side, TimeInForce
from trading.domain.reports import ShownOrder, VenueTrade
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.tests.factories import (
    AT,
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    batch_of,
    board,
    request,
    terms,
    view,
)

S = OrderStatus
BOARD = board("100")
VIEW = view(bids=(("99", "1"),), asks=(("101", "1"),))
LIMITS = Limits(open_orders_max=5, stale_after_s=10.0)


def account() -> AccountState:
    """One at a venue."""
    made: AccountState = AccountStateFactory.build(venue="extended")
    return made


def sent(status: OrderStatus = S.SUBMITTED, quantity: str = "3") -> tuple[Batch, OrderState]:
    """A limit order that went out, and what it reserves."""
    holder = account()
    order = OrderStateFactory.build(status=status, quantity=D(quantity))
    if order.is_live:
        holder.orders_on(MARKET_ID).add(order)
    return batch_of(holder), order


def trade(number: int, quantity: str = "1", price: str = "100") -> VenueTrade:
    return VenueTrade(
        trade_id=str(number),
        venue_order_id=5,
        symbol="BTC-USD",
        side=Side.BUY,
        price=D(price),
        quantity=D(quantity),
        fee=D("0.025"),
        is_taker=True,
        at=AT - timedelta(seconds=number),
    )


def shown(status: OrderStatus, reason: str = "", filled: str = "0") -> ShownOrder:
    return ShownOrder(
        venue_order_id=5,
        external_id="x",
        symbol="BTC-USD",
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTT,
        quantity=D(3),
        price=D(100),
        post_only=False,
        reduce_only=False,
        status=status,
        reason=reason,
        filled_quantity=D(filled),
        expires_at=None,
        at=AT,
    )


def reserved(batch: Batch) -> tuple[int, Decimal]:
    sums = batch.account.orders_on(MARKET_ID)
    return sums.count, sums.buy_quantity


def admit(wanted: OrderRequest) -> tuple[Batch, OrderState]:
    batch = batch_of(account())
    order = booking.admit(
        batch, wanted, terms=terms(), view=VIEW, board=BOARD, limits=LIMITS, fingerprint="f", travels=False
    )
    return batch, order


@pytest.mark.parametrize("wanted", [request("2"), request("2", price="100")])
def test_an_order_of_an_account_at_a_venue_is_submitted_with_its_margin_and_fills_nothing(wanted: OrderRequest) -> None:
    batch, order = admit(wanted)

    assert (order.status, order.arrives_at, order.filled_quantity) == (S.SUBMITTED, None, 0)
    assert reserved(batch) == (1, 2)
    assert "fill" not in batch.inserts


@pytest.mark.parametrize(
    "wanted",
    [
        request("2", price="100", time_in_force=TimeInForce.FOK),
        request("2", price="100", leverage=3),
    ],
)
def test_what_is_not_sent_to_a_venue_is_refused(wanted: OrderRequest) -> None:
    with pytest.raises(OrderTypeNotOffered):
        admit(wanted)


def test_a_market_of_another_venue_is_not_offered() -> None:
    with pytest.raises(OrderTypeNotOffered):
        booking.admit(
            batch_of(account()),
            request("1"),
            terms=terms(venue="binance"),
            view=VIEW,
            board=BOARD,
            limits=LIMITS,
            fingerprint="f",
        )


def test_an_order_without_an_answer_keeps_its_margin() -> None:
    batch, order = sent()

    assert live.lose(batch, order, board=BOARD, reason="timeout").changed
    assert not live.lose(batch, order, board=BOARD, reason="timeout").changed
    assert (order.status, reserved(batch)) == (S.UNKNOWN, (1, 3))


@pytest.mark.parametrize("status", [S.SUBMITTED, S.UNKNOWN])
def test_a_refusal_frees_the_margin(status: OrderStatus) -> None:
    batch, order = sent(status)

    assert live.refuse(batch, order, board=BOARD, reason="1140").changed
    assert (order.status, reserved(batch)) == (S.REJECTED, (0, 0))


@pytest.mark.parametrize("status", [S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED])
def test_a_refusal_that_comes_late_changes_nothing(status: OrderStatus) -> None:
    batch, order = sent(status)

    assert not live.refuse(batch, order, board=BOARD, reason="1140").changed
    assert order.status is status


def test_a_trade_that_overtakes_the_answer_is_booked_and_the_answer_says_nothing_new() -> None:
    batch, order = sent()

    live.book_trade(batch, order, trade(1), board=BOARD)
    assert not live.acknowledge(batch, order, board=BOARD).changed
    assert (order.status, order.filled_quantity, reserved(batch)) == (S.PARTIALLY_FILLED, 1, (1, 2))


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED])
def test_a_part_that_overtook_the_end_is_booked_and_the_status_stays_until_nothing_remains(status: OrderStatus) -> None:
    batch, order = sent(status)

    assert live.book_trade(batch, order, trade(1), board=BOARD).anomaly is None
    assert (order.status, order.filled_quantity, reserved(batch)) == (status, 1, (0, 0))
    live.book_trade(batch, order, trade(2, "2"), board=BOARD)
    assert (order.status, order.filled_quantity, reserved(batch)) == (S.FILLED, 3, (0, 0))


def test_a_trade_of_a_rejected_order_is_booked_and_strange() -> None:
    batch, order = sent(S.REJECTED)

    assert live.book_trade(batch, order, trade(1), board=BOARD).anomaly == live.FILLED_AFTER_REJECTION
    assert (order.status, reserved(batch)) == (S.PARTIALLY_FILLED, (1, 2))


def test_a_trade_beyond_the_order_is_booked_and_strange() -> None:
    batch, order = sent(S.OPEN, quantity="1")

    assert live.book_trade(batch, order, trade(1, "1.5"), board=BOARD).anomaly == live.OVERFILLED
    assert (order.status, order.quantity, order.filled_quantity, reserved(batch)) == (
        S.FILLED,
        D("1.5"),
        D("1.5"),
        (0, 0),
    )
    assert batch.account.positions[MARKET_ID].quantity == D("1.5")


def test_a_rejected_order_that_the_venue_shows_lives_again_and_is_strange() -> None:
    batch, order = sent(S.REJECTED)

    assert live.apply_order(batch, order, shown(S.OPEN), board=BOARD).anomaly == live.REVIVED
    assert (order.status, reserved(batch)) == (S.OPEN, (1, 3))


def test_an_order_shown_as_filled_waits_for_its_trades() -> None:
    batch, order = sent()

    live.apply_order(batch, order, shown(S.FILLED, filled="3"), board=BOARD)
    assert (order.status, order.filled_quantity) == (S.OPEN, 0)
    live.book_trade(batch, order, trade(1, "3"), board=BOARD)
    assert (order.status, reserved(batch)) == (S.FILLED, (0, 0))


def test_an_order_rejected_after_a_part_was_filled_ends_as_cancelled() -> None:
    batch, order = sent(S.PARTIALLY_FILLED)
    order.filled_quantity = D(1)

    live.apply_order(batch, order, shown(S.REJECTED, "reduce_only_failed"), board=BOARD)
    assert (order.status, order.reason) == (S.CANCELLED, "reduce_only_failed")


def test_a_venues_rebate_and_time_stand_on_the_fill_and_nothing_insures_the_account() -> None:
    batch, order = sent(S.OPEN)
    batch.account.cash.balance = D(-50)

    live.book_trade(batch, order, trade(1), board=BOARD)

    (row,) = batch.inserts["fill"]
    assert (row["venue_trade_id"], row["at"], row["fee"]) == ("1", AT - timedelta(seconds=1), D("0.025"))
    assert batch.account.cash.balance == D("-50.025")


@pytest.mark.parametrize(
    ("status", "as_what", "bound"),
    [
        (S.OPEN, S.OPEN, 3),
        (S.PARTIALLY_FILLED, S.OPEN, 3),
        (S.FILLED, S.OPEN, 3),
        (S.CANCELLED, S.CANCELLED, 0),
        (S.EXPIRED, S.EXPIRED, 0),
        (S.REJECTED, S.REJECTED, 0),
    ],
)
def test_a_foreign_order_is_adopted_as_it_is(status: OrderStatus, as_what: OrderStatus, bound: int) -> None:
    batch = batch_of(account())

    order = live.adopt(batch, shown(status), board=BOARD, market_id=MARKET_ID, rules_id=3)

    assert (order.source, order.status, order.venue_order_id) == (OrderSource.EXTERNAL, as_what, 5)
    assert reserved(batch)[1] == bound


EVIDENCE = st.sampled_from(["answer", "lost", "new", "trade1", "trade2", "cancelled"])


@given(st.lists(EVIDENCE, max_size=8), st.permutations(["trade1", "trade2", "cancelled"]))
def test_any_order_of_evidence_ends_alike(before: list[str], last: list[str]) -> None:
    """All of the venue's evidence came at least once: two trades of 1, then cancelled."""
    batch, order = sent()
    booked: set[str] = set()
    for evidence in [*before, *last]:
        match evidence:
            case "answer":
                live.acknowledge(batch, order, board=BOARD)
            case "lost":
                live.lose(batch, order, board=BOARD, reason="timeout")
            case "new":
                live.apply_order(batch, order, shown(S.OPEN), board=BOARD)
            case "trade1" | "trade2" if evidence not in booked:
                booked.add(evidence)
                live.book_trade(batch, order, trade(int(evidence[-1])), board=BOARD)
            case "cancelled":
                live.apply_order(batch, order, shown(S.CANCELLED, "requested", filled="2"), board=BOARD)

    assert (order.status, order.filled_quantity, order.fee) == (S.CANCELLED, 2, D("0.05"))
    assert reserved(batch) == (0, 0)
    assert batch.account.positions[MARKET_ID].quantity == 2
    assert batch.account.cash.balance == D("9999.95")
    assert [frame["sequence"] for frame in batch.frames] == list(range(1, len(batch.frames) + 1))
