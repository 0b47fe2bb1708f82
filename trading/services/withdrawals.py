"""Withdrawals from live accounts: asked for, approved or rejected, taken back. Sending is `payment_sending`'s.

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
from trading.domain.payments import TO_BE_SENT, PaymentState
from trading.domain.withdrawals import WithdrawalRules
from trading.loading import AccountRef
from trading.models import TradingAccount, Withdrawal, WithdrawalAddress
from trading.services.bookings import booking, present_board
from trading.services.payments import MESSAGE_MAX, move, on_payment, release, tell
from trading.services.signatures import Signed
from trading.services.signed_withdrawals import save_signed

State = PaymentState
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
    signed: Signed | None = None,
) -> Withdrawal:
    """Ask for collateral to be sent to one of the user's addresses; it is `requested`, or waits for approval. `signed`
    where the user signs for it (`trading.services.prepared_withdrawals`).

    Spends the second factor's `code` before anything else: call it within `two_factor.trying`, in a transaction.
    `board` was read before any transaction began. Locks the user, then the account. Raises NotFound, TwoFactorInvalid,
    ValidationFailed, TermsNotAccepted, InvalidVenueCredentials where the account isn't connected, OrderTypeNotOffered
    where somebody else signs for it, UnknownDestination, what `trading.domain.withdrawals.admit` refuses, and what
    `trading.services.signatures.check_signed` does.
    """
    row = selectors.account_by_ref(account)
    user = locked_user(row.user_id)
    two_factor.spend(user, code, now=now)
    check_shape(row, amount=amount, asset=asset)
    public_key = check_connection(row, by=Signing.DELEGATED if signed is None else Signing.USER_SIGNED)
    with booking(AccountRef(account_id=row.pk)) as batch:
        made = admitted(batch, row, address=address, amount=amount, board=board)
        if signed is None:
            made.save(force_insert=True)
        else:
            save_signed(made, signed, public_key=public_key, now=batch.now)
        tell(batch, made)
        after = {"state": made.state, "account": row.uuid, "amount": plain(amount), "address": made.address.address}
        audit.record("withdrawal.requested", actor_id=user.pk, subject=made, after=after)
    return made


def admitted(batch: Batch, account: TradingAccount, *, address: UUID, amount: Decimal, board: Board) -> Withdrawal:
    """The withdrawal as it begins, its amount held in the batch; not written yet. Raises UnknownDestination, and as
    `trading.domain.withdrawals.admit`.
    """
    made = Withdrawal(
        account=account,
        address=_usable_address(account, address, now=batch.now),
        asset=account.currency,
        amount=amount,
        requested_by_id=account.user_id,
        requested_at=batch.now,
    )
    made.state = decide.admit(
        batch,
        amount=amount,
        asked_today=_asked_today(account, now=batch.now),
        rules=rules(),
        board=board,
        stale_after_s=settings.FEED_STALE_AFTER_S,
        reference=made.reference,
    )
    return made


def check_shape(account: TradingAccount, *, amount: Decimal, asset: str | None) -> None:
    """Raises ValidationFailed for what no live account of this kind pays out."""
    fields: dict[str, list[str]] = {}
    if account.venue == TradingAccount.Venue.PRACTICE:
        fields["account"] = ["Virtual money can't be withdrawn."]
    if asset is not None and asset.upper() not in spellings(account.currency):
        fields["asset"] = [f"The account holds {account.currency}."]
    if not is_cash(amount):
        fields["amount"] = ["At most 6 decimals."]
    if fields:
        raise errors.ValidationFailed(details={"fields": fields})


def check_connection(account: TradingAccount, *, by: Signing) -> str:
    """The public key that an account's payments are signed for, in this way.

    Raises TermsNotAccepted, InvalidVenueCredentials where it isn't connected, or its books have not begun, and
    OrderTypeNotOffered where somebody else signs for it.
    """
    if not has_accepted_terms(account.user_id):
        raise errors.TermsNotAccepted
    public_key, signing = selectors.signing_of(account.pk)
    if public_key is None or account.opened_at is None:
        raise InvalidVenueCredentials(details={"account": "Not connected to its venue."})
    if signing != by:
        raise errors.OrderTypeNotOffered(details={"signing": signing})
    return public_key


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
    with on_payment(Withdrawal, withdrawal_id) as (batch, row):
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
    with on_payment(Withdrawal, withdrawal_id) as (batch, row):
        if row.state != State.AWAITING_APPROVAL:
            raise errors.VersionConflict(details={"status": row.state})
        if row.requested_by_id == staff_id:
            raise errors.NotPermitted("A withdrawal is decided by somebody else than who asked for it")
        row.decided_by_id, row.decided_at = staff_id, batch.now
        effect(batch, row)
    return row
