"""Withdrawals from live accounts: asked for, approved or rejected, taken back. Sending is `withdrawal_sending`'s.

What is asked for is held in the same transaction (`trading.domain.holds`), under the user's lock, by which a day's
amounts are counted, and the account's.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet, Sum

from accounts.models import Signing, User, UserState
from accounts.services import two_factor
from accounts.services.locks import locked_user
from accounts.services.terms import has_accepted_terms
from astrade.core import audit, errors
from astrade.core.money import ZERO, plain
from astrade.venues.errors import InvalidVenueCredentials
from trading import selectors
from trading.domain import withdrawals as decide
from trading.domain.batch import Batch
from trading.domain.funds import is_cash, spellings, utc_day
from trading.domain.margin import Board
from trading.domain.withdrawals import TO_BE_SENT, WithdrawalRules, WithdrawalState
from trading.loading import AccountRef
from trading.models import TradingAccount, Withdrawal, WithdrawalAddress
from trading.services.bookings import booking, present_board
from trading.services.withdrawal_states import MESSAGE_MAX, move, on_withdrawal, reference_of, release, tell

State = WithdrawalState
REJECTED = "rejected_by_staff"


def rules() -> WithdrawalRules:
    """As the settings have them."""
    return WithdrawalRules(
        minimum=Decimal(settings.WITHDRAWAL_MIN),
        daily_max=Decimal(settings.WITHDRAWAL_DAILY_MAX),
        approval_above=Decimal(settings.WITHDRAWAL_APPROVAL_ABOVE),
    )


def request_withdrawal(
    *,
    account: AccountRef,
    address: UUID,
    amount: Decimal,
    asset: str | None,
    code: str,
    board: Board,
    now: datetime,
) -> Withdrawal:
    """Ask for collateral to be sent to one of the user's addresses; it is `requested`, or waits for approval.

    Spends the second factor's `code` before anything else: call it within `two_factor.trying`, in a transaction.
    `board` was read before any transaction began. Locks the user, then the account. Raises NotFound, TwoFactorInvalid,
    ValidationFailed, TermsNotAccepted, InvalidVenueCredentials where the account isn't connected, OrderTypeNotOffered
    where its user signs, UnknownDestination, and what `trading.domain.withdrawals.admit` refuses.
    """
    row = selectors.account_by_ref(account)
    user = locked_user(row.user_id)
    two_factor.spend(user, code, now=now)
    _check_shape(row, amount=amount, asset=asset)
    _check_connection(row)
    with booking(AccountRef(account_id=row.pk)) as batch:
        destination = _usable_address(row, address, now=batch.now)
        made = Withdrawal(
            account=row,
            address=destination,
            asset=row.currency,
            amount=amount,
            requested_by=user,
            requested_at=batch.now,
        )
        made.state = decide.admit(
            batch,
            amount=amount,
            asked_today=_asked_today(row, now=batch.now),
            rules=rules(),
            board=board,
            stale_after_s=settings.FEED_STALE_AFTER_S,
            reference=reference_of(made),
        )
        made.save(force_insert=True)
        tell(batch, made)
        after = {"state": made.state, "account": row.uuid, "amount": plain(amount), "address": destination.address}
        audit.record("withdrawal.requested", actor_id=user.pk, subject=made, after=after)
    return made


def _check_shape(account: TradingAccount, *, amount: Decimal, asset: str | None) -> None:
    fields: dict[str, list[str]] = {}
    if account.venue == TradingAccount.Venue.PRACTICE:
        fields["account"] = ["Virtual money can't be withdrawn."]
    if asset is not None and asset.upper() not in spellings(account.currency):
        fields["asset"] = [f"The account holds {account.currency}."]
    if not is_cash(amount):
        fields["amount"] = ["At most 6 decimals."]
    if fields:
        raise errors.ValidationFailed(details={"fields": fields})


def _check_connection(account: TradingAccount) -> None:
    if not has_accepted_terms(account.user_id):
        raise errors.TermsNotAccepted
    public_key, signing = selectors.signing_of(account.pk)
    if public_key is None or account.opened_at is None:
        raise InvalidVenueCredentials(details={"account": "Not connected to its venue."})
    if signing != Signing.DELEGATED:
        raise errors.OrderTypeNotOffered(details={"signing": signing})


def _usable_address(account: TradingAccount, address: UUID, *, now: datetime) -> WithdrawalAddress:
    listed = WithdrawalAddress.objects.filter(user_id=account.user_id, network=account.network, removed_at=None)
    found = listed.filter(uuid=address).first()
    if found is None:
        raise errors.UnknownDestination(details={"address_id": str(address)})
    if found.usable_at > now:
        raise errors.UnknownDestination(
            "This address can't be used yet", details={"address_id": str(address), "usable_at": found.usable_at}
        )
    return found


def _asked_today(account: TradingAccount, *, now: datetime) -> Decimal:
    """By the user, over all accounts of the network, on this UTC day; what failed or was cancelled doesn't count."""
    today: QuerySet[Withdrawal] = Withdrawal.objects.filter(
        requested_by_id=account.user_id, account__network=account.network, requested_at__gte=utc_day(now)
    )
    counted = today.exclude(state__in=[State.FAILED, State.CANCELLED])
    total: Decimal | None = counted.aggregate(total=Sum("amount"))["total"]
    return ZERO if total is None else total


