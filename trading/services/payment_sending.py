"""Payments of live accounts on their way: signed and committed, sent once, and looked for where the answer was lost
(DESIGN §4.2). Withdrawals and transfers alike.

1. `take_up` commits nonce, signed instant and deadline under the account's lock: whoever did that sends it.
2. It is signed and sent, once, within three seconds, or not at all. Those of one account and kind go one by one.
3. The venue's answer: taken → `sent`; refused, or certainly never left → `failed`, the hold released; lost → `unknown`.
4. What becomes of a sent one the venue's history of funds tells (`trading.services.movements`). One without an answer
   at its deadline is looked for there; not found by the rule of DESIGN §4.2 it is `failed`, which a late line undoes.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

from django.db import IntegrityError, transaction

from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.venues.errors import AlreadyThere, Unavailable, Unknown
from trading.domain.payments import TO_BE_SENT, UNANSWERED, PaymentState
from trading.models import Case, VenueMovement, VenueTransfer, Withdrawal
from trading.selectors import signing_of
from trading.services.bookings import present_board
from trading.services.cases import open_case
from trading.services.movements import book_movements
from trading.services.outgoing_payments import OutgoingPayment, obstacle_to, outgoing_of
from trading.services.payments import NOT_FOUND, P, Payment, end_failed, move, on_payment, take_as_sent
from trading.services.venue_orders import ANSWERED_WITHIN, DRAWS_MAX, SENT_WITHIN_S, new_nonce, reason_of
from trading.services.venue_reports import LOOKED_UP_AFTER, LOOKUPS_MIN, LOOKUPS_OVER
from trading.venues.base import OutgoingWithdrawal, VenueFunds
from trading.venues.choice import venue_account

logger = logging.getLogger(__name__)
State = PaymentState
UNKNOWN_AT_MOST = timedelta(minutes=5)  # then somebody looks at it
NO_ANSWER = "no_answer"
UNKNOWN_CASES = {Withdrawal: Case.Kind.UNKNOWN_WITHDRAWAL, VenueTransfer: Case.Kind.UNKNOWN_TRANSFER}


def payments_to_send(model: type[P], *, at_most: int = 50) -> list[int]:
    """Those that wait to be sent, the oldest first."""
    waiting = model.objects.filter(state__in=sorted(TO_BE_SENT), signed_at=None)
    return list(waiting.order_by("pk").values_list("pk", flat=True)[:at_most])


def unanswered_payments(model: type[P], *, now: datetime, at_most: int = 50) -> list[int]:
    """Those whose deadline is over without an answer, the longest not looked for first."""
    lost = model.objects.filter(state__in=sorted(UNANSWERED), deadline_at__lte=now, venue_movement_id=None)
    return list(lost.order_by("last_lookup_at", "pk").values_list("pk", flat=True)[:at_most])


def send_payment(model: type[P], payment_id: int, *, draw: Callable[[], int] = new_nonce) -> None:
    """Send a payment that waits, once; nothing where another process does, or an earlier one has no answer yet.

    What the venue answers becomes its state. Raises RuntimeError inside a transaction: nothing is sent that isn't
    committed.
    """
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("a payment is sent after its commit")
    since = monotonic()
    taken = take_up(model, payment_id, draw=draw)
    if taken is None:
        return
    account_id, outgoing = taken
    try:
        if monotonic() - since > SENT_WITHIN_S:
            raise Unavailable("not sent in time")
        venue_movement_id = pay(venue_account(account_id).funds, outgoing)
    except (Unknown, AlreadyThere) as lost:
        lose_payment(model, payment_id, reason=reason_of(lost))
    except AstradeError as refusal:  # the venue's, or from before anything left
        fail_payment(model, payment_id, reason=reason_of(refusal), message=words_of(refusal))
    except Exception:
        lose_payment(model, payment_id, reason="failed_while_sending")
        raise
    else:
        note_sent(model, payment_id, venue_movement_id=venue_movement_id)


def pay(funds: VenueFunds, outgoing: OutgoingPayment) -> str:
    """Send it, once; returns the venue's id."""
    return funds.withdraw(outgoing) if isinstance(outgoing, OutgoingWithdrawal) else funds.transfer(outgoing)


