"""Positions: the net exposure of an account in a market, and what closed ones came to."""

from decimal import Decimal

from django.db import models
from django.db.models import Q

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from marketdata.models import Market
from trading.domain.lifecycle import Side
from trading.models.account import TradingAccount
from trading.models.base import BookedModel


class Position(BookedModel):
    """One row per account and market, kept when flat. `quantity` is signed: positive long, negative short.

    `entry_notional` is the exact sum of price x quantity of what is open (quote units, never negative); an average
    would not terminate. `opened_*`, `closed_notional`, `realized_pnl`, `fees` and `funding` cover the time since the
    position was flat. `taken_*` say what the account took from book state `book_sequence`, so that splitting an order
    escapes no slippage.
    """

    uuid = models.UUIDField(default=public_id)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="positions", db_index=False)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    quantity = AmountField(default=Decimal(0))
    entry_notional = AmountField(default=Decimal(0))
    opened_quantity = AmountField(default=Decimal(0))
    opened_notional = AmountField(default=Decimal(0))
    closed_notional = AmountField(default=Decimal(0))
    realized_pnl = AmountField(default=Decimal(0))
    fees = AmountField(default=Decimal(0))
    funding = AmountField(default=Decimal(0))  # got (positive) and paid
    book_sequence = models.BigIntegerField(default=0)
    taken_bids = AmountField(default=Decimal(0))
    taken_asks = AmountField(default=Decimal(0))
    version = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField(null=True)
    stop_loss = AmountField(null=True)
    take_profit = AmountField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "market"], name="position_one_a_market"),
            models.UniqueConstraint(fields=["uuid"], name="position_uuid_once"),
            models.CheckConstraint(condition=Q(entry_notional__gte=0), name="position_entry_notional_not_negative"),
            models.CheckConstraint(
                condition=~Q(quantity=0) | Q(entry_notional=0), name="position_flat_holds_no_entry_notional"
            ),
            models.CheckConstraint(
                condition=~Q(quantity=0) | Q(stop_loss__isnull=True, take_profit__isnull=True),
                name="position_flat_is_not_protected",
            ),
        ]
        indexes = [models.Index(fields=["market", "account"], name="position_by_market")]

    def __str__(self) -> str:
        return plain(self.quantity)


class ClosedPosition(BookedModel):
    """A position from flat to flat: what it cost and what it brought."""

    uuid = models.UUIDField(unique=True)  # the one the position had while open
    account = models.ForeignKey(
        TradingAccount, models.PROTECT, related_name="closed_positions", db_constraint=False, db_index=False
    )
    number = models.BigIntegerField()  # of the fill that closed it
    market = models.ForeignKey(Market, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    side = models.CharField(max_length=4, choices=[(side.value, side.value) for side in Side])  # of the opening
    quantity = AmountField()
    entry_notional = AmountField()
    exit_notional = AmountField()
    realized_pnl = AmountField()
    fees = AmountField()
    funding = AmountField(default=Decimal(0))
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "number"], name="closed_position_number_once")]

    def __str__(self) -> str:
        return f"{self.side} {plain(self.quantity)}: {plain(self.realized_pnl)}"
