"""Withdrawals on their way: signed and committed, sent once, and looked for where the answer was lost (DESIGN §4.2).

1. `take_up` commits nonce, signed instant and deadline under the account's lock: whoever did that sends it.
2. It is signed and sent, once, within three seconds, or not at all. Withdrawals of one account go one by one.
3. The venue's answer: taken → `sent`; refused, or certainly never left → `failed`, the hold released; lost → `unknown`.
4. What becomes of a sent one the venue's history of funds tells (`trading.services.movements`). One without an answer
   at its deadline is looked for there; not found by the rule of DESIGN §4.2 it is `failed`, which a late line undoes.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

from django.db import IntegrityError, transaction

from accounts.models import Signing, UserState
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.venues.errors import AlreadyThere, Unavailable, Unknown
from trading.domain.batch import Batch
from trading.domain.withdrawals import TO_BE_SENT, UNANSWERED, WithdrawalState
from trading.models import Case, TradingAccount, Withdrawal
from trading.selectors import signing_of
from trading.services.bookings import present_board
from trading.services.cases import open_case
from trading.services.movements import book_movements
from trading.services.venue_orders import ANSWERED_WITHIN, DRAWS_MAX, SENT_WITHIN_S, new_nonce, reason_of
from trading.services.venue_reports import LOOKED_UP_AFTER, LOOKUPS_MIN, LOOKUPS_OVER
from trading.services.withdrawal_states import NOT_FOUND, end_failed, move, on_withdrawal, take_as_sent
from trading.venues.base import OutgoingWithdrawal
from trading.venues.choice import venue_account

logger = logging.getLogger(__name__)
State = WithdrawalState
UNKNOWN_AT_MOST = timedelta(minutes=5)  # then somebody looks at it
NO_ANSWER = "no_answer"


def withdrawals_to_send(*, at_most: int = 50) -> list[int]:
    """Those that wait to be sent, the oldest first."""
    waiting = Withdrawal.objects.filter(state__in=sorted(TO_BE_SENT), signed_at=None)
    return list(waiting.order_by("pk").values_list("pk", flat=True)[:at_most])


def unanswered_withdrawals(*, now: datetime, at_most: int = 50) -> list[int]:
    """Those whose deadline is over without an answer, the longest not looked for first."""
    lost = Withdrawal.objects.filter(state__in=sorted(UNANSWERED), deadline_at__lte=now, venue_withdrawal_id=None)
    return list(lost.order_by("last_lookup_at", "pk").values_list("pk", flat=True)[:at_most])


def send_withdrawal(withdrawal_id: int, *, draw: Callable[[], int] = new_nonce) -> None:
    """Send a withdrawal that waits, once; nothing where another process does, or an earlier one has no answer yet.

    What the venue answers becomes its state. Raises RuntimeError inside a transaction: nothing is sent that isn't
    committed.
    """
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("a withdrawal is sent after its commit")
    since = monotonic()
    taken = take_up(withdrawal_id, draw=draw)
    if taken is None:
        return
    account_id, outgoing = taken
    try:
        if monotonic() - since > SENT_WITHIN_S:
            raise Unavailable("not sent in time")
        venue_withdrawal_id = venue_account(account_id).funds.withdraw(outgoing)
    except (Unknown, AlreadyThere) as lost:
        lose_withdrawal(withdrawal_id, reason=reason_of(lost))
    except AstradeError as refusal:  # the venue's, or from before anything left
        fail_withdrawal(withdrawal_id, reason=reason_of(refusal), message=words_of(refusal))
    except Exception:
        lose_withdrawal(withdrawal_id, reason="failed_while_sending")
        raise
    else:
        note_sent(withdrawal_id, venue_withdrawal_id=venue_withdrawal_id)


def take_up(withdrawal_id: int, *, draw: Callable[[], int] = new_nonce) -> tuple[int, OutgoingWithdrawal] | None:
    """Commit that a withdrawal is signed and sent now: its account's row id and what to send, None if it isn't to be.

    One whose account, connection or address is gone meanwhile fails instead.
    """
    board = present_board()
    with on_withdrawal(withdrawal_id) as (batch, row):
        if row.state not in TO_BE_SENT or row.signed_at is not None or _waits_for_another(row):
            return None
        reason = _obstacle(batch, row)
        if reason is not None:
            end_failed(batch, row, reason=reason, board=board)
            return None
        row.stark_public_key, _ = signing_of(row.account_id)
        row.signed_at, row.deadline_at = batch.now, batch.now + ANSWERED_WITHIN
        nonce = _keep(row, draw)
        outgoing = OutgoingWithdrawal(
            recipient=int(row.address.address, 16), amount=row.amount, nonce=nonce, signed_at=batch.now
        )
        return row.account_id, outgoing


def _waits_for_another(row: Withdrawal) -> bool:
    others = Withdrawal.objects.filter(account_id=row.account_id, state__in=sorted(UNANSWERED), signed_at__isnull=False)
    return others.filter(venue_withdrawal_id=None).exists()


def _obstacle(batch: Batch, row: Withdrawal) -> str | None:
    if batch.account.user_state != UserState.ACTIVE or batch.account.state != TradingAccount.State.ACTIVE:
        return "account_not_active"
    if row.address.removed_at is not None:
        return "address_removed"
    public_key, signing = signing_of(row.account_id)
    return None if public_key is not None and signing == Signing.DELEGATED else "not_connected"


def _keep(row: Withdrawal, draw: Callable[[], int]) -> int:
    """Save the row with a nonce that its key never signed a withdrawal with; drawn again while it was used before."""
    for _ in range(DRAWS_MAX):
        row.nonce = nonce = draw()
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:
            continue
        return nonce
    raise IntegrityError(f"{DRAWS_MAX} nonces were all used before")


def note_sent(withdrawal_id: int, *, venue_withdrawal_id: str) -> None:
    """The venue took the withdrawal under this id. Its history may have told so before."""
    with on_withdrawal(withdrawal_id) as (batch, row):
        if row.venue_withdrawal_id is None:
            row.venue_withdrawal_id = venue_withdrawal_id
        take_as_sent(batch, row)


def lose_withdrawal(withdrawal_id: int, *, reason: str) -> None:
    """Nobody knows whether the venue has it; it is looked for from now on. Nothing where its id is known."""
    with on_withdrawal(withdrawal_id) as (batch, row):
        if row.state in TO_BE_SENT and row.venue_withdrawal_id is None:
            move(batch, row, State.UNKNOWN, reason=reason)


def fail_withdrawal(withdrawal_id: int, *, reason: str, message: str = "") -> None:
    """The venue refused it, or it certainly never left; its hold is released."""
    board = present_board()
    with on_withdrawal(withdrawal_id) as (batch, row):
        end_failed(batch, row, reason=reason, message=message, board=board)


def words_of(refusal: AstradeError) -> str:
    """What its owner reads: the venue's words, else ours."""
    return str(refusal.details.get("venue_message") or refusal)


