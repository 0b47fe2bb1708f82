"""How a withdrawal moves from state to state: with its hold, its ledger entry, its event and the trail of it.

All of it within a booking of its account (`trading.services.bookings`): the account's lock is the withdrawal's too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from astrade.core import audit
from astrade.core.errors import NotFound
from astrade.core.money import plain
from trading.domain.batch import Batch
from trading.domain.bodies import Body
from trading.domain.funds import tell_balance
from trading.domain.holds import is_held, release_hold, settle_hold
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.margin import Board
from trading.domain.withdrawals import TRANSITIONS, WithdrawalState, advance, withdrawal_body
from trading.loading import AccountRef
from trading.models import Withdrawal
from trading.services.bookings import booking

NOT_FOUND = "not_found_at_venue"
MESSAGE_MAX = 300


def reference_of(row: Withdrawal) -> str:
    """What names a withdrawal's hold and entry."""
    return f"withdrawal:{row.uuid}"


def body_of(row: Withdrawal) -> Body:
    """The withdrawal as its owner sees it."""
    address = row.address
    return withdrawal_body(row, account=row.account.uuid, address_id=address.uuid, address=address.address)


@contextmanager
def on_withdrawal(withdrawal_id: int) -> Iterator[tuple[Batch, Withdrawal]]:
    """A booking of the withdrawal's account, and the row as it is under that lock. Raises NotFound."""
    account_id = Withdrawal.objects.filter(pk=withdrawal_id).values_list("account_id", flat=True).first()
    if account_id is None:
        raise NotFound
    with booking(AccountRef(account_id=account_id)) as batch:
        yield batch, Withdrawal.objects.select_related("account", "address").get(pk=withdrawal_id)


def move(
    batch: Batch,
    row: Withdrawal,
    to: WithdrawalState,
    *,
    reason: str = "",
    actor_id: int | None = None,
    ip: str | None = None,
) -> None:
    """Move the row through the table, save it, and tell of it. `actor_id` is who did it, None the system itself."""
    before = row.state
    row.state, row.reason = advance(before, to), reason
    if to in (WithdrawalState.SETTLED, WithdrawalState.FAILED, WithdrawalState.CANCELLED):
        row.ended_at = batch.now
    row.save()
    tell(batch, row)
    audit.record(
        f"withdrawal.{to}",
        actor_id=actor_id,
        on_behalf_of_id=row.requested_by_id,
        subject=row,
        before={"state": before},
        after={"state": row.state, "reason": reason, "amount": plain(row.amount)},
        ip=ip,
    )


def tell(batch: Batch, row: Withdrawal) -> None:
    """The `withdrawal_update` of what changed."""
    batch.emit("withdrawal_update", body_of(row))


def take_as_sent(batch: Batch, row: Withdrawal) -> None:
    """The venue has it, under the id that the row has by now; where it is further already, that is saved alone."""
    if WithdrawalState.SENT in _next(row):
        move(batch, row, WithdrawalState.SENT)
    else:
        row.save()


def end_failed(batch: Batch, row: Withdrawal, *, reason: str, board: Board, message: str = "") -> None:
    """It did not leave: its hold is released. Where it ended before, only what else the row has by now is saved."""
    if WithdrawalState.FAILED not in _next(row):
        row.save()
        return
    row.message = message[:MESSAGE_MAX]
    move(batch, row, WithdrawalState.FAILED, reason=reason)
    release(batch, row, board=board)


def release(batch: Batch, row: Withdrawal, *, board: Board) -> None:
    """Let go of what is held for it."""
    if is_held(batch, reference_of(row)):
        release_hold(batch, reference_of(row))
        tell_balance(batch, board)


def settle(batch: Batch, row: Withdrawal, *, amount: Decimal, fee: Decimal | None, board: Board) -> int | None:
    """The money has left: one entry takes it and settles the hold, if there still is one; returns the entry's row id.

    `amount` is what the venue says, its fee included; another one than was held settles no hold, it is released. None
    where it was settled before.
    """
    if WithdrawalState.SETTLED not in _next(row):
        return None
    reference = reference_of(row)
    batch.post(EntryKind.WITHDRAWAL, amount=-amount, against=LedgerAccount.EXTERNAL, reference=reference)
    entry_id: int = batch.inserts["entry"][-1]["id"]
    if amount == row.amount:
        settle_hold(batch, reference, entry_id=entry_id)
    else:
        release_hold(batch, reference)
    row.entry_id, row.fee = entry_id, fee  # the entry is written at the end of the booking
    move(batch, row, WithdrawalState.SETTLED)
    tell_balance(batch, board)
    return entry_id


def _next(row: Withdrawal) -> frozenset[WithdrawalState]:
    return TRANSITIONS[WithdrawalState(row.state)]
