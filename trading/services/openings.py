"""A live account's beginning: its user connects an account at a venue, and our books begin with what is there.

The row is made in the transaction that connects. The venue is asked afterwards: one `opening` entry equal to its
balance, its positions at its entry prices, its open orders as `external`. Trades from before are history, never booked.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils import timezone

from accounts.models import VenueCredential
from accounts.services.locks import locked_user
from astrade.core.clock import system_clock
from astrade.core.errors import OpenPositions, UnknownMarket
from astrade.core.money import ZERO
from marketdata.selectors import market_by_symbol
from trading.domain import live
from trading.domain.batch import Batch
from trading.domain.bodies import balance_body
from trading.domain.lifecycle import LIVE, EntryKind, LedgerAccount, OrderStatus, OrderType, Side, TimeInForce
from trading.domain.limits import OWN_LIMITS
from trading.domain.margin import Board, summarise
from trading.domain.reports import ShownMovement, ShownOrder, VenueTrade
from trading.loading import AccountRef
from trading.models import CashBalance, Order, TradingAccount, VenueOrder
from trading.models.account import MAX_LEVERAGE
from trading.selectors import have_open_payments
from trading.services.accounts import first_limits, retire
from trading.services.bookings import booking, present_board
from trading.services.movements import LOOKS_BACK, remember_opening
from trading.venues.base import Holdings, ShownPosition, VenueAccount

TRIES = 5
OPENING = "opening"


def make_live_account(*, user_id: int, credential_id: int, replaces: int | None) -> int:
    """The account that a new connection trades on, by row id; the same one goes on where its keys were replaced.

    Call it in the transaction that connects; locks the user. Daily limits are no looser than on the user's others.
    """
    locked_user(user_id)
    if replaces is not None:
        kept = TradingAccount.objects.filter(credential_id=replaces).exclude(state=TradingAccount.State.CLOSED)
        for account in kept:
            TradingAccount.objects.filter(pk=account.pk).update(credential_id=credential_id)
            return account.pk
    credential = VenueCredential.objects.get(pk=credential_id)
    owned = list(TradingAccount.objects.select_for_update().filter(user_id=user_id).order_by("pk"))
    now = timezone.now()
    account = TradingAccount.objects.create(
        user_id=user_id,
        name=_name_of(credential, owned),
        venue=credential.venue,
        network=credential.network,
        credential=credential,
        max_leverage=MAX_LEVERAGE,  # as the user has set it at the venue, until they choose less here
        created_at=now,
        **first_limits(dict.fromkeys(OWN_LIMITS), owned, now=now),
    )
    CashBalance.objects.create(account=account, asset=account.currency)
    return account.pk


def _name_of(credential: VenueCredential, owned: Sequence[TradingAccount]) -> str:
    """After venue and network; a further one there after its vault too."""
    name = f"{credential.venue.title()} {credential.network}"
    taken = {account.name for account in owned if account.state != TradingAccount.State.CLOSED}
    return f"{name} {credential.vault}" if name in taken else name


def close_live_account(*, user_id: int, credential_id: int) -> None:
    """Close the account of a connection that ends; its positions stay at the venue, its books here.

    Call it in the transaction that disconnects. Locks the user's accounts. Raises OpenPositions while it has orders, or
    money on its way: the key is what tells of their end.
    """
    owned = list(TradingAccount.objects.select_for_update().filter(user_id=user_id).order_by("pk"))
    for account in owned:
        if account.credential_id != credential_id or account.state == TradingAccount.State.CLOSED:
            continue
        orders = Order.objects.filter(account=account, status__in=sorted(LIVE))
        if orders.exists() or have_open_payments([account.pk]):
            raise OpenPositions
        retire(account, owned)


def open_at_venue(account_id: int, venue: VenueAccount) -> bool:
    """Begin the books with what the venue holds; False if they have begun, or something kept coming in between.

    What is read is of one moment: no trade, no funding and no money came between the first and the last look. What is
    held on markets that aren't listed here is left out, and a difference at the next sync.
    """
    now = system_clock()
    for _ in range(TRIES):
        before = _marks(venue, now=now)
        holdings, orders = venue.holdings(), venue.open_orders()
        after = _marks(venue, now=now)
        if before == after:
            return _open(account_id, holdings, orders, marks=after)
    return False


@dataclass(frozen=True, slots=True)
class _Marks:
    """How far the venue's history went: what comes after it is booked."""

    last_trade_id: str
    last_funding_id: str
    movements: Sequence[ShownMovement]


