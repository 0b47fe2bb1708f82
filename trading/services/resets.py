"""Start a practice account anew: what is open is ended, the account closes, a successor takes its place."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from accounts.services.locks import locked_user
from astrade.core import errors
from astrade.core.money import ZERO
from marketdata.selectors import markets_by_id
from trading import selectors
from trading.domain.admission import check_account
from trading.domain.lifecycle import LedgerAccount, OrderSource
from trading.loading import AccountRef, read_account
from trading.models import MarketSetting, Posting, TradingAccount
from trading.services.accounts import open_practice_account, opening_reference
from trading.services.bookings import booking
from trading.services.orders import cancel_orders
from trading.services.positions import close_position

REASON = "account_reset"
# What an account is by itself; all its other columns are settings, which the successor keeps.
OWN = frozenset(
    {
        "id",
        "uuid",
        "user",
        "venue",
        "network",
        "is_primary",
        "state",
        "currency",
        "sequence",
        "order_count",
        "fill_count",
    }
    | {
        "entry_count",
        "head_hash",
        "net_deposits",
        "traded_notional",
        "version",
        "created_at",
        "closed_at",
        "predecessor",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A closed practice account, and the one that took its place."""

    closed: TradingAccount
    successor: TradingAccount


def clear_account(*, account: AccountRef, source: OrderSource) -> None:
    """Cancel all orders of a practice account and close its positions at market, each in a transaction of its own.

    Raises NotFound, AccountFrozen, UserFrozen, MarketDataStale. A position that the book can't take whole stays open in
    part. May be called again at any time.
    """
    state = read_account(account)
    check_account(state)
    cancel_orders(account=account, reason=REASON)
    for position in state.positions.values():
        if position.quantity:
            _close(account, market_id=position.market_id, source=source)


def _close(account: AccountRef, *, market_id: int, source: OrderSource) -> None:
    terms, before = markets_by_id()[market_id], ZERO
    while (held := _held(account, market_id)) and held != before:
        before = held
        close_position(account=account, symbol=terms.symbol, quantity=min(held, terms.max_quantity), source=source)


def _held(account: AccountRef, market_id: int) -> Decimal:
    position = read_account(account, market_id=market_id).positions.get(market_id)
    return abs(position.quantity) if position else ZERO


def replace_account(*, account: AccountRef, initial_balance: Decimal | None = None) -> Replaced:
    """Close a practice account that `clear_account` has cleared and open its successor: same name, limits, simulator
    and leverage, the primary one if this was, with the same starting balance unless said.

    Locks the user, their accounts and the new one. Raises NotFound, AccountFrozen, UserFrozen, FundsLimitExceeded, and
    OpenPositions while anything is open.
    """
    row = selectors.account_by_ref(account)
    if row.venue != TradingAccount.Venue.PRACTICE:
        raise errors.NotPermitted("Only practice accounts can be reset")
    with transaction.atomic():
        locked_user(row.user_id)
        owned = TradingAccount.objects.select_for_update().filter(user_id=row.user_id).order_by("pk")
        closing = next(found for found in owned if found.pk == row.pk)
        with booking(AccountRef(account_id=closing.pk)) as batch:
            check_account(batch.account)
            if batch.account.open_orders or any(held.quantity for held in batch.account.positions.values()):
                raise errors.OpenPositions
        closing.refresh_from_db()
        at = batch.now
        TradingAccount.objects.filter(pk=closing.pk).update(
            state=TradingAccount.State.CLOSED, closed_at=at, is_primary=False, version=closing.version + 1
        )
        balance = _starting_balance(closing) if initial_balance is None else initial_balance
        successor = open_practice_account(user_id=closing.user_id, initial_balance=balance)
        _inherit(successor, closing)
    for found in (closing, successor):
        found.refresh_from_db()
    return Replaced(closed=closing, successor=successor)


def _starting_balance(account: TradingAccount) -> Decimal:
    opening = Posting.objects.filter(
        entry__account=account,
        entry__number=1,
        entry__reference=opening_reference(account),
        ledger_account=LedgerAccount.CASH,
    )
    amount: Decimal | None = opening.values_list("amount", flat=True).first()
    return ZERO if amount is None else amount


def _inherit(successor: TradingAccount, predecessor: TradingAccount) -> None:
    kept = [column.name for column in TradingAccount._meta.concrete_fields if column.name not in OWN]
    TradingAccount.objects.filter(pk=successor.pk).update(
        predecessor=predecessor, **{name: getattr(predecessor, name) for name in kept}
    )
    leverage = MarketSetting.objects.filter(account=predecessor).values_list("market_id", "leverage")
    MarketSetting.objects.bulk_create(
        MarketSetting(account=successor, market_id=market_id, leverage=value) for market_id, value in leverage
    )
