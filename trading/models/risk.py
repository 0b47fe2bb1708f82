"""What holds risk back: halts that staff set, and the figures of each account's risk days."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from astrade.core.fields import AmountField
from marketdata.models import Market
from trading.domain.limits import HaltScope
from trading.models.account import TradingAccount
from trading.models.base import choices_of


class TradingHalt(models.Model):
    """A switch that stops all orders which add risk: everywhere, at a venue, on a market or for an account.

    In force until it is lifted (`ended_at`) or `until` is over; every order reads it under its account's lock.
    """

    scope = models.CharField(max_length=8, choices=choices_of(HaltScope))
    venue = models.CharField(max_length=16, blank=True, default="")
    market = models.ForeignKey(Market, models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    account = models.ForeignKey(
        TradingAccount, models.PROTECT, null=True, blank=True, related_name="halts", db_index=False
    )
    reason = models.CharField(max_length=200)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="halt_names_what_it_stops",
                condition=Q(scope=HaltScope.GLOBAL, venue="", market__isnull=True, account__isnull=True)
                | (Q(scope=HaltScope.VENUE, market__isnull=True, account__isnull=True) & ~Q(venue=""))
                | Q(scope=HaltScope.MARKET, venue="", market__isnull=False, account__isnull=True)
                | Q(scope=HaltScope.ACCOUNT, venue="", market__isnull=True, account__isnull=False),
            ),
            models.CheckConstraint(name="halt_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(name="halt_ends_later", condition=Q(until__isnull=True) | Q(until__gt=F("since"))),
        ]
        indexes = [models.Index(fields=["account", "market"], condition=Q(ended_at__isnull=True), name="halt_in_force")]

    def __str__(self) -> str:
        return f"{self.scope}: {self.reason}"


class RiskDay(models.Model):
    """What an account stood at when its owner's local day began; reckoned once from the ledger, never changed.

    `equity` is cash and unrealised PnL at the marks of that midnight; `net_deposits` and `traded_notional` are the
    account's counters of the same names at that moment. The first day of an account that follows a closed one begins
    with what that one lost (as equity that it never had) and traded (as volume below zero) in it.
    """

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="risk_days", db_index=False)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    equity = AmountField()
    net_deposits = AmountField()
    traded_notional = AmountField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "starts_at"], name="risk_day_once"),
            models.CheckConstraint(name="risk_day_ends_later", condition=Q(ends_at__gt=F("starts_at"))),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} from {self.starts_at:%Y-%m-%d %H:%M}"
