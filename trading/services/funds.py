"""Transfers between a user's own accounts, and the practice faucet."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from accounts.services.locks import locked_user
from astrade.core import errors
from astrade.venues.extended.profiles import Network
from trading import selectors
from trading.domain import funds as decide
from trading.domain.margin import Board
from trading.loading import AccountRef
from trading.models import Deposit, TradingAccount, Transfer
from trading.services.bookings import booking
from trading.services.live_transfers import is_reachable, request_transfer
from trading.venues.choice import venue_account


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A deposit from the faucet, and what the user got from it on this UTC day, this one included."""

    deposit: Deposit
    granted_today: Decimal


def transfer(*, sender: AccountRef, to_account: UUID, asset: str | None, amount: Decimal, board: Board) -> Transfer:
    """Move cash to another account of the same user, venue, network and currency: practice money at once, money at a
    venue by it (`trading.services.live_transfers`). `board` was read before any transaction began.

    Raises NotFound for the sender, UnknownDestination, ValidationFailed, what `trading.domain.funds.transfer` refuses
    and for a live account what `request_transfer` does.
    """
    source = selectors.account_by_ref(sender)
    target = _destination(source, to_account)
    _check_asset(source, asset)
    _check_scale(amount)
    if source.venue != TradingAccount.Venue.PRACTICE:
        return request_transfer(source, target, amount=amount, board=board)
    return _move(source, target, amount=amount, board=board)


def _move(source: TradingAccount, target: TradingAccount, *, amount: Decimal, board: Board) -> Transfer:
    """Both entries in one transaction. Locks both accounts by rising row id, so that crossing transfers wait for each
    other and never deadlock.
    """
    uuid = uuid4()
    first, second = sorted((source.pk, target.pk))
    with (
        transaction.atomic(),
        booking(AccountRef(account_id=first)) as low,
        booking(AccountRef(account_id=second)) as high,
    ):
        out, into = (low, high) if source.pk == first else (high, low)
        decide.transfer(
            out,
            into,
            amount=amount,
            board=board,
            stale_after_s=settings.FEED_STALE_AFTER_S,
            reference=f"transfer:{uuid}",
        )
        return Transfer.objects.create(
            uuid=uuid, from_account=source, to_account=target, asset=source.currency, amount=amount, at=out.now
        )


def _destination(source: TradingAccount, to_account: UUID) -> TradingAccount:
    if to_account == source.uuid:
        raise errors.ValidationFailed(details={"fields": {"to_account": ["Must be another account."]}})
    owned = TradingAccount.objects.filter(user_id=source.user_id, uuid=to_account)
    alike = owned.filter(venue=source.venue, network=source.network, currency=source.currency)
    target = alike.select_related("credential").first()
    if target is None or (source.venue != TradingAccount.Venue.PRACTICE and not is_reachable(target)):
        raise errors.UnknownDestination(details={"to_account": str(to_account)})
    return target


def claim_test_money(account: AccountRef, *, amount: Decimal | None) -> dict[str, str] | None:
    """Ask the venue of a live testnet account for its test money; None for a practice account. Call it outside any
    transaction: what comes of it the venue's history tells.

    Raises NotFound, ValidationFailed on a mainnet and where an amount is asked for, and the venue's own refusal.
    """
    row = selectors.account_by_ref(account)
    if row.venue == TradingAccount.Venue.PRACTICE:
        return None
    if row.network != Network.TESTNET:
        message = "The faucet fills practice accounts and accounts of a testnet only."
        raise errors.ValidationFailed(details={"fields": {"account": [message]}})
    if amount is not None:
        raise errors.ValidationFailed(details={"fields": {"amount": ["The venue decides how much: leave it out."]}})
    return {"id": venue_account(row.pk).funds.claim(), "account": str(row.uuid)}


def grant_faucet(*, account: AccountRef, amount: Decimal | None, board: Board) -> Granted:
    """Put virtual money on a practice account; 100,000 a day for each user over all their accounts, by UTC days.

    Locks the user, then the account. Raises NotFound, ValidationFailed, and what `trading.domain.funds.faucet` refuses.
    """
    row = selectors.account_by_ref(account)
    if row.venue != TradingAccount.Venue.PRACTICE:
        raise errors.ValidationFailed(details={"fields": {"account": ["Virtual money is for practice accounts."]}})
    if amount is None:
        raise errors.ValidationFailed(details={"fields": {"amount": ["This field is required."]}})
    _check_scale(amount)
    uuid = uuid4()
    with transaction.atomic():
        locked_user(row.user_id)
        with booking(AccountRef(account_id=row.pk)) as batch:
            granted = selectors.faucet_granted(row.user_id, since=decide.utc_day(batch.now))
            decide.faucet(batch, amount=amount, granted_today=granted, board=board, reference=f"faucet:{uuid}")
            deposit = Deposit.objects.create(
                uuid=uuid,
                account=row,
                source=Deposit.Source.FAUCET,
                asset=batch.account.cash.asset,
                amount=amount,
                at=batch.now,
            )
    return Granted(deposit=deposit, granted_today=granted + amount)


def _check_asset(account: TradingAccount, asset: str | None) -> None:
    if asset is not None and asset.upper() not in decide.spellings(account.currency):
        raise errors.ValidationFailed(details={"fields": {"asset": [f"The account holds {account.currency}."]}})


def _check_scale(amount: Decimal) -> None:
    if not decide.is_cash(amount):
        raise errors.ValidationFailed(details={"fields": {"amount": ["At most 6 decimals."]}})
