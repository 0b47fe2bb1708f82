"""Extended as trading sees it: our orders signed and put into its words, its words into our reports."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from decimal import Decimal
from threading import Lock
from typing import Protocol, TypeVar

from accounts.services.stark_keys import signer_of
from accounts.services.venue_connections import VenueAccess
from astrade.core.clock import from_ms, to_ms
from astrade.core.errors import MarketDataStale
from astrade.core.messages import BookSnapshot
from astrade.core.money import ZERO
from astrade.venues.errors import Unavailable
from astrade.venues.extended import account_calls, account_wire, order_calls, orders, public_calls, tickets, wire
from astrade.venues.extended.calls import Call
from astrade.venues.extended.client import client_of
from astrade.venues.extended.profiles import Profile, profile_of
from astrade.venues.extended.stream import account_stream
from astrade.venues.extended.stream_wire import AccountNews
from trading.domain.lifecycle import OrderStatus, OrderType, Side, TimeInForce
from trading.domain.reports import ShownOrder, VenueFunding, VenueTrade
from trading.models.account import MAX_LEVERAGE
from trading.venues.base import Holdings, News, Outgoing, ShownPosition

logger = logging.getLogger(__name__)
TERMS_TTL_S = 300.0
PAGE = 200
_S = wire.OrderStatus
STATUSES = {
    _S.NEW: OrderStatus.OPEN,
    _S.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    _S.UNTRIGGERED: OrderStatus.UNTRIGGERED,
    _S.TRIGGERED: OrderStatus.OPEN,
    _S.FILLED: OrderStatus.FILLED,
    _S.CANCELLED: OrderStatus.CANCELLED,
    _S.REJECTED: OrderStatus.REJECTED,
    _S.EXPIRED: OrderStatus.EXPIRED,
}
SIDES = {wire.Side.BUY: Side.BUY, wire.Side.SELL: Side.SELL}
_OUT = {side: spelt for spelt, side in SIDES.items()}
_CONDITIONAL = {  # side and direction of the trigger: a stop follows the price, a take profit waits for it to come back
    (Side.BUY, wire.TriggerDirection.UP): (OrderType.STOP, OrderType.STOP_LIMIT),
    (Side.SELL, wire.TriggerDirection.DOWN): (OrderType.STOP, OrderType.STOP_LIMIT),
    (Side.BUY, wire.TriggerDirection.DOWN): (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
    (Side.SELL, wire.TriggerDirection.UP): (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
}


class _Numbered(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=_Numbered)
_terms: dict[tuple[str, str], tuple[float, tickets.Terms]] = {}
_terms_lock = Lock()


class ExtendedAccount:
    """A `VenueAccount` at Extended, by a connection that the server signs for."""

    def __init__(self, access: VenueAccess) -> None:
        self._access = access
        self._profile = profile_of(access.network)
        self._client = client_of(self._profile)

    def place(self, order: Outgoing) -> int:
        """Sign and send, once. What keeps it from being signed is Unavailable: nothing left."""
        body = self._signed(order)
        return self._client.send(order_calls.place_order(body), self._access.access).id

    def _signed(self, order: Outgoing) -> orders.Body:
        terms = market_terms(self._profile, order.symbol)
        try:
            unsigned = orders.unsigned_order(self._ticket(order, terms))
            with signer_of(self._access.stark_key_id) as signer:
                return unsigned.body([signer.sign(digest) for digest in unsigned.hashes])
        except ValueError as exc:
            logger.exception("order_not_signed")
            raise Unavailable("not signed") from exc

    def _ticket(self, order: Outgoing, terms: tickets.Terms) -> tickets.Ticket:
        access = self._access
        return tickets.Ticket(
            terms=terms,
            signer=tickets.Signer(access.vault, access.public_key, self._profile.domain),
            type=wire.OrderType.MARKET if order.type is OrderType.MARKET else wire.OrderType.LIMIT,
            side=_OUT[order.side],
            quantity=order.quantity,
            price=order.price,
            fee_rate=order.fee_rate,
            expires_ms=to_ms(order.expires_at),
            nonce=order.nonce,
            external_id=order.external_id,
            time_in_force=wire.TimeInForce.IOC if order.time_in_force is TimeInForce.IOC else wire.TimeInForce.GTT,
            reduce_only=order.reduce_only,
            post_only=order.post_only,
        )

    def cancel(self, external_ids: Sequence[str]) -> None:
        """One call for all of them."""
        self._client.send(order_calls.mass_cancel(external_ids=external_ids), self._access.access)

    def find(self, external_id: str) -> Sequence[ShownOrder]:
        """Open ones and, where there is none, those of the history."""
        found = self._client.send(account_calls.orders_by_external_id(external_id), self._access.access)
        if found:
            return shown(found)
        call = account_calls.orders_history(external_ids=[external_id], limit=PAGE)
        history = self._client.send(call, self._access.access)
        return shown(row for row in history.rows if row.external_id == external_id)

    def open_orders(self) -> Sequence[ShownOrder]:
        """All markets."""
        found = self._client.send(account_calls.open_orders(), self._access.access)
        return shown(found)

    def order(self, venue_order_id: int) -> ShownOrder | None:
        """Open or ended, as long as the venue keeps it."""
        found = self._client.send(account_calls.order_by_id(venue_order_id), self._access.access)
        if found is not None:
            return next(iter(shown([found])), None)
        history = self._client.send(account_calls.orders_history(ids=[venue_order_id], limit=PAGE), self._access.access)
        return next(iter(shown(row for row in history.rows if row.id == venue_order_id)), None)

    def trades_since(self, trade_id: str | None, *, at_most: int) -> Sequence[VenueTrade]:
        """Page by page, newest first, down to the one named; its ids grow."""
        return [trade_of(row) for row in self._since(account_calls.trades, trade_id, at_most=at_most)]

    def funding_since(self, payment_id: str | None, *, at_most: int) -> Sequence[VenueFunding]:
        """As `trades_since`."""
        return [funding_of(row) for row in self._since(account_calls.funding_history, payment_id, at_most=at_most)]

    def _since(self, call: Callable[..., Call[wire.Page[R]]], last: str | None, *, at_most: int) -> list[R]:
        after, cursor, found = int(last or 0), None, list[R]()
        while True:
            page = self._client.send(call(cursor=cursor, limit=min(PAGE, at_most)), self._access.access)
            new = [row for row in page.rows if row.id > after]
            found += new
            is_last = page.cursor is None or not page.rows or len(new) < len(page.rows)
            if is_last or (last is None and len(found) >= at_most):
                rising = sorted(found, key=lambda row: row.id)
                return rising[-at_most:] if last is None else rising
            cursor = page.cursor

    def holdings(self) -> Holdings:
        """Balance (none is nothing), open positions, leverage by market."""
        balance = self._client.send(account_calls.balance(), self._access.access)
        held = self._client.send(account_calls.positions(), self._access.access)
        leverage = self._client.send(account_calls.leverage(), self._access.access)
        return Holdings(
            balance=ZERO if balance is None else balance.balance,
            positions=[position_of(row) for row in held if not row.is_closed],
            leverage={row.market: min(MAX_LEVERAGE, max(1, int(row.leverage))) for row in leverage},
        )

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[News]]:
        """The account's own stream (`astrade.venues.extended.stream`)."""
        async with (
            account_stream(self._profile, self._access.access) as told,
            aclosing(news_of(message.data) async for message in told) as news,
        ):
            yield news


