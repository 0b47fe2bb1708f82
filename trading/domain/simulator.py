"""The practice venue's fills: pure, seeded and deterministic (DESIGN §4.8).

`realistic` walks the live book, so slippage is what an order's size does to the depth that is there. The visible book
is all there is: nothing is made up beyond it, and what of a market order finds nobody ends as `no_liquidity`. What an
account took from a book state is gone for it. A stop that triggers takes from the book as it is then, however far
price has jumped past the stop. A resting order trades at its own price, never better and never worse: whole once price
traded through it, with what the other side offers once that touches it, or with what takers traded at it beyond the
quantity that stood before it when it was admitted. Nothing ahead of it counts as cancelled: it waits for all of it.

`classic` is the Tunicoin document: a market order fills at the latest price, moved by half the instrument's spread and
by slippage of 0.1 % per unit of size times the instrument's factor, +-0.02 % seeded noise, together at most 1 %; a
limit order fills whole at its limit and a stop at its stop price; commission is 0.02 % of notional, at least 0.01, on
both ends.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from astrade.core.messages import BookSnapshot, Level, MarketView
from astrade.core.money import ZERO, ceil_cash, ceil_to_step, floor_to_step
from trading.domain.lifecycle import Side
from trading.domain.shapes import FillRules

MAX_FILLS = 100  # of one booking: its rows come from one block of ids
CLASSIC_FEE_RATE, CLASSIC_FEE_MIN = Decimal("0.0002"), Decimal("0.01")
CLASSIC_SIZE_RATE, CLASSIC_NOISE, CLASSIC_CAP = Decimal("0.001"), Decimal("0.0002"), Decimal("0.01")
NOISE_STEPS = 10**6
SEED_BITS = 63


class Profile(StrEnum):
    REALISTIC = "realistic"
    CLASSIC = "classic"


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: quote per base, base units, fee in the quote asset."""

    price: Decimal
    quantity: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """An arriving order: `limit` is its own, `protection` bounds the walk of one without.

    `taken` is what its account took from this book state before; `stop` the price that triggered it, where one did.
    """

    profile: Profile
    side: Side
    quantity: Decimal
    limit: Decimal | None
    protection: Decimal | None
    taken: Decimal
    seed: int
    stop: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A resting limit order that was reached, with what remains of it.

    `traded` is what takers traded at its price since `ahead`, the quantity before it in the queue, was counted; None as
    `ahead` says that nobody knows, so that nothing traded at its price reaches it.
    """

    profile: Profile
    side: Side
    quantity: Decimal
    price: Decimal
    traded_through: bool
    taken: Decimal
    traded: Decimal = ZERO
    ahead: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rested:
    """An execution of a resting order, and how much of it came out of the present book."""

    execution: Execution
    from_book: Decimal


def seed_of(*parts: object) -> int:
    """A 63-bit seed that is a function of `parts` alone."""
    digest = hashlib.sha256(":".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - SEED_BITS)


def crosses(side: Side, *, price: Decimal, limit: Decimal | None) -> bool:
    """Whether a taker with `limit` would trade at `price`; without a limit at any."""
    return limit is None or (price <= limit if side is Side.BUY else price >= limit)


def levels_against(book: BookSnapshot, side: Side) -> Sequence[Level]:
    """The levels that an order of `side` takes from, best first."""
    return book.asks if side is Side.BUY else book.bids


def available(
    book: BookSnapshot, side: Side, *, limit: Decimal | None, taken: Decimal, step: Decimal
) -> Iterator[Level]:
    """Levels within `limit` in whole steps, less what was `taken` from the best ones before."""
    for price, shown in levels_against(book, side):
        if not crosses(side, price=price, limit=limit):
            return
        quantity = floor_to_step(shown, step=step)
        left = max(ZERO, quantity - taken)
        taken = max(ZERO, taken - quantity)
        if left:
            yield price, left


def queue_ahead(book: BookSnapshot, side: Side, *, price: Decimal) -> Decimal | None:
    """Quantity that stands before a new order at its price; None where `price` lies beyond what the book shows."""
    for level, quantity in levels_against(book, side.opposite):
        if level == price:
            return quantity
        if crosses(side, price=level, limit=price):  # the next level shown is further from the market
            return ZERO
    return None


def fee_of(notional: Decimal, *, rate: Decimal, profile: Profile) -> Decimal:
    """Fee of one execution, rounded up at the asset's scale."""
    if profile is Profile.CLASSIC:
        return max(CLASSIC_FEE_MIN, ceil_cash(notional * CLASSIC_FEE_RATE))
    return ceil_cash(notional * rate)


