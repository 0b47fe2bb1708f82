"""A market of the model: its rules, its book and prices as a script last told of them, and what they offer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from trading.tests.model.exact import ZERO, cash_up, down_to, up_to

BUY, SELL = 1, -1
Levels = list[tuple[Fraction, Fraction]]
Span = tuple[Fraction, Fraction, Fraction]  # lowest, highest, present
RULES: Mapping[str, Mapping[str, str]] = {
    "BTC-USD": {
        "type": "perpetual", "tick_size": "1", "step_size": "0.001", "min_quantity": "0.01", "max_quantity": "400",
        "max_leverage": "20", "maker_fee_rate": "0.0005", "taker_fee_rate": "0.001",
        "maintenance_margin_rate": "0.01", "spread": "0.02", "slippage_factor": "1", "price_band": "0.1",
        "reference_price": "100",
    },
    "ETH-USD": {
        "type": "perpetual", "tick_size": "0.05", "step_size": "0.01", "min_quantity": "0.03", "max_quantity": "5000",
        "max_leverage": "7", "maker_fee_rate": "-0.0001", "taker_fee_rate": "0.00033",
        "maintenance_margin_rate": "0.02", "spread": "0.003", "slippage_factor": "0.7", "price_band": "0.05",
        "max_position_notional": "1500", "reference_price": "20",
    },
    "SOL-USD": {
        "type": "spot", "tick_size": "0.01", "step_size": "0.1", "min_quantity": "0.2", "max_quantity": "9000",
        "max_leverage": "1", "maker_fee_rate": "0", "taker_fee_rate": "0.0007",
        "maintenance_margin_rate": "0", "spread": "0.001", "slippage_factor": "2", "price_band": "0.08",
        "reference_price": "5",
    },
}  # fmt: skip


@dataclass
class Market:
    """Rules as numbers, and the present."""

    symbol: str
    rules: Mapping[str, Any]
    sequence: int = 0
    at: int = 0
    bids: Levels = field(default_factory=list)
    asks: Levels = field(default_factory=list)
    last: Fraction = ZERO
    mark: Fraction = ZERO
    index: Fraction = ZERO

    @property
    def bid(self) -> Fraction:
        return self.bids[0][0]

    @property
    def ask(self) -> Fraction:
        return self.asks[0][0]

    @property
    def is_spot(self) -> bool:
        return bool(self.rules["type"] == "spot")

    def best_against(self, side: int) -> Fraction:
        """Where a taker of `side` would trade first."""
        return self.ask if side == BUY else self.bid

    def price_by(self, name: str) -> Fraction:
        """Last, mark or index."""
        price: Fraction = getattr(self, name)
        return price

    def band(self, around: Fraction) -> tuple[Fraction, Fraction]:
        """Lowest and highest price that is allowed around a price."""
        width: Fraction = around * self.rules["price_band"]
        return around - width, around + width

    def edge(self, side: int) -> Fraction:
        """How far an order of `side` without a limit goes."""
        return self.band(self.mark)[side == BUY]

    def walk(self, side: int, quantity: Fraction, *, limit: Fraction, taken: Fraction) -> Levels:
        """What a taker gets, level by level: whole steps, less what its account took from this book before."""
        got: Levels = []
        for price, there in self.asks if side == BUY else self.bids:
            if (price - limit) * side > 0 or not quantity:
                break
            whole = down_to(self.rules["step_size"], there)
            gone = min(taken, whole)
            part = min(whole - gone, quantity)
            taken, quantity = taken - gone, quantity - part
            if part:
                got.append((price, part))
        return got

    def stands_before(self, side: int, price: Fraction) -> Fraction | None:
        """What of the book stands at `price` on the order's own side; unknown beyond the last level that is shown."""
        own = self.bids if side == BUY else self.asks
        at_price = [quantity for level, quantity in own if level == price]
        if at_price:
            return at_price[0]
        return ZERO if any((price - level) * side > 0 for level, _ in own) else None

    def classic_price(self, side: int, quantity: Fraction, *, noise: Fraction) -> Fraction:
        """The Tunicoin document: latest price, half the spread, 0.1 % a unit, noise of at most 0.02 %, at most 1 %."""
        assert abs(noise) <= Fraction(2, 10_000)
        cap = Fraction(1, 100)
        slippage = min(cap, max(-cap, Fraction(1, 1000) * quantity * self.rules["slippage_factor"] + noise))
        price = self.last * (1 + side * self.rules["spread"] / 2) * (1 + side * slippage)
        tick: Fraction = self.rules["tick_size"]
        return max(tick, up_to(tick, price) if side == BUY else down_to(tick, price))

    def fee(self, simulator: str, notional: Fraction, *, is_taker: bool) -> Fraction:
        """Of one execution; negative is a rebate."""
        if simulator == "classic":
            return max(Fraction(1, 100), cash_up(notional * Fraction(2, 10_000)))
        return cash_up(notional * self.rules["taker_fee_rate" if is_taker else "maker_fee_rate"])


def numeric(rules: Mapping[str, str]) -> dict[str, Any]:
    """Rules whose texts are numbers."""
    texts = {"max_position_notional": None} | dict(rules)
    return {name: text if text is None or name == "type" else Fraction(text) for name, text in texts.items()}


@dataclass(frozen=True)
class Moved:
    """What a market did since the tick before, as a script's step tells of it."""

    low: Fraction
    high: Fraction
    sold_at_low: Fraction
    bought_at_high: Fraction
    spans: Mapping[str, Span]
    is_new_book: bool


def tell(market: Market, step: Mapping[str, Any], *, at: int) -> Moved:
    """Let a market be as a step says. Trades, earlier quotes and the present quote make the extremes; volume counts
    at the extremes alone: what takers sold at the lowest price, and bought at the highest.
    """
    trades = [(side, Fraction(price), Fraction(quantity)) for side, price, quantity in step["trades"]]
    is_new_book = "bids" in step
    if is_new_book:
        market.sequence += 1
        market.bids = [(Fraction(price), Fraction(quantity)) for price, quantity in step["bids"]]
        market.asks = [(Fraction(price), Fraction(quantity)) for price, quantity in step["asks"]]
    quotes = [{name: Fraction(quote[name]) for name in ("last", "mark", "index")} for quote in step["quotes"]]
    market.last, market.mark, market.index = (quotes[-1][name] for name in ("last", "mark", "index"))
    market.at = at
    seen = {name: [quote[name] for quote in quotes] for name in ("last", "mark", "index")}
    seen["last"] += [price for _, price, _ in trades]
    spans = {name: (min(prices), max(prices), quotes[-1][name]) for name, prices in seen.items()}
    low, high, _ = spans["last"]
    return Moved(
        low=low,
        high=high,
        sold_at_low=sum((quantity for side, price, quantity in trades if side == "sell" and price == low), ZERO),
        bought_at_high=sum((quantity for side, price, quantity in trades if side == "buy" and price == high), ZERO),
        spans=spans,
        is_new_book=is_new_book,
    )
