"""How a payment of a live account moves from state to state: with its hold, its ledger entry, its event and the trail
of it. Withdrawals and transfers alike (`trading.models.payment`).

All of it within a booking of the account that pays (`trading.services.bookings`): its lock is the payment's too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

from astrade.core import audit
from astrade.core.errors import NotFound
from astrade.core.money import plain
from trading.domain.batch import Batch
from trading.domain.bodies import Body
from trading.domain.funds import tell_balance, transfer_body
from trading.domain.holds import is_held, release_hold, settle_hold
from trading.domain.margin import Board
from trading.domain.payments import TRANSITIONS, PaymentState, advance
from trading.domain.withdrawals import withdrawal_body
from trading.loading import AccountRef
from trading.models import VenueTransfer, Withdrawal
from trading.services.bookings import booking

P = TypeVar("P", Withdrawal, VenueTransfer)
Payment = Withdrawal | VenueTransfer
NOT_FOUND = "not_found_at_venue"
MESSAGE_MAX = 300
ENDS = (PaymentState.SETTLED, PaymentState.FAILED, PaymentState.CANCELLED)


def body_of(row: Payment) -> Body:
    """The payment as its owner sees it."""
    if isinstance(row, VenueTransfer):
        made = row.transfer
        return transfer_body(made, sender=made.from_account.uuid, receiver=made.to_account.uuid, at_venue=row)
    address = row.address
    return withdrawal_body(row, account=row.account.uuid, address_id=address.uuid, address=address.address)


@contextmanager
def on_payment(model: type[P], payment_id: int) -> Iterator[tuple[Batch, P]]:
    """A booking of the account that pays, and the row as it is under that lock. Raises NotFound."""
    account_id = model.objects.filter(pk=payment_id).values_list("account_id", flat=True).first()
    if account_id is None:
        raise NotFound
    with booking(AccountRef(account_id=account_id)) as batch:
        yield batch, model.objects.select_related(*model.shown_with).get(pk=payment_id)


def move(
    batch: Batch,
    row: Payment,
    to: PaymentState,
    *,
    reason: str = "",
    actor_id: int | None = None,
    ip: str | None = None,
) -> None:
    """Move the row through the table, save it, and tell of it. `actor_id` is who did it, None the system itself."""
    before = row.state
    row.state, row.reason = advance(before, to), reason
    if to in ENDS:
        row.ended_at = batch.now
    row.save()
    tell(batch, row)
    audit.record(
        f"{row.kind}.{to}",
        actor_id=actor_id,
        on_behalf_of_id=row.account.user_id,
        subject=row,
        before={"state": before},
        after={"state": row.state, "reason": reason, "amount": plain(row.amount)},
        ip=ip,
    )


def tell(batch: Batch, row: Payment) -> None:
    """The `withdrawal_update` or `transfer_update` of what changed."""
    batch.emit(f"{row.kind}_update", body_of(row))


def take_as_sent(batch: Batch, row: Payment) -> None:
    """The venue has it, under the id that the row has by now; where it is further already, that is saved alone."""
    if PaymentState.SENT in _next(row):
        move(batch, row, PaymentState.SENT)
    else:
        row.save()


def end_failed(batch: Batch, row: Payment, *, reason: str, board: Board, message: str = "") -> None:
    """It did not leave: its hold is released. Where it ended before, only what else the row has by now is saved."""
    if PaymentState.FAILED not in _next(row):
        row.save()
        return
    row.message = message[:MESSAGE_MAX]
    move(batch, row, PaymentState.FAILED, reason=reason)
    release(batch, row, board=board)


def release(batch: Batch, row: Payment, *, board: Board) -> None:
    """Let go of what is held for it."""
    if is_held(batch, row.reference):
        release_hold(batch, row.reference)
        tell_balance(batch, board)


def settle(batch: Batch, row: Payment, *, amount: Decimal, fee: Decimal | None, board: Board) -> int | None:
    """The money has left: one entry takes it and settles the hold, if there still is one; returns the entry's row id.

    `amount` is what the venue says, its fee included; another one than was held settles no hold, it is released. None
    where it was settled before.
    """
    if PaymentState.SETTLED not in _next(row):
        return None
    batch.post(row.kind, amount=-amount, against=row.against, reference=row.reference)
    entry_id: int = batch.inserts["entry"][-1]["id"]
    if amount == row.amount:
        settle_hold(batch, row.reference, entry_id=entry_id)
    else:
        release_hold(batch, row.reference)
    row.entry_id = entry_id  # the entry is written at the end of the booking
    if isinstance(row, Withdrawal):
        row.fee = fee
    move(batch, row, PaymentState.SETTLED)
    tell_balance(batch, board)
    return entry_id


def _next(row: Payment) -> frozenset[PaymentState]:
    return TRANSITIONS[PaymentState(row.state)]