def walk_book(
    market: FillRules, book: BookSnapshot, *, side: Side, quantity: Decimal, limit: Decimal | None, taken: Decimal
) -> list[Execution]:
    """Taker executions level by level until `quantity`, the limit, or the visible book is used up."""
    executions: list[Execution] = []
    for price, size in available(book, side, limit=limit, taken=taken, step=market.step_size):
        part = min(quantity, size)
        fee = fee_of(price * part, rate=market.taker_fee_rate, profile=Profile.REALISTIC)
        executions.append(Execution(price, part, fee))
        quantity -= part
        if not quantity or len(executions) == MAX_FILLS:
            break
    return executions


def noise(seed: int) -> Decimal:
    """Uniform in [-0.02 %, +0.02 %], a function of `seed` alone."""
    step = seed % (2 * NOISE_STEPS + 1) - NOISE_STEPS
    return CLASSIC_NOISE * step / NOISE_STEPS


def classic_price(market: FillRules, *, last: Decimal, side: Side, quantity: Decimal, seed: int) -> Decimal:
    """Price of a classic market order, on the tick that is worse for the taker.

    `last` is the latest candle's close; `market.spread` and slippage are fractions of the price.
    """
    slippage = CLASSIC_SIZE_RATE * quantity * market.slippage_factor + noise(seed)
    slippage = max(-CLASSIC_CAP, min(CLASSIC_CAP, slippage))
    price = last * (1 + side.sign * market.spread / 2) * (1 + side.sign * slippage)
    to_tick = ceil_to_step if side is Side.BUY else floor_to_step
    return max(market.tick_size, to_tick(price, step=market.tick_size))


def take(market: FillRules, view: MarketView, wanted: Taking) -> list[Execution]:
    """What an arriving order gets at once."""
    side, quantity, limit = wanted.side, wanted.quantity, wanted.limit
    if wanted.profile is Profile.REALISTIC:
        bound = limit if limit is not None else wanted.protection
        return walk_book(market, view.book, side=side, quantity=quantity, limit=bound, taken=wanted.taken)
    best = view.quote.ask if side is Side.BUY else view.quote.bid
    if not crosses(side, price=best, limit=limit):
        return []
    price = wanted.stop if limit is None else limit
    if price is None:
        price = classic_price(market, last=view.quote.last, side=side, quantity=quantity, seed=wanted.seed)
    return [Execution(price, quantity, fee_of(price * quantity, rate=ZERO, profile=wanted.profile))]


def rest(market: FillRules, book: BookSnapshot, waiting: Waiting) -> Rested | None:
    """What a resting limit order gets from the present market, at its own price as maker; None where nothing."""
    price, quantity, against = waiting.price, waiting.quantity, ZERO
    if not waiting.traded_through and waiting.profile is Profile.REALISTIC:
        levels = available(book, waiting.side, limit=price, taken=waiting.taken, step=market.step_size)
        against = sum((size for _, size in levels), ZERO)
        beyond = ZERO if waiting.ahead is None else waiting.traded - waiting.ahead
        quantity = min(quantity, floor_to_step(max(against, beyond), step=market.step_size))
    if not quantity:
        return None
    fee = fee_of(price * quantity, rate=market.maker_fee_rate, profile=waiting.profile)
    return Rested(Execution(price, quantity, fee), from_book=min(quantity, against))
