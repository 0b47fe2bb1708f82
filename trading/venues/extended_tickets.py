"""Our orders in Extended's words, before anything is signed (extended-api.md §7.1, §7.2, §11.6)."""

from decimal import Decimal

from accounts.services.venue_connections import VenueAccess
from astrade.core.clock import to_ms
from astrade.core.errors import MarketDataStale
from astrade.core.messages import BookSnapshot
from astrade.core.money import ZERO
from astrade.venues.extended import orders, tickets, wire
from astrade.venues.extended.signing import StarknetDomain
from trading.domain.lifecycle import CONDITIONAL, PRICED, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.triggers import triggers_upwards
from trading.venues.base import Outgoing, OutgoingLeg

SIDES = {Side.BUY: wire.Side.BUY, Side.SELL: wire.Side.SELL}
_BY = {
    TriggerBy.LAST: wire.TriggerPriceType.LAST,
    TriggerBy.MARK: wire.TriggerPriceType.MARK,
    TriggerBy.INDEX: wire.TriggerPriceType.INDEX,
}


def worst_price(side: Side, book: BookSnapshot, *, tick: Decimal) -> Decimal:
    """What a market order is sent with: a limit beyond the best price of the other side (`orders.market_price`).

    Raises MarketDataStale where the book shows none.
    """
    levels = book.asks if side is Side.BUY else book.bids
    if not levels:
        raise MarketDataStale(details={"symbol": book.symbol})
    return worst_price_at(levels[0][0], side, tick=tick)


def worst_price_at(price: Decimal, side: Side, *, tick: Decimal) -> Decimal:
    """As `worst_price`, of what trades at market once `price` is reached."""
    return orders.market_price(price, SIDES[side], tick_size=tick)


def ticket_of(order: Outgoing, *, terms: tickets.Terms, access: VenueAccess, domain: StarknetDomain) -> tickets.Ticket:
    """What is signed and sent for the order."""
    closes = wire.TpslType.POSITION if order.closes_position else wire.TpslType.ORDER
    return tickets.Ticket(
        terms=terms,
        signer=tickets.Signer(access.vault, access.public_key, domain),
        type=_type(order),
        side=SIDES[order.side],
        quantity=ZERO if order.closes_position else order.quantity,
        price=ZERO if order.closes_position else order.price,
        fee_rate=order.fee_rate,
        expires_ms=to_ms(order.expires_at),
        nonce=order.nonce,
        external_id=order.external_id,
        time_in_force=wire.TimeInForce.IOC if order.time_in_force is TimeInForce.IOC else wire.TimeInForce.GTT,
        reduce_only=order.reduce_only,
        post_only=order.post_only,
        replaces=order.replaces,
        condition=_condition(order),
        legs_close=closes if order.take_profit or order.stop_loss else None,
        take_profit=_leg(order, order.take_profit),
        stop_loss=_leg(order, order.stop_loss),
    )


def _type(order: Outgoing) -> wire.OrderType:
    if order.closes_position:
        return wire.OrderType.TPSL
    if order.type in CONDITIONAL:
        return wire.OrderType.CONDITIONAL
    return wire.OrderType.MARKET if order.type is OrderType.MARKET else wire.OrderType.LIMIT


def _condition(order: Outgoing) -> tickets.Condition | None:
    if order.trigger_price is None or order.closes_position:
        return None
    rises = triggers_upwards(order.type, order.side)
    return tickets.Condition(
        price=order.trigger_price,
        by=_BY[order.trigger_by],
        direction=wire.TriggerDirection.UP if rises else wire.TriggerDirection.DOWN,
        execution=wire.PriceType.LIMIT if order.type in PRICED else wire.PriceType.MARKET,
    )


def _leg(order: Outgoing, leg: OutgoingLeg | None) -> tickets.LegTicket | None:
    if leg is None:
        return None
    return tickets.LegTicket(
        trigger_price=leg.trigger_price,
        by=_BY[order.trigger_by],
        price=leg.price,
        execution=wire.PriceType.MARKET,
    )
