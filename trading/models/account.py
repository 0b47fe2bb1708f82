"""Trading accounts: money and positions at one venue."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from marketdata.models import Market

MAX_LEVERAGE = 100
MAX_LATENCY_MS = 5000
GENESIS_HASH = "0" * 64


class TradingAccount(models.Model):
    """One account of one user. The row is the lock of everything booked on it, and holds its counters.

    `sequence` counts events, `order_count`/`fill_count`/`entry_count` number what they say; none has a gap.
    `head_hash` is the hash of journal entry number `entry_count`, so that a cut tail shows. `net_deposits` sums its
    flows (`lifecycle.FLOWS`), `traded_notional` price × quantity of its fills.
    """

    class Venue(models.TextChoices):
        PRACTICE = "practice"
        EXTENDED = "extended"

    class State(models.TextChoices):
        ACTIVE = "active"
        FROZEN = "frozen"
        CLOSED = "closed"

    class Simulator(models.TextChoices):
        REALISTIC = "realistic"
        CLASSIC = "classic"

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="trading_accounts")
    name = models.CharField(max_length=80)
    venue = models.CharField(max_length=16, choices=Venue.choices, default=Venue.PRACTICE)
    network = models.CharField(max_length=16, blank=True, default="")
    credential = models.ForeignKey(
        "accounts.VenueCredential", models.PROTECT, null=True, blank=True, related_name="trading_accounts"
    )
    opened_at = models.DateTimeField(null=True, blank=True)  # of a live one: when the books took over what was there
    synced_at = models.DateTimeField(null=True, blank=True)
    last_trade_id = models.CharField(max_length=64, blank=True, default="")  # of the venue's: booked up to here,
    last_funding_id = models.CharField(max_length=64, blank=True, default="")  # and this is the last payment's
    movements_looked_at = models.DateTimeField(null=True, blank=True)  # when its history of funds was read last
    is_primary = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    currency = models.CharField(max_length=16, default="USD")
    simulator = models.CharField(max_length=16, choices=Simulator.choices, default=Simulator.REALISTIC)
    simulated_latency_ms = models.PositiveSmallIntegerField(default=0)
    max_leverage = models.PositiveSmallIntegerField(default=10)
    max_daily_loss = AmountField(null=True, blank=True)
    max_daily_loss_next = AmountField(null=True, blank=True)  # what it becomes at `…_next_at`, if that is set
    max_daily_loss_next_at = models.DateTimeField(null=True, blank=True)
    max_daily_notional = AmountField(null=True, blank=True)
    max_daily_notional_next = AmountField(null=True, blank=True)
    max_daily_notional_next_at = models.DateTimeField(null=True, blank=True)
    net_deposits = AmountField(default=Decimal(0), db_default=Decimal(0))
    traded_notional = AmountField(default=Decimal(0), db_default=Decimal(0))
    sequence = models.BigIntegerField(default=0)
    order_count = models.BigIntegerField(default=0)
    fill_count = models.BigIntegerField(default=0)
    entry_count = models.BigIntegerField(default=0)
    head_hash = models.CharField(max_length=64, default=GENESIS_HASH)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    predecessor = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="successor")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(is_primary=True), name="account_one_primary_a_user"),
            models.CheckConstraint(
                condition=Q(max_leverage__gte=1, max_leverage__lte=MAX_LEVERAGE), name="account_leverage_in_range"
            ),
            models.CheckConstraint(
                condition=Q(simulated_latency_ms__lte=MAX_LATENCY_MS), name="account_latency_in_range"
            ),
        ]
        indexes = [models.Index(fields=["user", "-id"], name="account_by_user")]

    def __str__(self) -> str:
        return f"{self.name} {self.uuid.hex[:8]}"


class CashBalance(models.Model):
    """Cached sum of an account's `cash` postings in one asset; changed only together with a posting."""

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="cash_balances", db_index=False)
    asset = models.CharField(max_length=16)
    balance = AmountField(default=Decimal(0))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "asset"], name="cash_balance_once")]

    def __str__(self) -> str:
        return f"{plain(self.balance)} {self.asset}"


class MarketSetting(models.Model):
    """An account's leverage on one market; 1 where there is no row."""

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="market_settings", db_index=False)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+", db_index=False)
    leverage = models.PositiveSmallIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "market"], name="market_setting_once"),
            models.CheckConstraint(
                condition=Q(leverage__gte=1, leverage__lte=MAX_LEVERAGE), name="market_setting_leverage_in_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.leverage}x"


class EquitySnapshot(models.Model):
    """An account's worth at one moment of the schedule.

    `flows` are the account's net deposits until then; `unit_value` is the growth of one unit of money since the account
    was opened, flows taken out: the ratio of two is the time-weighted return between them
    (`trading.domain.performance`).
    """

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="equity_snapshots", db_index=False)
    at = models.DateTimeField()
    balance = AmountField()
    equity = AmountField()
    flows = AmountField(default=Decimal(0))
    unit_value = AmountField(max_digits=60, decimal_places=40, default=Decimal(1))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "at"], name="equity_snapshot_once")]

    def __str__(self) -> str:
        return f"{plain(self.equity)} at {self.at:%Y-%m-%d %H:%M}"
