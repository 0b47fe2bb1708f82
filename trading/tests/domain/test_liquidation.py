"""What a liquidation takes: orders first, then the largest risk, as much as is needed and no more."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.messages import MarketView, Quote
from trading.domain import liquidation
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderStatus, Side
from trading.domain.liquidation import NoLiquidity, Policy, Step, next_step
from trading.domain.margin import Board, summarise
from trading.domain.state import AccountState, CashState
from trading.tests.factories import (
    AT,
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    PositionStateFactory,
    batch_of,
    terms,
    view,
)

POLICY = Policy(fee_share=D("0.25"), buffer=D("0.25"), stale_after_s=10)
DEEP = "1000"


def long_account(cash: str, **changes: Any) -> AccountState:
    """Long 50 bought at 100."""
    values: dict[str, Any] = {"cash": CashState(1, "USD", D(cash)), "leverage": {MARKET_ID: 10}}
    account = AccountStateFactory.build(**(values | changes))
    account.positions[MARKET_ID] = PositionStateFactory.build(
        quantity=D(50), entry_notional=D(5000), opened_quantity=D(50), opened_notional=D(5000), opened_at=AT
    )
    return account


def looked_at(bid: str, ask: str, *, size: str = DEEP, mark: str | None = None) -> MarketView:
    """A book of one level a side; the mark is the bid unless said."""
    return view(bids=((bid, size),), asks=((ask, size),), mark=mark or bid)


def board_of(*views: MarketView, **rules: Any) -> Board:
    """The market of the view, and more markets by their views."""
    markets = {MARKET_ID + n: terms(id=MARKET_ID + n, symbol=v.quote.symbol, **rules) for n, v in enumerate(views)}
    return Board(markets=markets, quotes={v.quote.symbol: v.quote for v in views})


def step(account: AccountState, seen: MarketView, **rules: Any) -> tuple[Step, Batch]:
    """One step on the account, with what it wrote."""
    batch = batch_of(account)
    return next_step(batch, view=seen, board=board_of(seen, **rules), policy=POLICY), batch


def kinds(batch: Batch) -> list[str]:
    """Of the events."""
    return [frame["kind"] for frame in batch.frames]


@pytest.mark.parametrize(("cash", "outcome"), [("545.01", Step.HEALTHY), ("545", Step.REDUCED)])
def test_it_begins_when_equity_is_down_to_maintenance(cash: str, outcome: Step) -> None:
    """50 at 90: 4,500 of value need 45; the position lost 500."""
    found, batch = step(long_account(cash), looked_at("90", "91"))

    assert found is outcome
    assert bool(batch.frames) == (outcome is Step.REDUCED)


def test_a_step_closes_what_brings_the_account_above_maintenance_with_the_buffer() -> None:
    """Equity 40 of 56.25 wanted; each unit frees 1.125 and costs 0.09 of fee and 0.225 of liquidation fee."""
    account = long_account("540")

    found, batch = step(account, looked_at("90", "91"))

    assert found is Step.REDUCED
    assert account.positions[MARKET_ID].quantity == 50 - D("20.062")  # 16.25 / 0.81, up to the step
    after = summarise(account, board_of(looked_at("90", "91")))
    assert after.maintenance * D("1.25") <= after.equity < after.maintenance * D("1.251")
    (row,) = batch.inserts["liquidation"]
    assert (row["quantity"], row["notional"], row["fee"]) == (D("20.062"), D("1805.58"), D("4.513950"))
    assert (row["equity"], row["maintenance"], row["insurance"]) == (40, 45, 0)
    assert (row["equity_after"], row["maintenance_after"]) == (after.equity, after.maintenance)
    (order,) = batch.orders.values()
    assert (order.source, order.side, order.reduce_only, order.status) == ("liquidation", "sell", True, "filled")
    assert kinds(batch) == ["trade_update", "liquidation", "order_update", "position_update", "balance_update"]
    told = batch.frames[1]["data"]
    assert told["order_id"] == str(order.uuid)
    assert (told["symbol"], told["side"], told["fee"], told["margin_ratio"]) == ("BTC-USD", "sell", "4.51395", "1.125")


def test_an_account_that_holds_nothing_is_healthy_however_poor() -> None:
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(0)), orders=[OrderStateFactory.build()])

    found, batch = step(account, looked_at("90", "91"))

    assert (found, batch.frames) == (Step.HEALTHY, [])


def test_fee_is_rounded_up_at_the_assets_scale() -> None:
    _, batch = step(long_account("540"), looked_at("90", "91"), maintenance_margin_rate=D("0.0100001"))

    (row,) = batch.inserts["liquidation"]
    owed = row["notional"] * D("0.0100001") * D("0.25")
    assert row["fee"] - D("0.000001") < owed < row["fee"]


def test_fee_goes_to_the_insurance_account() -> None:
    _, batch = step(long_account("540"), looked_at("90", "91"))

    entry = next(row for row in batch.inserts["entry"] if row["kind"] == "liquidation")
    lines = [row for row in batch.inserts["posting"] if row["entry_id"] == entry["id"]]
    assert [(line["ledger_account"], line["amount"]) for line in lines] == [
        ("cash", D("-4.513950")),
        ("insurance", D("4.513950")),
    ]


def test_orders_that_reserve_margin_go_first_and_protective_ones_stay() -> None:
    account = long_account("540")
    entry = OrderStateFactory.build(price=D(80), side=Side.BUY)
    protective = OrderStateFactory.build(price=D(120), side=Side.SELL, reduce_only=True)
    account.orders = [entry, protective]
    account.orders_on(MARKET_ID).add(entry)

    found, batch = step(account, looked_at("90", "91"))

    assert found is Step.CANCELLED
    assert (entry.status, entry.reason, protective.status) == (OrderStatus.CANCELLED, "liquidation", OrderStatus.OPEN)
    assert account.positions[MARKET_ID].quantity == 50
    assert summarise(account, board_of(looked_at("90", "91"))).initial == 450
    (row,) = batch.inserts["liquidation"]
    assert (row["orders_cancelled"], row["order_id"], row["fee"]) == (1, None, 0)
    assert sorted(kinds(batch)) == ["balance_update", "liquidation", "order_update"]
    assert step(account, looked_at("90", "91"))[0] is Step.REDUCED


def test_an_entry_that_waits_for_its_trigger_goes_too() -> None:
    account = long_account("540")
    waiting = OrderStateFactory.build(price=None, status=OrderStatus.UNTRIGGERED, trigger_price=D(120))
    account.orders = [waiting]

    assert step(account, looked_at("90", "91"))[0] is Step.CANCELLED
    assert waiting.status == OrderStatus.CANCELLED


def test_spot_goes_last_and_only_when_equity_is_used_up() -> None:
    """30 of spot and 50 of a perpetual: first the perpetual, and spot not before equity is down to nothing."""
    account = long_account("540")
    account.positions[MARKET_ID + 1] = PositionStateFactory.build(
        market_id=MARKET_ID + 1, quantity=D(30), entry_notional=D(2700), opened_at=AT
    )
    seen, other = looked_at("90", "91"), quote_of("BTCUSDT", "90")
    board = board_of(seen, MarketView(other, seen.book, D(0)))
    spot = terms(id=MARKET_ID + 1, symbol="BTCUSDT", type="spot", maintenance_margin_rate=D(0))
    markets = {MARKET_ID: board.markets[MARKET_ID], MARKET_ID + 1: spot}
    board = Board(markets=markets, quotes=board.quotes)

    assert liquidation.riskiest(account, board) is account.positions[MARKET_ID]
    del account.positions[MARKET_ID]
    spot_view = MarketView(other, seen.book, D(0))
    account.cash.balance = D("0.01")
    assert next_step(batch_of(account), view=spot_view, board=board, policy=POLICY) is Step.HEALTHY
    account.cash.balance = D("-0.01")
    assert next_step(batch_of(account), view=spot_view, board=board, policy=POLICY) is Step.REDUCED


def test_at_most_as_many_orders_as_a_booking_has_rows_for() -> None:
    account = long_account("540")
    account.orders = [OrderStateFactory.build() for _ in range(200)]

    _, batch = step(account, looked_at("90", "91"))

    assert batch.inserts["liquidation"][0]["orders_cancelled"] == liquidation.ORDERS_A_STEP
    assert sum(order.is_live for order in account.orders) == 50


def test_a_short_is_bought_back() -> None:
    account = long_account("540")
    account.positions[MARKET_ID].quantity = D(-50)

    found, batch = step(account, looked_at("109", "110", mark="110"))

    assert found is Step.REDUCED
    (order,) = batch.orders.values()
    assert (order.side, order.status) == ("buy", "filled")
    assert -50 < account.positions[MARKET_ID].quantity < 0
    after = summarise(account, board_of(looked_at("109", "110", mark="110")))
    assert after.equity >= after.maintenance * D("1.25")


@pytest.mark.parametrize(
    ("sign", "bid", "ask", "mark", "closed"),
    [
        (1, "89.8", "90.2", "90", "26.609"),  # 16.25 / (1.125 - 0.2 - 0.0898 - 0.2245)
        (-1, "109.8", "110.2", "110", "36.425"),  # 28.75 / (1.375 - 0.2 - 0.1102 - 0.2755)
    ],
)
def test_the_distance_from_mark_to_the_best_price_is_reckoned_in(
    sign: int, bid: str, ask: str, mark: str, closed: str
) -> None:
    account = long_account("540")
    account.positions[MARKET_ID].quantity *= sign

    step(account, looked_at(bid, ask, mark=mark))

    assert account.positions[MARKET_ID].quantity == sign * (50 - D(closed))


def test_the_position_with_the_largest_maintenance_margin_is_reduced() -> None:
    account = long_account("40")
    account.positions[MARKET_ID + 1] = PositionStateFactory.build(
        market_id=MARKET_ID + 1, quantity=D(3), entry_notional=D(6000), opened_at=AT
    )
    seen, other = looked_at("100", "101"), quote_of("ETH-USD", "2000")
    board = board_of(seen, MarketView(other, seen.book, D(0)))

    assert liquidation.riskiest(account, board) is account.positions[MARKET_ID + 1]
    assert next_step(batch_of(account), view=seen, board=board, policy=POLICY) is Step.ELSEWHERE
    board.markets[MARKET_ID + 1].maintenance_margin_rate = D("0.005")  # type: ignore[misc]
    assert liquidation.riskiest(account, board) is account.positions[MARKET_ID]


def test_a_market_that_does_not_trade_is_left_alone() -> None:
    account = long_account("540")

    assert step(account, looked_at("90", "91"), status="halted")[0] is Step.ILLIQUID
    assert step(account, looked_at("90", "91"), status="reduce_only")[0] is Step.REDUCED


def quote_of(symbol: str, price: str) -> Quote:
    """All prices alike."""
    return Quote(symbol, last=D(price), mark=D(price), index=D(price), bid=D(price), ask=D(price), at=AT)


@pytest.mark.parametrize("age_s", [10, 11])
def test_any_stale_mark_stops_it(age_s: int) -> None:
    """The second position's, too."""
    account, seen = long_account("40"), looked_at("90", "91")
    account.positions[MARKET_ID + 1] = PositionStateFactory.build(
        market_id=MARKET_ID + 1, quantity=D("0.001"), entry_notional=D("0.1"), opened_at=AT
    )
    other = quote_of("ETH-USD", "100")
    board = board_of(seen, MarketView(other, seen.book, D(0)))
    old = replace(other, at=AT - timedelta(seconds=age_s))
    aged = Board(markets=board.markets, quotes={seen.quote.symbol: seen.quote, old.symbol: old})

    batch = batch_of(account)

    assert (next_step(batch, view=seen, board=aged, policy=POLICY) is Step.STALE) == (age_s > 10)
    assert bool(batch.frames) == (age_s <= 10)