def _marks(venue: VenueAccount, *, now: datetime) -> _Marks:
    trades, funding = venue.trades_since(None, at_most=1), venue.funding_since(None, at_most=1)
    return _Marks(
        last_trade_id=trades[0].trade_id if trades else "",
        last_funding_id=funding[0].payment_id if funding else "",
        movements=venue.funds.movements_since(now - LOOKS_BACK),
    )


def _open(account_id: int, holdings: Holdings, orders: Sequence[ShownOrder], *, marks: _Marks) -> bool:
    board = present_board()
    with booking(AccountRef(account_id=account_id)) as batch:
        account = TradingAccount.objects.get(pk=account_id)
        if account.opened_at is not None:
            return False
        reference = f"{OPENING}:{account.uuid}"
        batch.post(EntryKind.DEPOSIT, amount=holdings.balance, against=LedgerAccount.EXTERNAL, reference=reference)
        _take_leverage(batch, holdings)
        for position in holdings.positions:
            batch.next_decision()
            with suppress(UnknownMarket):
                _take_over(batch, position, board=board)
        for shown in orders:
            batch.next_decision()
            with suppress(UnknownMarket):
                _adopt_rest(batch, shown, board=board)
        body = balance_body(summarise(batch.account, board), asset=batch.account.cash.asset)
        batch.emit("balance_update", body)
        remember_opening(account_id, marks.movements, now=batch.now)
        TradingAccount.objects.filter(pk=account_id).update(
            opened_at=batch.now, last_trade_id=marks.last_trade_id, last_funding_id=marks.last_funding_id
        )
    return True


def _take_leverage(batch: Batch, holdings: Holdings) -> None:
    for symbol, leverage in holdings.leverage.items():
        with suppress(UnknownMarket):
            market_id = market_by_symbol(symbol).id
            batch.account.leverage[market_id] = batch.leverage[market_id] = leverage


def _adopt_rest(batch: Batch, shown: ShownOrder, *, board: Board) -> None:
    """An open order, with what of it is still to be filled."""
    market = market_by_symbol(shown.symbol)
    rest = replace(shown, quantity=shown.quantity - shown.filled_quantity, filled_quantity=ZERO)
    order = live.adopt(batch, rest, board=board, market_id=market.id, rules_id=market.rules_id)
    VenueOrder.objects.create(
        order_id=order.id, account_id=batch.account.id, external_id=shown.external_id, shown_at=shown.at
    )


def _take_over(batch: Batch, position: ShownPosition, *, board: Board) -> None:
    """A position that was there before us: one external order, filled at the venue's entry price without a fee."""
    market = market_by_symbol(position.symbol)
    side, quantity = (Side.BUY if position.quantity > 0 else Side.SELL), abs(position.quantity)
    shown = ShownOrder(
        venue_order_id=None,
        external_id="",
        symbol=market.symbol,
        side=side,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.IOC,
        quantity=quantity,
        price=None,
        post_only=False,
        reduce_only=False,
        status=OrderStatus.OPEN,
        reason=OPENING,
        filled_quantity=ZERO,
        expires_at=None,
        at=batch.now,
    )
    trade = VenueTrade(
        trade_id=f"{OPENING}:{market.symbol}",
        venue_order_id=0,
        symbol=market.symbol,
        side=side,
        price=position.entry_price,
        quantity=quantity,
        fee=ZERO,
        is_taker=False,
        at=batch.now,
    )
    order = live.adopt(
        batch, shown, board=board, market_id=market.id, rules_id=market.rules_id, name=f"{OPENING}:{market.symbol}"
    )
    live.book_trade(batch, order, trade, board=board)
