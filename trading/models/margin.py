"""What margin and funding did to accounts: liquidation steps, funding payments, and the hours that are booked."""

from django.db import models
from django.db.models import Q

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from marketdata.models import Market
from trading.models.account import TradingAccount
from trading.models.base import BookedModel
from trading.models.order import Order
from trading.models.position import Position


class Liquidation(BookedModel):
    """One step of a liquidation: open orders that were cancelled, or a part of a position that was closed by `order`.

    `equity` and `maintenance` are those it was decided on, `*_after` what it came to; `insurance` is what the platform
    paid because the account had less than nothing.
    """

    account = models.ForeignKey(
        TradingAccount, models.PROTECT, related_name="liquidations", db_constraint=False, db_index=False
    )
    order = models.ForeignKey(Order, models.PROTECT, related_name="+", null=True, db_constraint=False, db_index=False)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+", null=True, db_constraint=False, db_index=False)
    orders_cancelled = models.PositiveIntegerField()
    quantity = AmountField()
    notional = AmountField()
    fee = AmountField()
    insurance = AmountField()
    equity = AmountField()
    maintenance = AmountField()
    equity_after = AmountField()
    maintenance_after = AmountField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(fee__gte=0, insurance__gte=0), name="liquidation_amounts_not_negative"),
        ]
        indexes = [models.Index(fields=["account", "-id"], name="liquidation_by_account")]

    def __str__(self) -> str:
        return f"{plain(self.quantity)} at equity {plain(self.equity)} of {plain(self.maintenance)}"


class FundingPayment(BookedModel):
    """What a position got (positive) or paid for one hour: `quantity` held at `hour` x `mark` x `rate`, longs pay a
    positive rate.

    One row a position and hour, also where nothing was moved. `position_uuid` tells which of the positions in the
    row's life it was.
    """

    uuid = models.UUIDField(default=public_id, editable=False)
    account = models.ForeignKey(
        TradingAccount, models.PROTECT, related_name="funding_payments", db_constraint=False, db_index=False
    )
    position = models.ForeignKey(Position, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    position_uuid = models.UUIDField(null=True)
    hour = models.DateTimeField()
    quantity = AmountField()
    mark = AmountField()
    rate = AmountField()
    amount = AmountField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "position", "hour"], name="funding_payment_once"),
        ]

    def __str__(self) -> str:
        return f"{plain(self.amount)} for {self.hour:%Y-%m-%d %H:%M}"


class FundingHour(models.Model):
    """A market's hour whose funding is booked on every account that held a position then."""

    market = models.ForeignKey(Market, models.PROTECT, related_name="+", db_index=False)
    hour = models.DateTimeField()
    rate = AmountField()
    mark = AmountField(null=True)  # unknown, and then nobody held anything

    class Meta:
        constraints = [models.UniqueConstraint(fields=["market", "hour"], name="funding_hour_once")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.hour:%Y-%m-%d %H:%M}"
