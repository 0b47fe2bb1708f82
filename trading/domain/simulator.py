"""The practice venue's fills: pure, seeded and deterministic (DESIGN §4.8).

`realistic` walks the live book. `classic` is the Tunicoin rule: half the spread, 0.1 % per unit of size times the
instrument's factor, +-0.02 % seeded noise, capped at 1 %; commission 0.02 % of notional, at least 0.01.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from astrade.core.messages import BookSnapshot, Level, MarketView
from astrade.core.money import ZERO, ceil_cash, ceil_to_step, floor_to_step
from trading.domain.lifecycle import Side
from trading.domain.shapes import Terms

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


def available(book: BookSnapshot, side: Side, *, limit: Decimal | None, taken: Decimal) -> Iterator[Level]:
    """Levels within `limit`, less what was `taken` from the best ones before."""
    for price, quantity in levels_against(book, side):
        if not crosses(side, price=price, limit=limit):
            return
        left = max(ZERO, quantity - taken)
        taken = max(ZERO, taken - quantity)
        if left:
            yield price, left


def fee_of(notional: Decimal, *, rate: Decimal, profile: Profile) -> Decimal:
    """Fee of one execution, rounded up at the asset's scale."""
    if profile is Profile.CLASSIC:
        return max(CLASSIC_FEE_MIN, ceil_cash(notional * CLASSIC_FEE_RATE))
    return ceil_cash(notional * rate)


def walk_book(
    market: Terms, book: BookSnapshot, *, side: Side, quantity: Decimal, limit: Decimal | None, taken: Decimal
) -> list[Execution]:
    """Taker executions level by level until `quantity`, the limit, or the visible book is used up."""
    executions: list[Execution] = []
    for price, size in available(book, side, limit=limit, taken=taken):
        part = min(quantity, floor_to_step(size, step=market.step_size))
        if part:
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


def classic_price(market: Terms, *, mid: Decimal, side: Side, quantity: Decimal, seed: int) -> Decimal:
    """Price of a classic market order, on the tick that is worse for the taker.

    `market.spread` and slippage are fractions of the price.
    """
    slippage = CLASSIC_SIZE_RATE * quantity * market.slippage_factor + noise(seed)
    slippage = max(-CLASSIC_CAP, min(CLASSIC_CAP, slippage))
    price = mid * (1 + side.sign * market.spread / 2) * (1 + side.sign * slippage)
    to_tick = ceil_to_step if side is Side.BUY else floor_to_step
    return max(market.tick_size, to_tick(price, step=market.tick_size))


def take(
    market: Terms,
    view: MarketView,
    *,
    profile: Profile,
    side: Side,
    quantity: Decimal,
    limit: Decimal | None,
    protection: Decimal | None,
    taken: Decimal,
    seed: int,
) -> list[Execution]:
    """What an arriving order gets at once. `limit` is the order's own; `protection` bounds a market order's walk."""
    if profile is Profile.REALISTIC:
        bound = limit if limit is not None else protection
        return walk_book(market, view.book, side=side, quantity=quantity, limit=bound, taken=taken)
    best = view.quote.ask if side is Side.BUY else view.quote.bid
    if not crosses(side, price=best, limit=limit):
        return []
    price = limit
    if price is None:
        mid = (view.quote.bid + view.quote.ask) / 2
        price = classic_price(market, mid=mid, side=side, quantity=quantity, seed=seed)
    return [Execution(price, quantity, fee_of(price * quantity, rate=ZERO, profile=profile))]


def rest(
    market: Terms,
    *,
    profile: Profile,
    side: Side,
    price: Decimal,
    remaining: Decimal,
    book: BookSnapshot,
    traded_through: bool,
    taken: Decimal,
) -> Execution | None:
    """What a resting limit order gets from the present market, at its own price as maker; None where nothing.

    Price that traded through it filled it whole; otherwise it gets what stands against it in the book.
    """
    quantity = remaining
    if not traded_through and profile is Profile.REALISTIC:
        against = sum((size for _, size in available(book, side, limit=price, taken=taken)), ZERO)
        quantity = min(remaining, floor_to_step(against, step=market.step_size))
    if not quantity:
        return None
    return Execution(price, quantity, fee_of(price * quantity, rate=market.maker_fee_rate, profile=profile))
