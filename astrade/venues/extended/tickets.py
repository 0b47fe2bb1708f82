"""An order for Extended as it is wanted, before anything is signed (extended-api.md §7.1, §7.2)."""

from dataclasses import dataclass
from decimal import Decimal

from astrade.core.money import ZERO
from astrade.venues.extended.public_wire import Market
from astrade.venues.extended.signing import L2Config, StarknetDomain
from astrade.venues.extended.wire import (
    OrderType,
    PriceType,
    SelfTradeProtection,
    Side,
    TimeInForce,
    TpslType,
    TriggerDirection,
    TriggerPriceType,
)

OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
OFFERED = (OrderType.LIMIT, OrderType.MARKET, OrderType.CONDITIONAL, OrderType.TPSL)
TIMES_IN_FORCE = (TimeInForce.GTT, TimeInForce.IOC, TimeInForce.TOB)


class InvalidTicket(ValueError):
    """What is asked for makes no order; the message says why."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a market goes into its orders."""

    market: str
    l2: L2Config
    step_size: Decimal
    max_position_value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a conditional order becomes live, and whether it then is a limit or a market order."""

    price: Decimal
    by: TriggerPriceType
    direction: TriggerDirection
    execution: PriceType


@dataclass(frozen=True, slots=True, kw_only=True)
class LegTicket:
    """A take profit or stop loss: its trigger, and the worst price it then trades at."""

    trigger_price: Decimal
    by: TriggerPriceType
    price: Decimal
    execution: PriceType


@dataclass(frozen=True, slots=True)
class Signer:
    """For whom an order is signed: the vault, its Stark public key, the network."""

    vault: int
    public_key: int
    domain: StarknetDomain


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as it is wanted. `price` is the worst one, of a market order too (`market_price`); 0 for TPSL.

    `fee_rate` is the highest that is accepted, without the builder's. `external_id` is ours, the hash by default.
    A take profit or stop loss for the whole position has quantity 0 when it stands alone.
    """

    terms: Terms
    signer: Signer
    type: OrderType
    side: Side
    quantity: Decimal
    price: Decimal
    fee_rate: Decimal
    expires_ms: int
    nonce: int
    external_id: str | None = None
    time_in_force: TimeInForce = TimeInForce.GTT
    reduce_only: bool = False
    post_only: bool = False
    self_trade_protection: SelfTradeProtection = SelfTradeProtection.ACCOUNT
    replaces: str | None = None  # external id of the order whose place it takes
    condition: Condition | None = None
    legs_close: TpslType | None = None
    take_profit: LegTicket | None = None
    stop_loss: LegTicket | None = None
    builder_rate: Decimal | None = None
    builder_id: int | None = None

    @property
    def legs(self) -> tuple[LegTicket, ...]:
        return tuple(leg for leg in (self.take_profit, self.stop_loss) if leg is not None)


def terms_of(market: Market) -> Terms:
    """From a market as the venue tells it."""
    rules = market.trading_config
    return Terms(market.name, market.l2_config.config, rules.min_order_size_change, rules.max_position_value)


def fault_of(ticket: Ticket) -> str | None:
    """Why the venue or its SDK would not have such an order; None for a sound one (§7.1, §7.2)."""
    return _fault_in_numbers(ticket) or _fault_in_kind(ticket)


def _fault_in_numbers(ticket: Ticket) -> str | None:
    amounts = [ticket.quantity, ticket.price, ticket.fee_rate, ticket.builder_rate or ZERO]
    triggers = [price for leg in ticket.legs for price in (leg.price, leg.trigger_price)]
    if ticket.condition is not None:
        triggers.append(ticket.condition.price)
    if not all(amount.is_finite() for amount in (*amounts, *triggers)):
        return "an amount is not a number"
    if min(amounts) < ZERO or min(triggers, default=Decimal(1)) <= ZERO:
        return "quantities and rates are not negative, prices of triggers and legs above 0"
    return None


def _fault_in_kind(ticket: Ticket) -> str | None:
    is_tpsl, closes_all = ticket.type is OrderType.TPSL, ticket.legs_close is TpslType.POSITION
    wants_nothing = is_tpsl and closes_all
    faults = {
        "the type is not offered": ticket.type not in OFFERED,
        "the side is neither buy nor sell": ticket.side not in OPPOSITE,
        "the time in force is not offered": ticket.time_in_force not in TIMES_IN_FORCE,
        "TOB is post-only": ticket.time_in_force is TimeInForce.TOB and not ticket.post_only,
        "a market order is IOC": ticket.type is OrderType.MARKET and ticket.time_in_force is not TimeInForce.IOC,
        "a conditional order has a condition, others have none": (ticket.type is OrderType.CONDITIONAL)
        != (ticket.condition is not None),
        "legs say what they close": bool(ticket.legs) != (ticket.legs_close is not None),
        "a TPSL order has a leg": is_tpsl and not ticket.legs,
        "a TPSL order is reduce-only and not post-only": is_tpsl and (not ticket.reduce_only or ticket.post_only),
        "a TPSL order has no price of its own, others have one": is_tpsl != (ticket.price == ZERO),
        "only a TPSL order for the whole position has no quantity": wants_nothing != (ticket.quantity == ZERO),
        "what trades at market is not post-only": ticket.post_only and _trades_at_market(ticket),
        "a builder has an id and a rate": (ticket.builder_id is None) != (ticket.builder_rate is None),
    }
    return next((text for text, is_so in faults.items() if is_so), None)


def _trades_at_market(ticket: Ticket) -> bool:
    at_market = ticket.condition is not None and ticket.condition.execution is PriceType.MARKET
    return at_market or ticket.type is OrderType.MARKET