def cancel_withdrawal(withdrawal_id: int, *, user_id: int) -> Withdrawal:
    """Take a withdrawal back before it is sent; its hold is released. Locks the account.

    Raises VersionConflict once it is being sent or has ended.
    """
    board = present_board()
    with on_withdrawal(withdrawal_id) as (batch, row):
        if row.state not in TO_BE_SENT | {State.AWAITING_APPROVAL} or row.signed_at is not None:
            raise errors.VersionConflict("The withdrawal can't be cancelled any more", details={"status": row.state})
        move(batch, row, State.CANCELLED, reason="by_user", actor_id=user_id)
        release(batch, row, board=board)
    return row


def approve_withdrawal(
    withdrawal_id: int, *, staff_id: int, code: str | None, now: datetime, ip: str | None = None
) -> Withdrawal:
    """Let a withdrawal go out, as somebody else than who asked for it, by a fresh second factor of one's own.

    Locks the account. Raises TwoFactorRequired, TwoFactorInvalid, NotPermitted for the requester and for who isn't
    staff, VersionConflict where it doesn't wait for approval any more.
    """

    def approve(batch: Batch, row: Withdrawal) -> None:
        move(batch, row, State.APPROVED, actor_id=staff_id, ip=ip)

    return _decide(withdrawal_id, approve, staff_id=staff_id, code=code, now=now)


def reject_withdrawal(
    withdrawal_id: int, *, staff_id: int, code: str | None, note: str, now: datetime, ip: str | None = None
) -> Withdrawal:
    """End a withdrawal that waits for approval, with a `note` for its owner; raises as `approve_withdrawal`, and
    ValidationFailed without a note.
    """
    if not note.strip():
        raise errors.ValidationFailed(details={"fields": {"reason": ["Say why; the user reads it."]}})
    board = present_board()

    def reject(batch: Batch, row: Withdrawal) -> None:
        row.message = note.strip()[:MESSAGE_MAX]
        move(batch, row, State.FAILED, reason=REJECTED, actor_id=staff_id, ip=ip)
        release(batch, row, board=board)

    return _decide(withdrawal_id, reject, staff_id=staff_id, code=code, now=now)


def _decide(
    withdrawal_id: int,
    effect: Callable[[Batch, Withdrawal], None],
    *,
    staff_id: int,
    code: str | None,
    now: datetime,
) -> Withdrawal:
    if not User.objects.filter(pk=staff_id, is_staff=True, state=UserState.ACTIVE).exists():
        raise errors.NotPermitted
    two_factor.require_fresh(staff_id, code=code, now=now)
    with on_withdrawal(withdrawal_id) as (batch, row):
        if row.state != State.AWAITING_APPROVAL:
            raise errors.VersionConflict(details={"status": row.state})
        if row.requested_by_id == staff_id:
            raise errors.NotPermitted("A withdrawal is decided by somebody else than who asked for it")
        row.decided_by_id, row.decided_at = staff_id, batch.now
        effect(batch, row)
    return row
