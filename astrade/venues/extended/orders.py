"""Orders for Extended from a ticket to the body that is posted (extended-api.md §7.1, §7.2, §11.3–§11.6). Pure.

    unsigned = unsigned_order(ticket)                   raises InvalidTicket, and Unsignable of `signing`
    unsigned.messages, unsigned.hashes                  what is to be signed, in this order
    body = unsigned.body(signatures)                    for order_calls.place_order

The server signs with the user's key, or the user's own client does: nothing here knows a key. The same ticket gives
the same messages and the same body.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from astrade.core.money import ZERO, ceil_to_step, floor_to_step, plain
from astrade.venues.extended.signing import (
    OrderMessage,
    Signature,
    hash_of,
    order_message,
    position_leg_quantity,
)
from astrade.venues.extended.tickets import OPPOSITE, Condition, InvalidTicket, LegTicket, Signer, Ticket, fault_of
from astrade.venues.extended.wire import (
    OrderType,
    Side,
    TpslType,
)

Body = dict[str, Any]
SLIPPAGE = Decimal("0.0075")  # how far beyond the best price a market order may trade


@dataclass(frozen=True, slots=True)
class UnsignedOrder:
    """An order whose signatures are still to come. `order` is the entry's message, hashed for the default id even where
    only legs are sent; `messages` is what is to be signed: the entry, then the take profit, then the stop loss, as far
    as there are such; `hashes` are theirs, in the same order. `external_id` is what the venue will tell it back by."""

    ticket: Ticket
    order: OrderMessage
    legs: tuple[OrderMessage, ...]
    messages: tuple[OrderMessage, ...]
    hashes: tuple[int, ...]
    external_id: str

    def body(self, signatures: Sequence[Signature]) -> Body:
        """What is posted, one signature for each message. Raises ValueError for more or fewer."""
        ticket, settlements = self.ticket, [_settlement(self.ticket.signer, signature) for signature in signatures]
        if len(settlements) != len(self.messages):
            raise ValueError(f"{len(self.messages)} signatures are needed, {len(settlements)} were given")
        own = [] if ticket.type is OrderType.TPSL else [settlements.pop(0)]
        order = {
            "id": self.external_id,
            "market": ticket.terms.market,
            "type": ticket.type,
            "side": ticket.side,
            "qty": plain(ticket.quantity),
            "price": plain(ticket.price),
            "reduceOnly": ticket.reduce_only,
            "postOnly": ticket.post_only,
            "timeInForce": ticket.time_in_force,
            "expiryEpochMillis": ticket.expires_ms,
            "fee": plain(ticket.fee_rate),
            "nonce": str(ticket.nonce),
            "selfTradeProtectionLevel": ticket.self_trade_protection,
            "cancelId": ticket.replaces,
            "settlement": own[0] if own else None,
            "trigger": None if ticket.condition is None else _condition(ticket.condition),
            "tpSlType": ticket.legs_close,
            **self._leg_bodies(settlements),
            "debuggingAmounts": _amounts(self.order),
            "builderFee": None if ticket.builder_rate is None else plain(ticket.builder_rate),
            "builderId": ticket.builder_id,
        }
        return {name: value for name, value in order.items() if value is not None}

    def _leg_bodies(self, settlements: Sequence[Body]) -> Body:
        ticket = self.ticket
        legs = {"takeProfit": ticket.take_profit, "stopLoss": ticket.stop_loss}
        given = [(name, leg) for name, leg in legs.items() if leg is not None]
        return {
            name: _leg(leg, message, settlement)
            for (name, leg), message, settlement in zip(given, self.legs, settlements, strict=True)
        }


def market_price(best: Decimal, side: Side, *, tick_size: Decimal) -> Decimal:
    """The price a market order is signed for: 0.75 % beyond the best ask (a buy, up) or bid (a sell, down), on the tick
    and never under one (§7.2)."""
    if side is Side.BUY:
        return ceil_to_step(best * (1 + SLIPPAGE), step=tick_size)
    return max(tick_size, floor_to_step(best * (1 - SLIPPAGE), step=tick_size))


def unsigned_order(ticket: Ticket) -> UnsignedOrder:
    """The messages of an order and its legs. Raises InvalidTicket and Unsignable."""
    if fault := fault_of(ticket):
        raise InvalidTicket(fault)
    leg_side = ticket.side if ticket.type is OrderType.TPSL else OPPOSITE[ticket.side]
    order = _message(ticket, side=ticket.side, quantity=ticket.quantity, price=ticket.price)
    legs = tuple(
        _message(ticket, side=leg_side, quantity=_leg_quantity(ticket, leg), price=leg.price) for leg in ticket.legs
    )
    hashes = tuple(_hash(ticket.signer, message) for message in (order, *legs))
    external_id = ticket.external_id or str(hashes[0])
    if ticket.type is OrderType.TPSL:
        return UnsignedOrder(ticket, order, legs, legs, hashes[1:], external_id)
    return UnsignedOrder(ticket, order, legs, (order, *legs), hashes, external_id)


def _hash(signer: Signer, message: OrderMessage) -> int:
    return hash_of(message, public_key=signer.public_key, domain=signer.domain)


def _message(ticket: Ticket, *, side: Side, quantity: Decimal, price: Decimal) -> OrderMessage:
    return order_message(
        l2=ticket.terms.l2,
        buys=side is Side.BUY,
        quantity=quantity,
        price=price,
        fee_rate=ticket.fee_rate + (ticket.builder_rate or ZERO),
        vault=ticket.signer.vault,
        nonce=ticket.nonce,
        expires_ms=ticket.expires_ms,
    )


def _leg_quantity(ticket: Ticket, leg: LegTicket) -> Decimal:
    if ticket.legs_close is TpslType.ORDER:
        return ticket.quantity
    terms = ticket.terms
    return position_leg_quantity(max_position_value=terms.max_position_value, price=leg.price, step=terms.step_size)


def _settlement(signer: Signer, signature: Signature) -> Body:
    return {
        "signature": {"r": hex(signature.r), "s": hex(signature.s)},
        "starkKey": hex(signer.public_key),
        "collateralPosition": str(signer.vault),
    }


def _condition(condition: Condition) -> Body:
    return {
        "triggerPrice": plain(condition.price),
        "triggerPriceType": condition.by,
        "direction": condition.direction,
        "executionPriceType": condition.execution,
    }


def _leg(leg: LegTicket, message: OrderMessage, settlement: Body) -> Body:
    return {
        "triggerPrice": plain(leg.trigger_price),
        "triggerPriceType": leg.by,
        "price": plain(leg.price),
        "priceType": leg.execution,
        "settlement": settlement,
        "debuggingAmounts": _amounts(message),
    }


def _amounts(message: OrderMessage) -> Body:
    """The signed integers, which the venue doesn't need: they tell why a signature was refused."""
    return {
        "collateralAmount": str(message.quote_amount),
        "feeAmount": str(message.fee_amount),
        "syntheticAmount": str(message.base_amount),
    }
