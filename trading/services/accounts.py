"""Trading accounts: open, change, close. Money on a practice account comes from the faucet, in the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.services.locks import locked_user
from astrade.core import errors
from marketdata.selectors import MarketInfo
from trading import selectors
from trading.domain.admission import check_account, check_leverage, check_margin, leverage_cap
from trading.domain.bodies import balance_body
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.limits import LOOSENING_TAKES, OWN_LIMITS, first_limit, own_limit
from trading.domain.margin import Board, summarise
from trading.loading import AccountRef, read_account
from trading.models import CashBalance, MarketSetting, TradingAccount
from trading.services.bookings import booking, present_board
from trading.services.risk_days import pass_on_day
from trading.venues.choice import venue_account

MAX_PRACTICE_ACCOUNTS = 5
MAX_INITIAL_BALANCE = Decimal(100_000)
DEFAULT_NAME = "Practice"


def open_practice_account(
    *,
    user_id: int,
    name: str = DEFAULT_NAME,
    initial_balance: Decimal | None = None,
    max_leverage: int = 10,
    max_daily_loss: Decimal | None = None,
    max_daily_notional: Decimal | None = None,
    simulator: str = TradingAccount.Simulator.REALISTIC,
    simulated_latency_ms: int = 0,
) -> TradingAccount:
    """Open a practice account with virtual money (10,000 unless said); the user's first one becomes the primary one.

    Daily limits are no looser than those the user set on other accounts, until 24 hours later, and its first risk day
    begins with what accounts closed in it lost. Raises FundsLimitExceeded beyond five open practice accounts or
    100,000. Locks the user and their accounts, then the new one.
    """
    balance = Decimal(settings.PRACTICE_INITIAL_BALANCE) if initial_balance is None else initial_balance
    if not 0 <= balance <= MAX_INITIAL_BALANCE:
        raise errors.FundsLimitExceeded(details={"initial_balance": balance, "max": MAX_INITIAL_BALANCE})
    nothing_open = Board(markets={}, quotes={})
    with transaction.atomic():
        account = _create(
            user_id,
            name=name,
            max_leverage=max_leverage,
            max_daily_loss=max_daily_loss,
            max_daily_notional=max_daily_notional,
            simulator=simulator,
            simulated_latency_ms=simulated_latency_ms,
        )
        with booking(AccountRef(account_id=account.pk)) as batch:
            reference = selectors.opening_reference(account)
            batch.post(EntryKind.DEPOSIT, amount=balance, against=LedgerAccount.EXTERNAL, reference=reference)
            summary = summarise(batch.account, nothing_open)
            batch.emit("balance_update", balance_body(summary, asset=batch.account.cash.asset))
    return account


def _create(user_id: int, *, name: str, simulator: str, **limits: Any) -> TradingAccount:
    locked_user(user_id)  # also where there is no account yet that could be locked
    owned = list(TradingAccount.objects.select_for_update().filter(user_id=user_id).order_by("pk"))
    open_ones = [account for account in owned if account.state != TradingAccount.State.CLOSED]
    if len(open_ones) >= MAX_PRACTICE_ACCOUNTS:
        raise errors.FundsLimitExceeded(details={"accounts": len(open_ones), "max": MAX_PRACTICE_ACCOUNTS})
    TradingAccount.objects.filter(user_id=user_id, is_primary=True, state=TradingAccount.State.CLOSED).update(
        is_primary=False
    )
    now = timezone.now()
    account = TradingAccount.objects.create(
        user_id=user_id,
        name=name,
        is_primary=not any(account.is_primary for account in open_ones),
        simulator=simulator,
        created_at=now,
        **limits | first_limits(limits, owned, now=now),
    )
    CashBalance.objects.create(account=account, asset=account.currency)
    traded = [account for account in owned if account.closed_at is not None and account.fill_count]
    if traded:
        pass_on_day(account.pk, closed=traded, user_id=user_id, now=now)
    return account


def first_limits(wanted: dict[str, Any], owned: list[TradingAccount], *, now: datetime) -> dict[str, Any]:
    """Columns of the owner's limits. Those of an account count for a day after it was closed."""
    others = [account for account in owned if account.closed_at is None or account.closed_at > now - LOOSENING_TAKES]
    columns: dict[str, Any] = {}
    for name in OWN_LIMITS:
        held = [own_limit(account, name) for account in others]
        columns |= first_limit(wanted[name], others=held, now=now).columns(name)
    return columns


