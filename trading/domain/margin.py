"""Cross margin (DESIGN §4.4): equity, initial and maintenance margin, liquidation price. All figures in quote units."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from astrade.core.messages import Quote
from astrade.core.money import ZERO, round_display
from trading.domain.shapes import Terms
from trading.domain.state import AccountState, OpenOrders, PositionState

NO_ORDERS = OpenOrders()
RATIO_SCALE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Every market's terms by row id and present quote by symbol: what margin is reckoned with."""

    markets: Mapping[int, Terms]
    quotes: Mapping[str, Quote]

    def mark_of(self, position: PositionState) -> Decimal:
        """The market's mark; without any price the position is carried at its entry price (so shows no PnL)."""
        quote = self.quotes.get(self.markets[position.market_id].symbol)
        if quote is not None:
            return quote.mark
        return position.entry_notional / abs(position.quantity) if position.quantity else ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSummary:
    """An account's worth and what of it is bound."""

    balance: Decimal
    unrealized_pnl: Decimal
    initial: Decimal
    maintenance: Decimal
    held: Decimal = ZERO

    @property
    def equity(self) -> Decimal:
        """Cash plus unrealised PnL."""
        return self.balance + self.unrealized_pnl

    @property
    def available(self) -> Decimal:
        """Equity that is neither bound nor held; below zero when the market went against the account."""
        return self.equity - self.initial - self.held

    @property
    def withdrawable(self) -> Decimal:
        """What could leave: free margin, but no unrealised profit."""
        return max(ZERO, min(self.available, self.balance - self.initial - self.held))

    @property
    def ratio(self) -> Decimal:
        """Maintenance margin as a share of equity; 1 is where liquidation begins, 0 without positions."""
        if not self.maintenance:
            return ZERO
        if self.equity <= 0:
            return Decimal(1)
        return round_display(self.maintenance / self.equity, scale=RATIO_SCALE)


def unrealized_pnl(position: PositionState, *, mark: Decimal) -> Decimal:
    """What closing at `mark` would realise, exact."""
    value = position.quantity * mark
    return value - position.entry_notional if position.quantity > 0 else value + position.entry_notional


def initial_margin(*, exposure: Decimal, orders: OpenOrders, leverage: int) -> Decimal:
    """Margin of one market: its worst case of no, all buying or all selling orders filled. `exposure` is signed."""
    worst = max(abs(exposure), abs(exposure + orders.buy_notional), abs(exposure - orders.sell_notional))
    return worst / leverage


def summarise(account: AccountState, board: Board) -> MarginSummary:
    """The account's margin figures at the board's marks."""
    unrealized = initial = maintenance = ZERO
    for market_id in account.positions.keys() | account.open_orders.keys():
        position, orders = account.positions.get(market_id), account.open_orders.get(market_id, NO_ORDERS)
        exposure = ZERO
        if position is not None and position.quantity:
            mark = board.mark_of(position)
            exposure = position.quantity * mark
            unrealized += unrealized_pnl(position, mark=mark)
            maintenance += abs(exposure) * board.markets[market_id].maintenance_margin_rate
        initial += initial_margin(exposure=exposure, orders=orders, leverage=account.leverage_on(market_id))
    return MarginSummary(
        balance=account.cash.balance,
        unrealized_pnl=unrealized,
        initial=initial,
        maintenance=maintenance,
        held=account.held,
    )


def liquidation_price(
    position: PositionState, *, summary: MarginSummary, mark: Decimal, market: Terms
) -> Decimal | None:
    """Price of this market at which equity equals maintenance, all else unchanged; None where no price does.

    Solves equity + q (P - mark) = maintenance elsewhere + |q| P rate for P; rounded against the position (up for a
    long).
    """
    quantity, rate = position.quantity, market.maintenance_margin_rate
    elsewhere = summary.maintenance - abs(quantity) * mark * rate
    price = (quantity * mark - summary.equity + elsewhere) / (quantity - abs(quantity) * rate)
    if price <= 0:
        return None
    ticks = price / market.tick_size
    whole = ticks.to_integral_value("ROUND_CEILING" if quantity > 0 else "ROUND_FLOOR")
    return whole * market.tick_size