def news_of(told: AccountNews) -> News:
    """Orders and trades in our words; balance and positions are compared when the account is synced."""
    trades = [trade_of(row) for row in told.trades or () if row.side in SIDES]
    return News(orders=shown(told.orders or ()), trades=trades)


def worst_price(side: Side, book: BookSnapshot, *, tick: Decimal) -> Decimal:
    """What a market order is sent with: a limit beyond the best price of the other side (`orders.market_price`).

    Raises MarketDataStale where the book shows none.
    """
    levels = book.asks if side is Side.BUY else book.bids
    if not levels:
        raise MarketDataStale(details={"symbol": book.symbol})
    return orders.market_price(levels[0][0], _OUT[side], tick_size=tick)


def market_terms(profile: Profile, symbol: str) -> tickets.Terms:
    """What the market's orders are signed with, as the venue itself tells it; asked again after five minutes."""
    key = (profile.network, symbol)
    known = _terms.get(key)
    if known is not None and time.monotonic() - known[0] < TERMS_TTL_S:
        return known[1]
    found = client_of(profile).send(public_calls.markets(symbol))
    if not found:
        raise Unavailable("unknown market")
    terms = tickets.terms_of(found[0])
    with _terms_lock:
        _terms[key] = (time.monotonic(), terms)
    return terms