def update_account(
    *, account: AccountRef, changes: dict[str, Any], now: datetime, version: int | None = None
) -> TradingAccount:
    """Change name, limits or primary of an account; raises NotFound, VersionConflict or AccountFrozen (closed).

    Daily limits are tightened at once and loosened after 24 hours. Locks the user's accounts, since at most one of them
    is primary.
    """
    with transaction.atomic():
        found = selectors.account_by_ref(account)
        owned = {
            row.pk: row
            for row in TradingAccount.objects.select_for_update().filter(user_id=found.user_id).order_by("pk")
        }
        found = owned[found.pk]
        if version is not None and version != found.version:
            raise errors.VersionConflict(details={"version": found.version})
        if found.state == TradingAccount.State.CLOSED:
            raise errors.AccountFrozen(details={"state": found.state})
        if changes.pop("primary", False) and not found.is_primary:
            TradingAccount.objects.filter(user_id=found.user_id, is_primary=True).update(is_primary=False)
            found.is_primary = True
        for name in set(OWN_LIMITS) & changes.keys():
            changes |= own_limit(found, name).changed(changes[name], now=now).columns(name)
        for name, value in changes.items():
            setattr(found, name, value)
        found.version += 1
        found.save(update_fields=["is_primary", "version", *changes])
    return found


def close_account(*, account: AccountRef) -> TradingAccount:
    """Close an account for good, keeping its history; raises OpenPositions while anything is open.

    The primary account's place goes to the oldest open one. Locks the user's accounts.
    """
    with transaction.atomic():
        found = selectors.account_by_ref(account)
        owned = list(TradingAccount.objects.select_for_update().filter(user_id=found.user_id).order_by("pk"))
        with booking(AccountRef(account_id=found.pk)) as batch:
            state = batch.account
            is_holding = any(position.quantity for position in state.positions.values())
            if state.open_orders or is_holding or selectors.have_open_payments([state.id]):
                raise errors.OpenPositions
        closing = next(row for row in owned if row.pk == found.pk)
        if closing.state != TradingAccount.State.CLOSED:
            retire(closing, owned)
    return closing


def retire(closing: TradingAccount, owned: Sequence[TradingAccount]) -> None:
    """Close one of a user's accounts, all of which the caller has locked; a primary one's place goes to the oldest."""
    others = [row for row in owned if row.pk != closing.pk and row.state != TradingAccount.State.CLOSED]
    was_primary, closing.is_primary = closing.is_primary and bool(others), closing.is_primary and not others
    closing.state, closing.closed_at = TradingAccount.State.CLOSED, timezone.now()
    closing.version += 1
    closing.save(update_fields=["state", "closed_at", "is_primary", "version"])
    if was_primary:
        TradingAccount.objects.filter(pk=others[0].pk).update(is_primary=True)


def set_leverage(*, account: AccountRef, market: MarketInfo, leverage: int) -> tuple[int, int]:
    """Set an account's leverage on a market; returns it with the highest one allowed. Locks the account.

    At a venue it is the venue that decides, and is asked first: raises VenueError then. Otherwise raises
    LeverageAboveLimit, or InsufficientMargin if what is open would then be bound by more than there is.
    """
    board, asked = present_board(), read_account(account)
    if asked.is_live:
        check_account(asked)
        check_leverage(asked, market, leverage=leverage)
        venue_account(asked.id).set_leverage(market.symbol, leverage)
    with booking(AccountRef(account_id=asked.id), market_id=market.id) as batch:
        state = batch.account
        before = summarise(state, board)
        state.leverage[market.id] = leverage
        if not state.is_live:
            check_account(state)
            check_leverage(state, market, leverage=leverage)
            check_margin(before, summarise(state, board))
        _keep_leverage(state.id, {market.id: leverage})
    return leverage, leverage_cap(state, market)


def follow_leverage(account_id: int, shown: Mapping[int, int | None]) -> None:
    """Take over the leverage that a venue shows by market id, where it is another one. Locks the account."""
    with booking(AccountRef(account_id=account_id)) as batch:
        changed = {
            market_id: leverage
            for market_id, leverage in shown.items()
            if leverage is not None and leverage != batch.account.leverage_on(market_id)
        }
        _keep_leverage(account_id, changed)


def _keep_leverage(account_id: int, leverage: Mapping[int, int]) -> None:
    rows = [MarketSetting(account_id=account_id, market_id=key, leverage=value) for key, value in leverage.items()]
    MarketSetting.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["account", "market"], update_fields=["leverage"]
    )
