"""Bankruptcy: a practice account never ends with less than nothing (DESIGN §4.4); the platform's insurance pays."""

from decimal import Decimal

from astrade.core.money import ZERO
from trading.domain.batch import Batch
from trading.domain.lifecycle import EntryKind, LedgerAccount


def cover(batch: Batch, *, reference: str) -> Decimal:
    """Pay what is missing once the account holds nothing and owes cash; returns the amount, in the account's currency.

    While a position is open cash may be below zero: unrealised profit can stand against it. What an account at a venue
    owes is the venue's affair.
    """
    account = batch.account
    if account.is_live:
        return ZERO
    missing = max(ZERO, -account.cash.balance)
    if not missing or any(position.quantity for position in account.positions.values()):
        return ZERO
    batch.post(
        EntryKind.LIQUIDATION, amount=missing, against=LedgerAccount.INSURANCE, reference=f"insurance:{reference}"
    )
    return missing
