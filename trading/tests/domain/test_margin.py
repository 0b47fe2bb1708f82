"""Margin: the worst of both sides, equity, and the price at which it is over."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trading.domain.margin import Board, MarginSummary, initial_margin, liquidation_price, summarise, unrealized_pnl
from trading.domain.state import CashState, OpenOrders
from trading.tests.factories import MARKET_ID, AccountStateFactory, D, PositionStateFactory, board, terms


def orders(*, buy: str = "0", sell: str = "0") -> OpenOrders:
    """Open orders by notional; quantities at 100."""
    return OpenOrders(
        count=1, buy_notional=D(buy), buy_quantity=D(buy) / 100, sell_notional=D(sell), sell_quantity=D(sell) / 100
    )


@pytest.mark.parametrize(
    ("exposure", "buy", "sell", "leverage", "bound"),
    [
        ("0", "0", "0", 1, "0"),
        ("1000", "0", "0", 1, "1000"),
        ("-1000", "0", "0", 10, "100"),
        ("0", "500", "0", 5, "100"),
        ("0", "500", "700", 1, "700"),
        ("1000", "500", "0", 1, "1500"),
        ("1000", "0", "500", 1, "1000"),  # reducing orders bind nothing
        ("1000", "0", "2500", 1, "1500"),  # but what they would open the other way
        ("-1000", "2500", "0", 1, "1500"),
        ("-1000", "400", "100", 1, "1100"),
    ],
)
def test_initial_margin_is_the_worst_of_both_sides(
    exposure: str, buy: str, sell: str, leverage: int, bound: str
) -> None:
    assert initial_margin(exposure=D(exposure), orders=orders(buy=buy, sell=sell), leverage=leverage) == D(bound)


def test_unrealised_pnl_of_long_and_short() -> None:
    long = PositionStateFactory.build(quantity=D(2), entry_notional=D(200))
    short = PositionStateFactory.build(quantity=D(-2), entry_notional=D(200))

    assert [unrealized_pnl(position, mark=D(90)) for position in (long, short)] == [-20, 20]


def test_summary_of_a_leveraged_long_with_an_open_order() -> None:
    account = AccountStateFactory.build(leverage={MARKET_ID: 5})
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(10), entry_notional=D(1000))
    account.open_orders[MARKET_ID] = orders(buy="500")

    summary = summarise(account, board("110"))

    assert (summary.balance, summary.unrealized_pnl, summary.equity) == (10_000, 100, 10_100)
    assert (summary.initial, summary.maintenance) == ((1100 + 500) / D(5), 11)
    assert (summary.available, summary.withdrawable) == (9780, 9680)
    assert summary.ratio == D("0.001089")


def test_nothing_withdrawable_and_ratio_one_when_under_water() -> None:
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(100)))
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(10), entry_notional=D(2000))

    summary = summarise(account, board("100"))

    assert (summary.equity, summary.available, summary.withdrawable, summary.ratio) == (-900, -1900, 0, 1)


def test_ratio_is_one_when_nothing_is_left() -> None:
    nothing = MarginSummary(balance=D(-5), unrealized_pnl=D(5), initial=D(10), maintenance=D(1))
    assert nothing.ratio == 1


def test_orders_of_a_market_without_a_position_bind_margin_too() -> None:
    account = AccountStateFactory.build(open_orders={MARKET_ID: orders(buy="500")})
    assert summarise(account, board("100")).initial == 500


def test_without_a_price_a_position_is_carried_at_entry() -> None:
    account = AccountStateFactory.build()
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(-3), entry_notional=D(100))
    unknown = Board(markets={MARKET_ID: terms()}, quotes={})

    assert round(summarise(account, unknown).unrealized_pnl, 20) == 0
    assert unknown.mark_of(PositionStateFactory.build()) == 0


def test_liquidation_price_of_a_simple_long_and_short() -> None:
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(500)), leverage={MARKET_ID: 10})
    position = account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(10), entry_notional=D(1000))
    market = terms(maintenance_margin_rate=D("0.01"))

    def price() -> Decimal | None:
        return liquidation_price(position, summary=summarise(account, board("100", market)), mark=D(100), market=market)

    assert price() == 51  # 500 + 10 (P - 100) = 0.1 P  =>  P = 50.505..., up to the tick
    position.quantity = D(-10)
    assert price() == 148  # 500 - 10 (P - 100) = 0.1 P  =>  P = 148.51..., down to the tick


@pytest.mark.parametrize("cash", ["100", "10000"])
def test_a_fully_covered_long_has_no_liquidation_price(cash: str) -> None:
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(cash)))
    position = account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(1), entry_notional=D(100))

    assert liquidation_price(
        position, summary=summarise(account, board("100")), mark=D(100), market=terms()
    ) is None  # fmt: skip


amounts = st.integers(1, 10**7).map(lambda n: D(n).scaleb(-2))


@given(st.sampled_from([1, -1]), amounts, amounts, amounts, st.integers(-(10**6), 10**7), st.integers(1, 300))
def test_liquidation_price_solves_its_equation(
    sign: int, quantity: Decimal, entry: Decimal, mark: Decimal, cash: int, rate_bps: int
) -> None:
    """At the price equity equals maintenance, but for the rounding to a tick, which is towards safety."""
    rate, tick = D(rate_bps).scaleb(-4), D("0.01")
    market = terms(maintenance_margin_rate=rate, tick_size=tick)
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(cash)))
    position = PositionStateFactory.build(quantity=sign * quantity, entry_notional=quantity * entry)
    account.positions[MARKET_ID] = position
    summary = summarise(account, board(str(mark), market))

    price = liquidation_price(position, summary=summary, mark=mark, market=market)
    assume(price is not None and price > tick)
    assert price is not None

    def spare(at: Decimal) -> Decimal:
        worth = summarise(account, board(str(at), market))
        return worth.equity - worth.maintenance

    assert spare(price) >= 0 > spare(price - sign * tick)


@given(st.sampled_from([1, -1]), amounts, amounts, amounts, amounts, st.integers(0, 10**6), st.integers(1, 300))
def test_at_the_liquidation_price_of_one_of_two_positions_equity_is_maintenance(
    sign: int, quantity: Decimal, entry: Decimal, mark: Decimal, other: Decimal, cash: int, rate_bps: int
) -> None:
    """All else unchanged: an open order and another market's position, which binds and wins or loses, included."""
    tick = D("0.01")
    market = terms(maintenance_margin_rate=D(rate_bps).scaleb(-4), tick_size=tick)
    second = terms(id=MARKET_ID + 1, symbol="ETH-USD", maintenance_margin_rate=D("0.005"))
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(cash)), leverage={MARKET_ID: 5})
    position = PositionStateFactory.build(quantity=sign * quantity, entry_notional=quantity * entry)
    account.positions = {
        MARKET_ID: position,
        MARKET_ID + 1: PositionStateFactory.build(
            market_id=MARKET_ID + 1, quantity=-sign * other, entry_notional=other * 50
        ),
    }
    account.open_orders[MARKET_ID] = orders(buy="500", sell="70")
    fixed = board("60", second).quotes

    def worth(at: Decimal) -> MarginSummary:
        quotes = {**fixed, **board(str(at), market).quotes}
        return summarise(account, Board(markets={MARKET_ID: market, MARKET_ID + 1: second}, quotes=quotes))

    price = liquidation_price(position, summary=worth(mark), mark=mark, market=market)
    assume(price is not None and price > tick)
    assert price is not None

    at_price, a_tick_beyond = worth(price), worth(price - sign * tick)
    assert at_price.equity >= at_price.maintenance
    assert a_tick_beyond.equity < a_tick_beyond.maintenance


@given(amounts, amounts, amounts, st.integers(1, 100))
def test_an_order_never_binds_less_than_before(exposure: Decimal, buy: Decimal, sell: Decimal, leverage: int) -> None:
    none, both = OpenOrders(), OpenOrders(buy_notional=buy, sell_notional=sell)
    for signed in (exposure, -exposure):
        assert initial_margin(exposure=signed, orders=both, leverage=leverage) >= initial_margin(
            exposure=signed, orders=none, leverage=leverage
        )