def test_a_position_without_any_mark_stops_it() -> None:
    account, seen = long_account("40"), looked_at("90", "91")
    account.positions[MARKET_ID + 1] = PositionStateFactory.build(
        market_id=MARKET_ID + 1, quantity=D(1), entry_notional=D(100), opened_at=AT
    )
    other = MarketView(quote_of("ETH-USD", "100"), seen.book, D(0))
    board = Board(markets=board_of(seen, other).markets, quotes={seen.quote.symbol: seen.quote})

    assert next_step(batch_of(account), view=seen, board=board, policy=POLICY) is Step.STALE


def test_bankruptcy_is_paid_by_the_insurance_and_cash_ends_at_zero() -> None:
    """Sold at 80: 500 less 1,000 of loss and 4 of fee; no liquidation fee is taken from nothing."""
    account = long_account("500")

    found, batch = step(account, looked_at("80", "81"))

    assert found is Step.REDUCED
    assert (account.positions[MARKET_ID].quantity, account.cash.balance) == (0, 0)
    (row,) = batch.inserts["liquidation"]
    assert (row["fee"], row["insurance"], row["equity"], row["equity_after"]) == (0, 504, -500, 0)
    paid = [line for line in batch.inserts["posting"] if line["ledger_account"] == "insurance"]
    assert [line["amount"] for line in paid] == [-504]
    assert batch.frames[-1]["data"]["balance"] == "0"


