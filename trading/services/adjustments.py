"""Corrections of the ledger: one member of staff proposes, another one approves, and only then anything is booked."""

from collections.abc import Callable
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User, UserState
from astrade.core import audit, errors
from astrade.core.money import ZERO, plain
from trading.domain.batch import Batch
from trading.domain.bodies import balance_body
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.margin import Board, summarise
from trading.loading import AccountRef
from trading.models import AdjustmentProposal, JournalEntry, Posting, TradingAccount
from trading.services.bookings import booking, present_board

State = AdjustmentProposal.State


@transaction.atomic
def propose_adjustment(
    *,
    account_id: int,
    staff_id: int,
    amount: Decimal,
    reason: str,
    may_overdraw: bool = False,
    reverses: JournalEntry | None = None,
    ip: str | None = None,
) -> AdjustmentProposal:
    """Propose to book `amount` (signed, in the account's currency) on an account's cash; nothing is booked yet.

    Raises NotPermitted for who isn't staff, ValidationFailed without an amount or reason, NotFound.
    """
    _check_staff(staff_id)
    account = TradingAccount.objects.filter(pk=account_id).first()
    if account is None:
        raise errors.NotFound
    if not amount or not amount.is_finite():
        raise errors.ValidationFailed(details={"fields": {"amount": ["It must not be zero."]}})
    if not reason.strip():
        raise errors.ValidationFailed(details={"fields": {"reason": ["It is required."]}})
    proposal = AdjustmentProposal.objects.create(
        account=account,
        reverses=reverses,
        amount=amount,
        reason=reason.strip(),
        may_overdraw=may_overdraw,
        proposed_by_id=staff_id,
        proposed_at=timezone.now(),
    )
    _audit("proposed", proposal, account=account, staff_id=staff_id, ip=ip)
    return proposal


def propose_reversal(
    *, entry_id: int, staff_id: int, reason: str, may_overdraw: bool = False, ip: str | None = None
) -> AdjustmentProposal:
    """Propose to take back what a journal entry did to the account's cash; an entry is reversed once.

    Raises VersionConflict if that was already proposed and not rejected, else as `propose_adjustment`.
    """
    entry = JournalEntry.objects.filter(pk=entry_id).select_related("account").first()
    if entry is None:
        raise errors.NotFound
    moved = Posting.objects.get(entry=entry, ledger_account=LedgerAccount.CASH, asset=entry.account.currency).amount
    try:
        with transaction.atomic():
            return propose_adjustment(
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


def approve_adjustment(proposal_id: int, *, staff_id: int, ip: str | None = None) -> AdjustmentProposal:
    """Book a proposal, as somebody else than who made it; the user gets a `balance_update`. Locks the account.

    Raises NotPermitted for the proposer, VersionConflict if it was decided before, InsufficientBalance if cash would
    become negative and the proposal doesn't say that it may.
    """
    board = present_board()

    def book(proposal: AdjustmentProposal, batch: Batch) -> None:
        _book(proposal, batch, board)

    return _decide(proposal_id, State.APPROVED, staff_id=staff_id, ip=ip, effect=book)


def reject_adjustment(proposal_id: int, *, staff_id: int, ip: str | None = None) -> AdjustmentProposal:
    """End a proposal without booking it, as somebody else than who made it; raises as `approve_adjustment`."""
    return _decide(proposal_id, State.REJECTED, staff_id=staff_id, ip=ip, effect=lambda proposal, batch: None)


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
    with booking(AccountRef(account_id=account_id)) as batch:  # the account's lock is the proposal's too
        proposal = AdjustmentProposal.objects.select_related("account", "reverses").get(pk=proposal_id)
        if proposal.state != State.PENDING:
            raise errors.VersionConflict(details={"state": proposal.state})
        if proposal.proposed_by_id == staff_id:
            raise errors.NotPermitted("A proposal is decided by somebody else than who made it")
        proposal.state, proposal.decided_by_id, proposal.decided_at = state, staff_id, batch.now
        effect(proposal, batch)
        proposal.save(update_fields=["state", "decided_by", "decided_at", "entry"])
        _audit(state, proposal, account=proposal.account, staff_id=staff_id, ip=ip, before=State.PENDING)
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
    proposal.entry_id = batch.inserts["entry"][-1]["id"]  # written at the end of the booking
    batch.emit("balance_update", balance_body(summarise(batch.account, board), asset=cash.asset))


def _check_staff(staff_id: int) -> None:
    if not User.objects.filter(pk=staff_id, is_staff=True, state=UserState.ACTIVE).exists():
        raise errors.NotPermitted


def _audit(
    action: str,
    proposal: AdjustmentProposal,
    *,
    account: TradingAccount,
    staff_id: int,
    ip: str | None,
    before: str | None = None,
) -> None:
    """Without the reason: it is free text, and the trail can't be changed."""
    after = {
        "state": proposal.state,
        "account": account.uuid,
        "amount": plain(proposal.amount),
        "may_overdraw": proposal.may_overdraw,
        "reverses": proposal.reverses.uuid if proposal.reverses else None,
    }
    audit.record(
        f"adjustment.{action}",
        actor_id=staff_id,
        on_behalf_of_id=account.user_id,
        subject=proposal,
        before={} if before is None else {"state": before},
        after=after,
        ip=ip,
    )
