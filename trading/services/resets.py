"""Start a practice account anew: what is open is ended, the account closes, a successor takes its place."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from accounts.services.locks import locked_user
from astrade.core import errors
from astrade.core.money import ZERO
from marketdata.selectors import markets_by_id
from trading import selectors
from trading.domain.admission import check_account, check_practice
from trading.domain.lifecycle import OrderSource
from trading.domain.limits import HaltScope
from trading.loading import AccountRef, read_account
from trading.models import MarketSetting, TradingAccount
from trading.services.accounts import open_practice_account
from trading.services.bookings import booking
from trading.services.halts import HaltTarget, halts_in_force, set_halt
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

    Raises NotFound, OrderTypeNotOffered for an account at a venue, AccountFrozen, UserFrozen, MarketDataStale. A
    position that the book can't take whole stays open in part. May be called again at any time.
    """
    state = read_account(account)
    check_practice(state)
    check_account(state)
    cancel_orders(account=account, reason=REASON)
    for position in state.positions.values():
        if position.quantity:
            _close(account, market_id=position.market_id, source=source)


def _close(account: AccountRef, *, market_id: int, source: OrderSource) -> None:
    terms, before = markets_by_id()[market_id], ZERO
    while (held := _held(account, market_id)) and held != before:
        before = held
        quantity = min(held, terms.max_quantity)
        close_position(account=account, symbol=terms.symbol, quantity=quantity, source=source, travels=False)


def _held(account: AccountRef, market_id: int) -> Decimal:
    position = read_account(account, market_id=market_id).positions.get(market_id)
    return abs(position.quantity) if position else ZERO


def replace_account(*, account: AccountRef, initial_balance: Decimal | None = None) -> Replaced:
    """Close a practice account that `clear_account` has cleared and open its successor: same name, limits, simulator
    and leverage, the primary one if this was, with the same starting balance unless said. Nothing that protects its
    owner is lost by it: halts of the account and limits that wait to be loosened go with it, and the risk day goes on
    with what was lost and traded (`risk_days.pass_on_day`).

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
        for halt in halts_in_force(at).filter(account=closing):
            target = HaltTarget(HaltScope.ACCOUNT, account=successor)
            set_halt(target, reason=halt.reason, actor_id=None, now=at, until=halt.until)
    for found in (closing, successor):
        found.refresh_from_db()
    return Replaced(closed=closing, successor=successor)


def _starting_balance(account: TradingAccount) -> Decimal:
    found = selectors.account_as_opened(AccountRef(account_id=account.pk))
    opened_with: Decimal = found.initial_balance  # type: ignore[attr-defined]
    return opened_with


def _inherit(successor: TradingAccount, predecessor: TradingAccount) -> None:
    kept = [column.name for column in TradingAccount._meta.concrete_fields if column.name not in OWN]
    TradingAccount.objects.filter(pk=successor.pk).update(
        predecessor=predecessor, **{name: getattr(predecessor, name) for name in kept}
    )
    leverage = MarketSetting.objects.filter(account=predecessor).values_list("market_id", "leverage")
    MarketSetting.objects.bulk_create(
        MarketSetting(account=successor, market_id=market_id, leverage=value) for market_id, value in leverage
    )
