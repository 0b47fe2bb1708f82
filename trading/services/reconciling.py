"""Ask a venue what it knows, and book it: orders whose answer was lost, accounts whose stream may have told too little.

The venue is asked outside any lock, each answer is booked by `trading.services.venue_reports`. All of it may run at any
time, twice, and in several processes: what is known already changes nothing. Nothing is made up: a difference that the
venue's own trades don't explain opens a case.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from django.db.models.functions import Now
from msgspec import convert

from accounts.services import venue_connections
from astrade.core.clock import system_clock
from astrade.core.errors import UnknownMarket
from astrade.core.money import ZERO, plain
from marketdata.selectors import markets_by_id
from trading.domain.lifecycle import LIVE
from trading.domain.live import UNANSWERED
from trading.domain.reports import ShownOrder, VenueTrade
from trading.loading import AccountRef, read_account
from trading.models import Case, TradingAccount, VenueMessage, VenueOrder
from trading.selectors import lost_protection
from trading.services.accounts import follow_leverage
from trading.services.cases import open_case
from trading.services.funding import record_payment
from trading.services.movements import book_movements, off_balance
from trading.services.openings import open_at_venue
from trading.services.twap import follow_slices
from trading.services.venue_orders import send_cancel
from trading.services.venue_reports import apply_shown, lose_order, note_lookup, record_fill
from trading.venues.base import News, VenueAccount
from trading.venues.choice import venue_account

logger = logging.getLogger(__name__)
TRADES_AT_ONCE = 1000
TRADE = "trade"
NO_ANSWER = "no_answer"
UNKNOWN_AT_MOST = timedelta(minutes=5)  # then somebody looks at it (DESIGN §4.2)
CANCEL_AGAIN_AFTER = timedelta(seconds=10)


def resolve_order(account_id: int, order_id: int) -> None:
    """Ask for an order whose answer was lost, by its own id. Raises VenueError where the venue can't be asked."""
    body = lose_order(account_id, order_id, reason=NO_ANSWER)
    link = VenueOrder.objects.get(order_id=order_id)
    if link.deadline_at is not None and link.deadline_at + UNKNOWN_AT_MOST < system_clock():
        figures = {"number": body["number"], "lookups": link.lookups}
        open_case(account_id, Case.Kind.UNKNOWN_ORDER, subject=str(body["id"]), figures=figures)
    if shown := venue_account(account_id).find(link.external_id):
        _follow(account_id, shown)
    else:
        note_lookup(account_id, order_id)


def sync_account(account_id: int) -> None:
    """Bring an account up to what its venue knows: open orders, orders that ended meanwhile, trades; then compare.

    The first time the account is opened with what the venue holds. Raises VenueError where the venue can't be asked.
    """
    TradingAccount.objects.filter(pk=account_id).update(synced_at=Now())
    venue = venue_account(account_id)
    if not TradingAccount.objects.filter(pk=account_id, opened_at__isnull=False).exists():
        open_at_venue(account_id, venue)
        return
    _retry_messages(account_id, venue)
    book_trades(account_id, venue)
    open_now = venue.open_orders()
    _follow(account_id, open_now)
    _look_for_ended(account_id, venue, still_open={shown.venue_order_id for shown in open_now})
    book_trades(account_id, venue)
    book_funding(account_id, venue)
    book_movements(account_id, venue)
    _repeat_cancels(account_id)
    compare(account_id, venue)


def book_trades(account_id: int, venue: VenueAccount) -> int:
    """Book the trades after the last one known; returns how many were new."""
    trades = venue.trades_since(_last_trade(account_id), at_most=TRADES_AT_ONCE)
    new = sum(book_trade(account_id, venue, trade) for trade in trades)
    if trades:
        TradingAccount.objects.filter(pk=account_id).update(last_trade_id=trades[-1].trade_id)
    return new


def book_funding(account_id: int, venue: VenueAccount) -> int:
    """Book the venue's funding after the last payment known; returns how many were new."""
    last = TradingAccount.objects.values_list("last_funding_id", flat=True).get(pk=account_id)
    payments = venue.funding_since(last or None, at_most=TRADES_AT_ONCE)
    new = 0
    for told in payments:
        with suppress(UnknownMarket):  # which `compare` finds in the balance
            new += record_payment(account_id, told)
    if payments:
        TradingAccount.objects.filter(pk=account_id).update(last_funding_id=payments[-1].payment_id)
    return new


def book_trade(account_id: int, venue: VenueAccount, trade: VenueTrade) -> bool:
    """Book one trade, having fetched and followed, or adopted, its order where that isn't known here.

    One that can't be placed is kept as it came, tried again with every `sync_account`, and a case.
    """
    if (booked := _placed(account_id, venue, trade)) is not None:
        return booked
    body = {name: str(getattr(trade, name)) for name in VenueTrade.__slots__}
    message = VenueMessage(account_id=account_id, kind=TRADE, key=trade.trade_id, body=body)
    VenueMessage.objects.bulk_create([message], ignore_conflicts=True)
    open_case(account_id, Case.Kind.UNPLACED_TRADE, subject=trade.trade_id, figures=body)
    return False


