"""The venue's history of funds, booked: deposits, test money, transfers and withdrawals, each once (DESIGN §4.3).

The history is read again from a week before the last time, or from the oldest line that was on its way: lines change
their status, and their ids don't grow. The unique id of each line is what keeps it from being booked twice. Every line
is booked under the account's lock, by several processes if need be.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Min, QuerySet

from astrade.core.clock import system_clock
from astrade.core.money import plain
from trading.domain.batch import Batch
from trading.domain.funds import tell_balance
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.margin import Board
from trading.domain.payments import ARRIVES_WITHIN, UNANSWERED, PaymentState, possible_sums
from trading.domain.reports import MovementKind, MovementStatus, ShownMovement
from trading.loading import AccountRef
from trading.models import Case, Deposit, TradingAccount, VenueMovement, VenueTransfer, Withdrawal
from trading.services.bookings import booking, present_board
from trading.services.cases import open_case
from trading.services.movement_matching import arrival_of, payment_of
from trading.services.payments import P, Payment, end_failed, settle, take_as_sent
from trading.venues.base import VenueAccount

LOOKS_BACK = timedelta(days=7)
ENTRIES = {
    MovementKind.DEPOSIT: EntryKind.DEPOSIT,
    MovementKind.CLAIM: EntryKind.DEPOSIT,
    MovementKind.TRANSFER: EntryKind.TRANSFER,
    MovementKind.WITHDRAWAL: EntryKind.WITHDRAWAL,
}  # what is of another kind is not booked, and a difference of the balance
DIFFERS = {Withdrawal: Case.Kind.WITHDRAWAL_DIFFERS, VenueTransfer: Case.Kind.TRANSFER_DIFFERS}
SOURCES = {MovementKind.DEPOSIT: Deposit.Source.VENUE, MovementKind.CLAIM: Deposit.Source.CLAIM}


def book_movements(account_id: int, venue: VenueAccount) -> int:
    """Book what the history of funds shows and was not booked; returns how many lines were new or had changed.

    Raises VenueError where the venue can't be asked.
    """
    looked_at = system_clock()
    shown = venue.funds.movements_since(_since(account_id))
    _begin(account_id, shown)
    known = dict(_known(account_id, shown))
    board = present_board()
    changed = sum(
        record_movement(account_id, one, board=board) for one in shown if known.get(one.movement_id) != one.status
    )
    TradingAccount.objects.filter(pk=account_id).update(movements_looked_at=looked_at)
    return changed


def _begin(account_id: int, shown: Sequence[ShownMovement]) -> None:
    """An account whose books began before its history of funds was read: what it shows now is not booked."""
    never = TradingAccount.objects.filter(pk=account_id, movements_looked_at=None)
    if never.exists():
        with booking(AccountRef(account_id=account_id)) as batch:
            if never.exists():
                remember_opening(account_id, shown, now=batch.now)


def _since(account_id: int) -> datetime:
    last = TradingAccount.objects.values_list("movements_looked_at", flat=True).get(pk=account_id)
    pending = VenueMovement.objects.filter(account_id=account_id, status=MovementStatus.PENDING)
    oldest: datetime | None = pending.aggregate(at=Min("at"))["at"]
    since = (last or system_clock()) - LOOKS_BACK
    return since if oldest is None else min(since, oldest)


def _known(account_id: int, shown: Sequence[ShownMovement]) -> Sequence[tuple[str, str]]:
    ids = [one.movement_id for one in shown]
    rows = VenueMovement.objects.filter(account_id=account_id, movement_id__in=ids)
    return list(rows.values_list("movement_id", "status"))


def remember_opening(account_id: int, shown: Sequence[ShownMovement], *, now: datetime) -> None:
    """Keep what was there before the books began, under the account's lock: its opening balance holds it already.

    What is still coming in is in no balance yet and will be booked.
    """
    rows = [_row(account_id, one, is_opening=not _is_coming(one)) for one in shown]
    VenueMovement.objects.bulk_create(rows, ignore_conflicts=True)
    TradingAccount.objects.filter(pk=account_id).update(movements_looked_at=now)


def _is_coming(shown: ShownMovement) -> bool:
    return shown.status is MovementStatus.PENDING and shown.amount > 0


def _row(account_id: int, shown: ShownMovement, *, is_opening: bool) -> VenueMovement:
    return VenueMovement(
        account_id=account_id,
        movement_id=shown.movement_id,
        kind=shown.kind,
        status=shown.status,
        amount=shown.amount,
        fee=shown.fee,
        at=shown.at,
        is_opening=is_opening,
    )


def record_movement(account_id: int, shown: ShownMovement, *, board: Board) -> bool:
    """Follow one line of the history; False where nothing of it is new. Locks the account.

    One that belongs to a payment of ours moves that; of any other what was completed is booked, and what arrives from
    another account of the user's comes through `clearing`.
    """
    with booking(AccountRef(account_id=account_id)) as batch:
        found = VenueMovement.objects.filter(account_id=account_id, movement_id=shown.movement_id).first()
        if found is not None and (found.status != MovementStatus.PENDING or found.status == shown.status):
            return False
        row = found or _row(account_id, shown, is_opening=False)
        row.status, row.amount, row.fee = shown.status, shown.amount, shown.fee
        if not row.is_opening:
            _apply(batch, row, shown, board=board)
        row.save()
    return True


def _apply(batch: Batch, row: VenueMovement, shown: ShownMovement, *, board: Board) -> None:
    ours = payment_of(batch.account.id, shown)
    if ours is not None:
        row.entry_id = _follow(batch, ours, shown, board=board)
        return
    row.transfer = arrival_of(batch.account.id, shown, row=row)
    if shown.status is MovementStatus.COMPLETED and shown.kind in ENTRIES:
        row.entry_id = _book(batch, shown, board=board, arriving=row.transfer)


def _follow(batch: Batch, row: Payment, shown: ShownMovement, *, board: Board) -> int | None:
    """Move a payment as the venue shows it; returns the entry, if that booked one."""
    if row.venue_movement_id is None:
        row.venue_movement_id = shown.movement_id
    figures = {"asked": plain(row.amount), "venue": plain(-shown.amount), "movement": shown.movement_id}
    if shown.amount != -row.amount:
        open_case(batch.account.id, DIFFERS[type(row)], subject=str(row.uuid), figures=figures)
    if row.state == PaymentState.FAILED and shown.status is not MovementStatus.REJECTED:
        open_case(batch.account.id, Case.Kind.SETTLED_AFTER_FAILURE, subject=str(row.uuid), figures=figures)
    if shown.status is MovementStatus.COMPLETED:
        return settle(batch, row, amount=-shown.amount, fee=shown.fee, board=board)
    if shown.status is MovementStatus.REJECTED:
        end_failed(batch, row, reason="rejected_by_venue", board=board)
    else:
        take_as_sent(batch, row)
    return None


def _book(batch: Batch, shown: ShownMovement, *, board: Board, arriving: VenueTransfer | None) -> int | None:
    """One entry: the other half of a transfer of ours, else against the outside, and for what came in a deposit."""
    if not shown.amount:
        return None
    uuid = batch.new_uuid()
    kind = ENTRIES[shown.kind]
    if arriving is None:
        batch.post(kind, amount=shown.amount, against=LedgerAccount.EXTERNAL, reference=f"{kind}:{uuid}")
    else:
        _check_arrival(batch, arriving, shown)
        batch.post(kind, amount=shown.amount, against=arriving.against, reference=arriving.reference)
    entry_id: int = batch.inserts["entry"][-1]["id"]
    if shown.kind in SOURCES and shown.amount > 0:
        Deposit.objects.create(
            uuid=uuid,
            account_id=batch.account.id,
            source=SOURCES[shown.kind],
            asset=batch.account.cash.asset,
            amount=shown.amount,
            at=batch.now,
        )
    tell_balance(batch, board)
    return entry_id


def _check_arrival(batch: Batch, row: VenueTransfer, shown: ShownMovement) -> None:
    if shown.amount != row.amount:
        figures = {"sent": plain(row.amount), "arrived": plain(shown.amount), "movement": shown.movement_id}
        open_case(batch.account.id, Case.Kind.TRANSFER_DIFFERS, subject=str(row.uuid), figures=figures)


def off_balance(account_id: int) -> set[Decimal]:
    """By how much the venue's balance may be lower than ours while payments are on their way: it takes them off when it
    takes them, our books when they are completed. What comes from another account of ours makes it higher.
    """
    leaving = VenueMovement.objects.filter(
        account_id=account_id, status=MovementStatus.PENDING, is_opening=False, amount__lt=0
    )
    shown = dict(leaving.values_list("movement_id", "amount"))
    ours = (
        *_under_way(Withdrawal).filter(account_id=account_id).values_list("venue_movement_id", "amount"),
        *_under_way(VenueTransfer).filter(account_id=account_id).values_list("venue_movement_id", "amount"),
    )
    unseen = [amount for name, amount in ours if name not in shown]
    coming = _under_way(VenueTransfer, PaymentState.SETTLED).filter(
        transfer__to_account_id=account_id, arrival__entry=None, deadline_at__gt=system_clock() - ARRIVES_WITHIN
    )
    arriving = [-amount for amount in coming.values_list("amount", flat=True)]
    return possible_sums([*(-amount for amount in shown.values()), *unseen, *arriving])


def _under_way(model: type[P], *also: PaymentState) -> QuerySet[P]:
    states = [*sorted(UNANSWERED), PaymentState.SENT, *also]
    return model.objects.filter(state__in=states, signed_at__isnull=False)
