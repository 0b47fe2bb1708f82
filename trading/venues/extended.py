"""Extended as trading sees it: our orders signed and put into its words, its words into our reports."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from decimal import Decimal
from threading import Lock
from typing import Protocol, TypeVar

from accounts.services.stark_keys import signer_of
from accounts.services.venue_connections import VenueAccess
from accounts.stark import as_hex
from astrade.core.money import ZERO
from astrade.venues.errors import InvalidSignature, Unavailable
from astrade.venues.extended import account_calls, order_calls, orders, public_calls, tickets, wire
from astrade.venues.extended.calls import Call
from astrade.venues.extended.client import client_of
from astrade.venues.extended.profiles import Profile, profile_of
from astrade.venues.extended.signing import verifies
from astrade.venues.extended.stream import account_stream
from astrade.venues.extended.stream_wire import AccountNews
from trading.domain.reports import ShownOrder, VenueFunding, VenueTrade
from trading.models.account import MAX_LEVERAGE
from trading.venues.base import Holdings, News, Outgoing, SigningRequest
from trading.venues.extended_funds import ExtendedFunds
from trading.venues.extended_reports import SIDES, funding_of, position_of, shown, trade_of
from trading.venues.extended_tickets import ticket_of

logger = logging.getLogger(__name__)
TERMS_TTL_S = 300.0
PAGE = 200


class _Numbered(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=_Numbered)
_terms: dict[tuple[str, str], tuple[float, tickets.Terms]] = {}
_terms_lock = Lock()


class ExtendedAccount:
    """A `VenueAccount` at Extended, by a connection that the server signs for, or its user."""

    def __init__(self, access: VenueAccess) -> None:
        self._access, self.signing, self.public_key = access, access.signing, as_hex(access.public_key)
        self._profile = profile_of(access.network)
        self._client = client_of(self._profile)
        self.funds = ExtendedFunds(access)

    def place(self, order: Outgoing) -> int:
        """Sign and send, once. What keeps it from being signed is Unavailable: nothing left."""
        body = self._signed(order)
        return self._client.send(order_calls.place_order(body), self._access.access).id

    def to_sign(self, order: Outgoing) -> SigningRequest:
        """The message of the settlement with its hash (extended-api.md §11.2, §11.3)."""
        unsigned = self._unsigned(order)
        return SigningRequest(
            hash=unsigned.hashes[0],
            message=asdict(unsigned.order),
            domain=asdict(self._profile.domain),
            public_key=self._access.public_key,
        )

    def _signed(self, order: Outgoing) -> orders.Body:
        unsigned = self._unsigned(order)
        if order.signature is not None:
            if not verifies(self._access.public_key, unsigned.hashes[0], order.signature):
                raise InvalidSignature
            return unsigned.body([order.signature])
        try:
            with signer_of(self._access.stark_key) as signer:
                return unsigned.body([signer.sign(digest) for digest in unsigned.hashes])
        except ValueError as exc:
            raise _not_signed() from exc

    def _unsigned(self, order: Outgoing) -> orders.UnsignedOrder:
        terms = market_terms(self._profile, order.symbol)
        try:
            ticket = ticket_of(order, terms=terms, access=self._access, domain=self._profile.domain)
            return orders.unsigned_order(ticket)
        except ValueError as exc:
            raise _not_signed() from exc

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

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """One call."""
        self._client.send(account_calls.set_leverage(symbol, Decimal(leverage)), self._access.access)

    def set_switch(self, timeout_s: int) -> None:
        """The venue's own, which works even if nothing here does."""
        self._client.send(order_calls.dead_mans_switch(timeout_s), self._access.access)

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


def _not_signed() -> Unavailable:
    logger.exception("order_not_signed")
    return Unavailable("not signed")


def news_of(told: AccountNews) -> News:
    """Orders and trades in our words; balance and positions are compared when the account is synced."""
    trades = [trade_of(row) for row in told.trades or () if row.side in SIDES]
    return News(orders=shown(told.orders or ()), trades=trades)


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