def test_insurance_waits_while_a_profit_may_still_pay() -> None:
    """Cash below zero is covered by what another position has won."""
    account = long_account("500")
    account.positions[MARKET_ID + 1] = PositionStateFactory.build(
        market_id=MARKET_ID + 1, quantity=D(10), entry_notional=D(1000), opened_at=AT
    )
    seen, other = looked_at("80", "81"), quote_of("ETH-USD", "150.5")
    board = board_of(seen, MarketView(other, seen.book, D(0)))

    assert next_step(batch_of(account), view=seen, board=board, policy=POLICY) is Step.REDUCED

    assert account.positions[MARKET_ID].quantity == 0
    assert account.cash.balance == -505  # 500 less the loss, 4 of fee, and the 1 that the other profit leaves as fee
    assert summarise(account, board).equity == 0


def test_nobody_in_the_book_writes_nothing() -> None:
    account, seen = long_account("540"), looked_at("90", "91")
    empty = MarketView(seen.quote, type(seen.book)("BTC-USD", 1, (), (), AT), D(0))

    with pytest.raises(NoLiquidity):
        step(account, empty)


def test_a_thin_book_fills_what_it_has_and_the_next_step_goes_on() -> None:
    account = long_account("540")

    found, batch = step(account, looked_at("90", "91", size="5"))

    assert found is Step.REDUCED
    (order,) = batch.orders.values()
    assert (order.filled_quantity, order.status, order.reason) == (5, "cancelled", "no_liquidity")
    assert account.positions[MARKET_ID].quantity == 45