def shown(rows: Iterable[account_wire.Order]) -> list[ShownOrder]:
    """Orders in our words. What has no counterpart here is left out: a status we don't know, and take profits and stop
    losses of a whole position, which have no quantity of their own.
    """
    return [_shown(row) for row in rows if row.status in STATUSES and row.side in SIDES and row.qty > 0]


def _shown(row: account_wire.Order) -> ShownOrder:
    side, kind = SIDES[row.side], _type_of(row)
    reason = "" if row.status_reason in (None, "NONE") else str(row.status_reason).lower()
    return ShownOrder(
        venue_order_id=row.id,
        external_id=row.external_id,
        symbol=row.market,
        side=side,
        type=kind,
        time_in_force=TimeInForce.IOC if row.time_in_force is wire.TimeInForce.IOC else TimeInForce.GTT,
        quantity=row.qty,
        price=None if kind is OrderType.MARKET or not row.price else row.price,
        post_only=row.post_only,
        reduce_only=row.reduce_only,
        status=STATUSES[row.status],
        reason=reason[:64],
        filled_quantity=row.filled_qty or ZERO,
        expires_at=_instant(row.expires_ms),
        at=from_ms(row.updated_time),
    )


def _type_of(row: account_wire.Order) -> OrderType:
    if row.trigger is not None and (pair := _CONDITIONAL.get((SIDES[row.side], row.trigger.fires))):
        return pair[row.trigger.execution_price_type is wire.PriceType.LIMIT]
    return OrderType.MARKET if row.type is wire.OrderType.MARKET else OrderType.LIMIT


def trade_of(row: account_wire.Trade) -> VenueTrade:
    """One execution in our words."""
    return VenueTrade(
        trade_id=str(row.id),
        venue_order_id=row.order_id,
        symbol=row.market,
        side=SIDES[row.side],
        price=row.price,
        quantity=row.qty,
        fee=row.fee,
        is_taker=row.is_taker,
        at=from_ms(row.created_time),
    )


def funding_of(row: account_wire.FundingPayment) -> VenueFunding:
    """What was paid for an hour, in our words."""
    paid_at = from_ms(row.paid_time)
    sign = -1 if row.side is wire.PositionSide.SHORT else 1
    return VenueFunding(
        payment_id=str(row.id),
        symbol=row.market,
        hour=paid_at.replace(minute=0, second=0, microsecond=0),
        quantity=sign * abs(row.size),
        mark=row.mark_price,
        rate=row.funding_rate,
        amount=row.funding_fee,
    )


def position_of(row: account_wire.Position) -> ShownPosition:
    """An open position in our words, its quantity signed."""
    sign = -1 if row.side is wire.PositionSide.SHORT else 1
    return ShownPosition(symbol=row.market, quantity=sign * abs(row.size), entry_price=Decimal(row.open_price))


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