def _placed(account_id: int, venue: VenueAccount, trade: VenueTrade) -> bool | None:
    try:
        recorded = record_fill(account_id, trade)
        if recorded is None and (shown := venue.order(trade.venue_order_id)) is not None:
            apply_shown(account_id, shown)
            recorded = record_fill(account_id, trade)
    except UnknownMarket:
        return None
    if recorded is None:
        return None
    if recorded.is_new and recorded.slice_of is not None:
        follow_slices(account_id, recorded.slice_of)
    return recorded.is_new


def apply_news(account_id: int, venue: VenueAccount, news: News) -> None:
    """Book what one message of the account's stream tells: first its orders, so that its trades find them."""
    _follow(account_id, news.orders)
    for trade in news.trades:
        book_trade(account_id, venue, trade)


def mark_refused(account_id: int) -> None:
    """Note that the venue no longer takes the account's key: nothing is asked with it until its user connects again."""
    credential_id = TradingAccount.objects.values_list("credential_id", flat=True).get(pk=account_id)
    if credential_id is not None:
        venue_connections.mark_refused(credential_id)


def _retry_messages(account_id: int, venue: VenueAccount) -> None:
    for message in VenueMessage.objects.filter(account_id=account_id, kind=TRADE, understood_at=None).order_by("pk"):
        if _placed(account_id, venue, convert(message.body, VenueTrade, strict=False)) is not None:
            VenueMessage.objects.filter(pk=message.pk).update(understood_at=Now())


def _follow(account_id: int, orders: Sequence[ShownOrder]) -> None:
    for shown in orders:
        try:
            apply_shown(account_id, shown)
        except UnknownMarket:
            logger.warning("order_of_unknown_market", extra={"account": account_id, "symbol": shown.symbol})


def _look_for_ended(account_id: int, venue: VenueAccount, *, still_open: set[int | None]) -> None:
    """Orders that live here and are not open there: each is asked for by its own id."""
    living = VenueOrder.objects.filter(account_id=account_id, order__status__in=sorted(LIVE - UNANSWERED))
    for external_id in living.exclude(order__venue_order_id__in=still_open).values_list("external_id", flat=True):
        _follow(account_id, venue.find(external_id))


def _repeat_cancels(account_id: int) -> None:
    """Cancels that were asked for a while ago, of orders that still live: the first may have overtaken its order."""
    due = Now() - CANCEL_AGAIN_AFTER
    living = VenueOrder.objects.filter(
        account_id=account_id, order__status__in=sorted(LIVE), cancel_requested_at__lte=due
    )
    send_cancel(account_id, list(living.order_by("pk").values_list("external_id", flat=True)))


def compare(account_id: int, venue: VenueAccount) -> list[Case.Kind]:
    """Hold balance and positions against the venue's, and see that what protected a position still does; returns what
    is not as it should be, each of which opens a case. Leverage is the venue's.

    What moves meanwhile is no difference: where a trade or money came in between, nothing is compared, and what is on
    its way out may be off the venue's balance already.
    """
    holdings = venue.holdings()
    if venue.trades_since(_last_trade(account_id), at_most=1) or book_movements(account_id, venue):
        return []
    markets = markets_by_id()
    follow_leverage(account_id, {market.id: holdings.leverage.get(market.symbol) for market in markets.values()})
    state = read_account(AccountRef(account_id=account_id))
    ours = {markets[one.market_id].symbol: one.quantity for one in state.positions.values() if one.quantity}
    theirs = {one.symbol: one.quantity for one in holdings.positions}
    found = []
    for symbol in sorted(ours.keys() | theirs.keys()):
        booked, shown = ours.get(symbol, ZERO), theirs.get(symbol, ZERO)
        if booked != shown:
            figures = {"booked": plain(booked), "venue": plain(shown)}
            open_case(account_id, Case.Kind.POSITION_DIFFERS, subject=symbol, figures=figures)
            found.append(Case.Kind.POSITION_DIFFERS)
    if state.cash.balance - holdings.balance not in off_balance(account_id):
        figures = {"booked": plain(state.cash.balance), "venue": plain(holdings.balance)}
        open_case(account_id, Case.Kind.BALANCE_DIFFERS, subject=state.cash.asset, figures=figures)
        found.append(Case.Kind.BALANCE_DIFFERS)
    for position in state.positions.values():
        if position.quantity and (order := lost_protection(account_id, position)) is not None:
            figures = {"position": plain(position.quantity), "status": order.status, "reason": order.reason}
            open_case(account_id, Case.Kind.PROTECTION_LOST, subject=str(order.uuid), figures=figures)
            found.append(Case.Kind.PROTECTION_LOST)
    return found


def _last_trade(account_id: int) -> str | None:
    return TradingAccount.objects.values_list("last_trade_id", flat=True).get(pk=account_id) or None