@pytest.mark.parametrize(
    ("rules", "held", "closed"),
    [
        ({"min_quantity": D(25)}, "50", "25"),  # at least the minimum
        ({"min_quantity": D(30)}, "50", "50"),  # the rest would be below the minimum
        ({"max_quantity": D(7)}, "50", "7"),
        ({"taker_fee_rate": D("0.02")}, "50", "50"),  # closing costs more than it frees
    ],
)
def test_size_of_a_step(rules: dict[str, Decimal], held: str, closed: str) -> None:
    account = long_account("540")

    step(account, looked_at("90", "91"), **rules)

    assert account.positions[MARKET_ID].quantity == D(held) - D(closed)


amounts = st.integers(1, 10**6).map(lambda n: D(n).scaleb(-3))


@given(st.sampled_from([1, -1]), amounts, st.integers(1, 300), st.integers(20, 500), st.integers(0, 1000))
def test_a_deep_book_needs_one_step_and_never_turns_the_position(
    sign: int, quantity: Decimal, price: int, rate_bps: int, equity_share: int
) -> None:
    """From any equity between nothing and maintenance: above maintenance after one step, or flat and not in debt."""
    rate, mark = D(rate_bps).scaleb(-4), D(price)
    value = quantity * mark
    equity = value * rate * equity_share / 1000
    account = AccountStateFactory.build(cash=CashState(1, "USD", equity), leverage={MARKET_ID: 1})
    account.positions[MARKET_ID] = PositionStateFactory.build(
        quantity=sign * quantity, entry_notional=value, opened_quantity=quantity, opened_notional=value, opened_at=AT
    )
    seen = looked_at(str(price), str(price), size=str(quantity))

    found, batch = step(account, seen, maintenance_margin_rate=rate, max_quantity=D(10**9))

    assert found is Step.REDUCED
    left, after = (
        account.positions[MARKET_ID].quantity,
        summarise(account, board_of(seen, maintenance_margin_rate=rate)),
    )
    assert 0 <= left * sign < quantity
    assert after.equity >= 0
    assert after.equity > after.maintenance if left else account.cash.balance >= 0
    assert sum(row["amount"] for row in batch.inserts["posting"]) == 0
