"""Corrections of the ledger: one member of staff proposes, another one approves, and only then anything is booked.

What a proposal would take from the account is held from the moment it is made (`trading.domain.holds`).
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from django.db import IntegrityError
from django.db.models.functions import Now

from accounts.models import User, UserState
from astrade.core import audit, errors
from astrade.core.money import ZERO, plain
from trading.domain.batch import Batch
from trading.domain.funds import tell_balance
from trading.domain.holds import is_held, place_hold, release_hold, settle_hold
from trading.domain.lifecycle import EntryKind, HoldPurpose, LedgerAccount
from trading.domain.margin import Board
from trading.loading import AccountRef
from trading.models import AdjustmentProposal, JournalEntry, Posting, TradingAccount
from trading.services.bookings import booking, present_board

State = AdjustmentProposal.State
PROPOSALS_STAND = timedelta(days=7)


def propose_adjustment(
    *,
    account_id: int,
    staff_id: int,
    amount: Decimal,
    reason: str,
    may_overdraw: bool = False,
    ip: str | None = None,
    board: Board | None = None,
) -> AdjustmentProposal:
    """Propose to book `amount` (signed, in the account's currency) on an account's cash; nothing is booked yet.

    What it would take is held, and the user told by a `balance_update`. The proposal stands for a week. `board`: prices
    read before a transaction that the caller is in. Locks the account. Raises NotPermitted for who isn't staff,
    ValidationFailed without an amount or reason, NotFound, InsufficientBalance if cash that isn't held already is less
    than it would take and it doesn't say that cash may become negative.
    """
    board = board or present_board()
    return _propose(
        board,
        account_id=account_id,
        staff_id=staff_id,
        amount=amount,
        reason=reason,
        may_overdraw=may_overdraw,
        reverses=None,
        ip=ip,
    )


def propose_reversal(
    *,
    entry_id: int,
    staff_id: int,
    reason: str,
    may_overdraw: bool = False,
    ip: str | None = None,
    board: Board | None = None,
) -> AdjustmentProposal:
    """Propose to take back what a journal entry did to the account's cash; an entry is reversed once.

    Raises VersionConflict if that is proposed or booked already, else as `propose_adjustment`.
    """
    board = board or present_board()
    entry = JournalEntry.objects.filter(pk=entry_id).select_related("account").first()
    if entry is None:
        raise errors.NotFound
    moved = Posting.objects.get(entry=entry, ledger_account=LedgerAccount.CASH, asset=entry.account.currency).amount
    try:
        return _propose(
            board,
            account_id=entry.account_id,
            staff_id=staff_id,
            amount=-moved,
            reason=reason,
            may_overdraw=may_overdraw,
            reverses=entry,
            ip=ip,
        )
    except IntegrityError as exc:
        raise errors.VersionConflict("A reversal of this entry was already proposed") from exc


def _propose(
    board: Board,
    *,
    account_id: int,
    staff_id: int,
    amount: Decimal,
    reason: str,
    may_overdraw: bool,
    reverses: JournalEntry | None,
    ip: str | None,
) -> AdjustmentProposal:
    _check_staff(staff_id)
    if not amount or not amount.is_finite():
        raise errors.ValidationFailed(details={"fields": {"amount": ["It must not be zero."]}})
    if not reason.strip():
        raise errors.ValidationFailed(details={"fields": {"reason": ["It is required."]}})
    with booking(AccountRef(account_id=account_id)) as batch:
        proposal = AdjustmentProposal.objects.create(
            account_id=account_id,
            reverses=reverses,
            amount=amount,
            reason=reason.strip(),
            may_overdraw=may_overdraw,
            proposed_by_id=staff_id,
            proposed_at=batch.now,
            expires_at=batch.now + PROPOSALS_STAND,
        )
        if amount < ZERO:
            place_hold(
                batch,
                amount=-amount,
                purpose=HoldPurpose.ADJUSTMENT,
                reference=hold_reference(proposal),
                may_exceed=may_overdraw,
            )
            tell_balance(batch, board)
        _audit("proposed", proposal, actor_id=staff_id, ip=ip)
    return proposal


def hold_reference(proposal: AdjustmentProposal) -> str:
    """What names a proposal's hold: an entry's second reversal, after a first one was rejected, is another proposal."""
    return f"adjustment:{proposal.uuid}"


def approve_adjustment(proposal_id: int, *, staff_id: int, ip: str | None = None) -> AdjustmentProposal:
    """Book a proposal, as somebody else than who made it; the user gets a `balance_update`. Locks the account.

    Settles its hold. Raises NotPermitted for the proposer, VersionConflict if it was decided before or has expired,
    InsufficientBalance if cash would become negative (held money can be lost in the market) and the proposal doesn't
    say that it may.
    """
    board = present_board()

    def book(proposal: AdjustmentProposal, batch: Batch) -> None:
        _book(proposal, batch, board)

    return _decide(proposal_id, State.APPROVED, staff_id=staff_id, ip=ip, effect=book)


def reject_adjustment(proposal_id: int, *, staff_id: int, ip: str | None = None) -> AdjustmentProposal:
    """End a proposal without booking it, as somebody else than who made it; raises as `approve_adjustment`."""
    return _end_unbooked(proposal_id, State.REJECTED, staff_id=staff_id, ip=ip)


def withdraw_adjustment(proposal_id: int, *, staff_id: int, ip: str | None = None) -> AdjustmentProposal:
    """Take back one's own proposal; raises NotPermitted for somebody else, VersionConflict if it was decided before."""
    return _end_unbooked(proposal_id, State.WITHDRAWN, staff_id=staff_id, ip=ip)


def overdue_accounts(at_most: int) -> list[int]:
    """Accounts with proposals that nobody decided in time, the longest overdue first."""
    overdue = AdjustmentProposal.objects.filter(state=State.PENDING, expires_at__lte=Now()).order_by("expires_at")
    return list(dict.fromkeys(overdue.values_list("account_id", flat=True)[:at_most]))


def expire_adjustments(account_id: int) -> int:
    """End an account's proposals that nobody decided in time, and release what they held; returns how many."""
    board = present_board()
    with booking(AccountRef(account_id=account_id)) as batch:
        overdue = AdjustmentProposal.objects.filter(
            account_id=account_id, state=State.PENDING, expires_at__lte=batch.now
        ).select_related("account", "reverses")
        ended = list(overdue.order_by("pk"))
        for proposal in ended:
            proposal.state, proposal.decided_at = State.EXPIRED, batch.now
            _release(proposal, batch, board)
            proposal.save(update_fields=["state", "decided_at"])
            _audit(State.EXPIRED, proposal, actor_id=None, ip=None, before=State.PENDING)
    return len(ended)


def _end_unbooked(
    proposal_id: int, state: AdjustmentProposal.State, *, staff_id: int, ip: str | None
) -> AdjustmentProposal:
    board = present_board()

    def release(proposal: AdjustmentProposal, batch: Batch) -> None:
        _release(proposal, batch, board)

    return _decide(proposal_id, state, staff_id=staff_id, ip=ip, effect=release)


def _decide(
    proposal_id: int,
    state: AdjustmentProposal.State,
    *,
    staff_id: int,
    ip: str | None,
    effect: Callable[[AdjustmentProposal, Batch], None],
) -> AdjustmentProposal:
    _check_staff(staff_id)
    account_id = AdjustmentProposal.objects.filter(pk=proposal_id).values_list("account_id", flat=True).first()
    if account_id is None:
        raise errors.NotFound
    with booking(AccountRef(account_id=account_id)) as batch:  # its lock is the proposal's too
        proposal = AdjustmentProposal.objects.select_related("account", "reverses").get(pk=proposal_id)
        if proposal.state != State.PENDING:
            raise errors.VersionConflict(details={"state": proposal.state})
        if proposal.expires_at <= batch.now:
            raise errors.VersionConflict(details={"state": State.EXPIRED})
        is_own, own_only = proposal.proposed_by_id == staff_id, state == State.WITHDRAWN
        if is_own != own_only:
            who = "who made it" if own_only else "somebody else than who made it"
            raise errors.NotPermitted(f"A proposal is {state if own_only else 'decided'} by {who}")
        proposal.state, proposal.decided_at = state, batch.now
        proposal.decided_by_id = None if own_only else staff_id
        effect(proposal, batch)
        proposal.save(update_fields=["state", "decided_by", "decided_at", "entry"])
        _audit(state, proposal, actor_id=staff_id, ip=ip, before=State.PENDING)
    return proposal


def _book(proposal: AdjustmentProposal, batch: Batch, board: Board) -> None:
    cash = batch.account.cash
    if proposal.amount < ZERO > cash.balance + proposal.amount and not proposal.may_overdraw:
        details = {"balance": plain(cash.balance), "amount": plain(proposal.amount)}
        raise errors.InsufficientBalance(
            "Cash would become negative, and the proposal does not allow it", details=details
        )
    reversed_ = proposal.reverses
    reference = f"adjustment:{proposal.uuid}" if reversed_ is None else f"reversal:{reversed_.uuid}"
    batch.post(EntryKind.ADJUSTMENT, amount=proposal.amount, against=LedgerAccount.ADJUSTMENTS, reference=reference)
    entry_id = batch.inserts["entry"][-1]["id"]
    proposal.entry_id = entry_id  # written at the end of the booking
    settle_hold(batch, hold_reference(proposal), entry_id=entry_id)
    tell_balance(batch, board)


def _release(proposal: AdjustmentProposal, batch: Batch, board: Board) -> None:
    reference = hold_reference(proposal)
    if is_held(batch, reference):
        release_hold(batch, reference)
        tell_balance(batch, board)


def _check_staff(staff_id: int) -> None:
    if not User.objects.filter(pk=staff_id, is_staff=True, state=UserState.ACTIVE).exists():
        raise errors.NotPermitted


def _audit(
    action: str, proposal: AdjustmentProposal, *, actor_id: int | None, ip: str | None, before: str | None = None
) -> None:
    """Without the reason: it is free text, and the trail can't be changed."""
    account = TradingAccount.objects.only("uuid", "user_id").get(pk=proposal.account_id)
    after = {
        "state": proposal.state,
        "account": account.uuid,
        "amount": plain(proposal.amount),
        "may_overdraw": proposal.may_overdraw,
        "reverses": proposal.reverses.uuid if proposal.reverses else None,
    }
    audit.record(
        f"adjustment.{action}",
        actor_id=actor_id,
        on_behalf_of_id=account.user_id,
        subject=proposal,
        before={} if before is None else {"state": before},
        after=after,
        ip=ip,
    )