def resolve_withdrawal(withdrawal_id: int) -> None:
    """Look in the venue's history for a withdrawal without an answer. Raises VenueError where it can't be asked."""
    lose_withdrawal(withdrawal_id, reason=NO_ANSWER)
    row = Withdrawal.objects.get(pk=withdrawal_id)
    if row.deadline_at is not None and row.deadline_at + UNKNOWN_AT_MOST < system_clock():
        open_case(row.account_id, Case.Kind.UNKNOWN_WITHDRAWAL, subject=str(row.uuid), figures={"lookups": row.lookups})
    book_movements(row.account_id, venue_account(row.account_id))
    note_lookup(withdrawal_id)


def note_lookup(withdrawal_id: int) -> None:
    """The history was read, and did not show it. After enough of such looks (DESIGN §4.2) it failed as not found."""
    board = present_board()
    with on_withdrawal(withdrawal_id) as (batch, row):
        if row.state != State.UNKNOWN or row.deadline_at is None or batch.now < row.deadline_at + LOOKED_UP_AFTER:
            return
        row.first_lookup_at = row.first_lookup_at or batch.now
        row.lookups, row.last_lookup_at = row.lookups + 1, batch.now
        if row.lookups >= LOOKUPS_MIN and batch.now - row.first_lookup_at >= LOOKUPS_OVER:
            end_failed(batch, row, reason=NOT_FOUND, board=board)
        else:
            row.save()