def take_up(
    model: type[P], payment_id: int, *, draw: Callable[[], int] = new_nonce
) -> tuple[int, OutgoingPayment] | None:
    """Commit that a payment is signed and sent now: its account's row id and what to send, None if it isn't to be.

    One whose account, connection, destination or signature is good no more fails instead.
    """
    board = present_board()
    with on_payment(model, payment_id) as (batch, row):
        if row.state not in TO_BE_SENT or row.signed_at is not None or _waits_for_another(row):
            return None
        obstacle = obstacle_to(batch, row)
        if obstacle is not None:
            end_failed(batch, row, reason=obstacle.reason, message=obstacle.message, board=board)
            return None
        row.stark_public_key, _ = signing_of(row.account_id)
        row.signed_at, row.deadline_at = batch.now, batch.now + ANSWERED_WITHIN
        if row.nonce is None:
            _keep(row, draw)
        else:  # it came with its user's signature
            row.save()
        return row.account_id, outgoing_of(row, now=batch.now)


def _waits_for_another(row: Payment) -> bool:
    same_kind = type(row).objects.filter(account_id=row.account_id, venue_movement_id=None)
    return same_kind.filter(state__in=sorted(UNANSWERED), signed_at__isnull=False).exists()


def _keep(row: Payment, draw: Callable[[], int]) -> None:
    """Save the row with a nonce that its key never signed such a thing with; drawn again while it was used before."""
    for _ in range(DRAWS_MAX):
        row.nonce = draw()
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:
            continue
        return
    raise IntegrityError(f"{DRAWS_MAX} nonces were all used before")


def note_sent(model: type[P], payment_id: int, *, venue_movement_id: str) -> None:
    """The venue took the payment under this id. Its history may have told so before."""
    with on_payment(model, payment_id) as (batch, row):
        if row.venue_movement_id is None:
            row.venue_movement_id = venue_movement_id
        take_as_sent(batch, row)


def lose_payment(model: type[P], payment_id: int, *, reason: str) -> None:
    """Nobody knows whether the venue has it; it is looked for from now on. Nothing where its id is known."""
    with on_payment(model, payment_id) as (batch, row):
        if row.state in TO_BE_SENT and row.venue_movement_id is None:
            move(batch, row, State.UNKNOWN, reason=reason)


def fail_payment(model: type[P], payment_id: int, *, reason: str, message: str = "") -> None:
    """The venue refused it, or it certainly never left; its hold is released."""
    board = present_board()
    with on_payment(model, payment_id) as (batch, row):
        end_failed(batch, row, reason=reason, message=message, board=board)


def words_of(refusal: AstradeError) -> str:
    """What its owner reads: the venue's words, else ours."""
    return str(refusal.details.get("venue_message") or refusal)


def resolve_payment(model: type[P], payment_id: int) -> None:
    """Look in the venue's history for a payment without an answer. Raises VenueError where it can't be asked."""
    lose_payment(model, payment_id, reason=NO_ANSWER)
    row = model.objects.get(pk=payment_id)
    if row.deadline_at is not None and row.deadline_at + UNKNOWN_AT_MOST < system_clock():
        open_case(row.account_id, UNKNOWN_CASES[model], subject=str(row.uuid), figures={"lookups": row.lookups})
    book_movements(row.account_id, venue_account(row.account_id))
    note_lookup(model, payment_id)


def note_lookup(model: type[P], payment_id: int) -> None:
    """The history was read, and did not show it. After enough of such looks (DESIGN §4.2) it failed as not found."""
    board = present_board()
    with on_payment(model, payment_id) as (batch, row):
        if row.state != State.UNKNOWN or row.deadline_at is None or batch.now < row.deadline_at + LOOKED_UP_AFTER:
            return
        if _has_arrived(row):
            return
        row.first_lookup_at = row.first_lookup_at or batch.now
        row.lookups, row.last_lookup_at = row.lookups + 1, batch.now
        if row.lookups >= LOOKUPS_MIN and batch.now - row.first_lookup_at >= LOOKUPS_OVER:
            end_failed(batch, row, reason=NOT_FOUND, board=board)
        else:
            row.save()


def _has_arrived(row: Payment) -> bool:
    """Whether the receiver's history shows a transfer: the sender's will too."""
    return isinstance(row, VenueTransfer) and VenueMovement.objects.filter(transfer=row).exists()
