"""Two-phase holds (DESIGN §4.3): hold an amount, then settle it by a journal entry or release it. Pure.

A hold is no posting. The cash stays the account's until it is settled, so balance, equity, ledger and proofs are the
same with a hold as without. It lowers what is available and withdrawable: nothing held can leave or bind new risk.
It is still collateral of what is open already: a hold liquidates nobody, and a liquidation may use it up.
"""

from decimal import Decimal

from astrade.core import errors
from astrade.core.money import ZERO
from trading.domain.batch import Batch
from trading.domain.lifecycle import HoldPurpose, HoldState
from trading.domain.state import HeldAmount


def place_hold(
    batch: Batch, *, amount: Decimal, purpose: HoldPurpose, reference: str, may_exceed: bool = False
) -> None:
    """Hold `amount` (positive, in the account's currency) of its cash; `reference` names what it belongs to.

    Raises InsufficientBalance beyond the cash that is not held yet, unless it `may_exceed` that.
    """
    account = batch.account
    unheld = max(ZERO, account.cash.balance - account.held)
    if amount > unheld and not may_exceed:
        raise errors.InsufficientBalance(details={"required": amount, "available": unheld})
    held = HeldAmount(id=batch.next_id(), reference=reference, amount=amount)
    account.holds.append(held)
    row = {"id": held.id, "uuid": batch.new_uuid(), "account_id": account.id, "asset": account.cash.asset}
    what = {"amount": amount, "purpose": purpose, "reference": reference}
    batch.insert("hold", row | what | {"state": HoldState.HELD, "held_at": batch.now})


def settle_hold(batch: Batch, reference: str, *, entry_id: int) -> None:
    """End the hold of `reference`, whose amount the entry takes; the caller posts that. Nothing where none is held."""
    _end(batch, reference, {"state": HoldState.SETTLED, "entry_id": entry_id})


def release_hold(batch: Batch, reference: str) -> None:
    """End the hold of `reference` without taking anything. Nothing where none is held."""
    _end(batch, reference, {"state": HoldState.RELEASED, "entry_id": None})


def is_held(batch: Batch, reference: str) -> bool:
    """Whether anything is held for `reference`."""
    return any(held.reference == reference for held in batch.account.holds)


def _end(batch: Batch, reference: str, how: dict[str, object]) -> None:
    for held in batch.account.holds:
        if held.reference == reference:
            batch.account.holds.remove(held)
            batch.ended_holds.append({"id": held.id, "ended_at": batch.now} | how)
            return
