"""Transfers between live accounts of one user, venue and network: held and committed, then sent as every payment is
(`trading.services.payment_sending`), and booked on either side by its own history (`trading.services.movements`).
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Q

from accounts.models import CredentialState, Signing
from astrade.core import audit, errors
from astrade.core.clock import system_clock
from astrade.core.money import plain
from trading.domain import funds as decide
from trading.domain.margin import Board
from trading.domain.payments import PaymentState
from trading.loading import AccountRef
from trading.models import Case, TradingAccount, Transfer, VenueTransfer
from trading.services.bookings import booking
from trading.services.cases import open_case
from trading.services.movements import book_movements
from trading.services.payment_sending import UNKNOWN_AT_MOST
from trading.services.payments import tell
from trading.services.withdrawals import check_connection
from trading.venues.choice import venue_account

FOLLOWED_FOR = timedelta(minutes=10)  # after its deadline; later the schedule's syncs find what comes


def is_reachable(account: TradingAccount) -> bool:
    """Whether an account is connected and its books have begun, so that its own history tells what arrives."""
    credential = account.credential
    return credential is not None and credential.state == CredentialState.ACTIVE and account.opened_at is not None


def request_transfer(source: TradingAccount, target: TradingAccount, *, amount: Decimal, board: Board) -> Transfer:
    """Hold what is to go from one live account to another; it is sent after the commit.

    Locks the sender's account. Raises TermsNotAccepted, InvalidVenueCredentials, OrderTypeNotOffered where the sender's
    user signs, and as `trading.domain.funds.transfer`.
    """
    check_connection(source, by=Signing.DELEGATED)
    if target.state != TradingAccount.State.ACTIVE:
        raise errors.AccountFrozen(details={"state": target.state})
    with booking(AccountRef(account_id=source.pk)) as batch:
        sent = VenueTransfer(account=source, amount=amount)
        decide.hold_for_transfer(
            batch,
            amount=amount,
            board=board,
            stale_after_s=settings.FEED_STALE_AFTER_S,
            reference=sent.reference,
        )
        sent.transfer = Transfer.objects.create(
            uuid=sent.uuid,
            from_account=source,
            to_account=target,
            asset=source.currency,
            amount=amount,
            at=batch.now,
        )
        sent.save(force_insert=True)
        tell(batch, sent)
        after = {"from": source.uuid, "to": target.uuid, "amount": plain(amount)}
        audit.record("transfer.requested", actor_id=source.user_id, subject=sent, after=after)
    return sent.transfer


def transfers_to_follow(*, now: datetime, at_most: int = 50) -> list[int]:
    """Those that the venue has and that have not left or arrived in our books yet, the oldest first."""
    has_left = Q(state=PaymentState.SETTLED, arrival__entry=None)
    waiting = VenueTransfer.objects.filter(Q(state=PaymentState.SENT) | has_left, deadline_at__gt=now - FOLLOWED_FOR)
    return list(waiting.order_by("pk").values_list("pk", flat=True)[:at_most])


def follow_transfer(transfer_id: int) -> None:
    """Read the history of both ends, the sender's first. Raises VenueError where one can't be asked."""
    row = VenueTransfer.objects.select_related("transfer").get(pk=transfer_id)
    if row.deadline_at is not None and row.deadline_at + UNKNOWN_AT_MOST < system_clock():
        figures = {"status": row.state, "movement": row.venue_movement_id}
        open_case(row.account_id, Case.Kind.UNKNOWN_TRANSFER, subject=str(row.uuid), figures=figures)
    if row.state == PaymentState.SENT:
        book_movements(row.account_id, venue_account(row.account_id))
    receiver_id = row.transfer.to_account_id
    book_movements(receiver_id, venue_account(receiver_id))
