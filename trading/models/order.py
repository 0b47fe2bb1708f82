"""Orders, what became of them, and the fills they got."""

from decimal import Decimal
from uuid import UUID

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from marketdata.models import Market, MarketRules
from trading.domain.lifecycle import (
    LIVE,
    OrderRole,
    OrderSource,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TriggerBy,
)
from trading.domain.slicing import TwapState
from trading.models.account import TradingAccount
from trading.models.base import BookedModel, choices_of


class Order(BookedModel):
    """The intention to trade. `quantity` is in base units, prices in quote per base; `number` counts per account."""

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="orders", db_index=False)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    rules = models.ForeignKey(MarketRules, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    number = models.BigIntegerField()
    client_order_id = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of the request, to tell a retry from another order
    side = models.CharField(max_length=4, choices=choices_of(Side))
    type = models.CharField(max_length=20, choices=choices_of(OrderType))
    time_in_force = models.CharField(max_length=3, choices=choices_of(TimeInForce))
    quantity = AmountField()
    price = AmountField(null=True)
    post_only = models.BooleanField(default=False)
    reduce_only = models.BooleanField(default=False)
    leverage = models.PositiveSmallIntegerField()
    tag = models.CharField(max_length=64, blank=True, default="")
    source = models.CharField(max_length=16, choices=choices_of(OrderSource), default=OrderSource.APP)
    status = models.CharField(max_length=20, choices=choices_of(OrderStatus), default=OrderStatus.NEW)
    reason = models.CharField(max_length=64, blank=True, default="")
    filled_quantity = AmountField(default=Decimal(0))
    filled_notional = AmountField(default=Decimal(0))  # quote units, exact sum of price x quantity
    fee = AmountField(default=Decimal(0))
    fill_count = models.PositiveIntegerField(default=0)
    admitted_sequence = models.BigIntegerField()  # book sequence the order was decided against, and when; a replaced
    admitted_at = models.DateTimeField()  # order is decided anew
    expires_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    trigger_price = AmountField(null=True)
    trigger_by = models.CharField(max_length=5, choices=choices_of(TriggerBy), null=True)  # noqa: DJ001 - no trigger
    take_profit = AmountField(null=True)
    stop_loss = AmountField(null=True)
    role = models.CharField(max_length=11, choices=choices_of(OrderRole), null=True)  # noqa: DJ001 - protects nothing
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="children", db_constraint=False, db_index=False
    )  # the TWAP order that a slice is of; the order a protective order came with (without: the whole position's)
    protected_quantity = AmountField(default=Decimal(0))
    arrives_at = models.DateTimeField(null=True)  # of one that was sent with simulated latency
    reserve_price = AmountField(null=True)  # a market order binds margin at it on its way
    queue_ahead = AmountField(null=True)  # stood before it at its price; empty where the book did not show it
    queue_sequence = models.BigIntegerField(default=0)  # book sequence up to which trades at its price are counted
    venue_order_id = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "client_order_id"], name="order_client_order_id_once"),
            models.UniqueConstraint(
                fields=["account", "venue_order_id"],
                condition=Q(venue_order_id__isnull=False),
                name="order_venue_order_id_once",
            ),
            models.UniqueConstraint(fields=["account", "number"], name="order_number_once"),
            models.CheckConstraint(condition=Q(filled_quantity__lte=F("quantity")), name="order_not_overfilled"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(
                condition=Q(trigger_price__isnull=True) | Q(trigger_price__gt=0, trigger_by__isnull=False),
                name="order_trigger_complete",
            ),
            models.CheckConstraint(
                condition=Q(role__isnull=True) | Q(reduce_only=True, trigger_price__isnull=False),
                name="order_protective_only_reduces",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "market"], condition=Q(status__in=sorted(LIVE)), name="order_live_by_account"
            ),
            models.Index(fields=["market", "id"], condition=Q(status__in=sorted(LIVE)), name="order_live_by_market"),
            models.Index(
                fields=["account", "market"],
                condition=Q(status=OrderStatus.UNTRIGGERED, role__isnull=False),
                name="order_protective_by_account",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(status__in=sorted(LIVE), expires_at__isnull=False),
                name="order_live_by_expiry",
            ),
            models.Index(
                fields=["arrives_at", "id"],
                condition=Q(status=OrderStatus.SUBMITTED, arrives_at__isnull=False),
                name="order_on_its_way",
            ),
            models.Index(fields=["parent", "id"], condition=Q(parent__isnull=False), name="order_children"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.side} {plain(self.quantity)}"

    @property
    def parent_uuid(self) -> UUID | None:
        """Its parent's public id; select the parent along."""
        return None if self.parent is None else self.parent.uuid

    @property
    def twap(self) -> TwapState | None:
        """A TWAP order's plan; select `plan` along."""
        plan = getattr(self, "plan", None) if self.type == OrderType.TWAP else None
        return None if plan is None else TwapState(**{name: getattr(plan, name) for name in TwapState.__slots__})


class OrderTransition(BookedModel):
    """One move of an order's status, and why: together they are its whole history.

    A replace is one whose status stays: `change` says what became of price and quantity, `{name: [before, after]}`.
    """

    order = models.ForeignKey(Order, models.PROTECT, related_name="transitions", db_index=False)
    from_status = models.CharField(max_length=20, choices=choices_of(OrderStatus))
    to_status = models.CharField(max_length=20, choices=choices_of(OrderStatus))
    reason = models.CharField(max_length=64, blank=True, default="")
    change = models.JSONField(null=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["order", "id"], name="transition_by_order")]

    def __str__(self) -> str:
        return f"{self.from_status} -> {self.to_status}"


class OrderRefusal(models.Model):
    """An order that was not taken: the code, and the figures it was decided on. Nothing else is left of it."""

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="refusals", db_index=False)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="+", null=True)
    client_order_id = models.CharField(max_length=64, blank=True, default="")
    code = models.PositiveIntegerField()
    message = models.CharField(max_length=200)
    request = models.JSONField()
    figures = models.JSONField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["account", "-id"], name="refusal_by_account")]

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


class Fill(BookedModel):
    """One execution of an order. Practice trades are named `<order uuid>:<n>`, so two matchers book one once."""

    uuid = models.UUIDField(default=public_id, editable=False)
    account = models.ForeignKey(
        TradingAccount, models.PROTECT, related_name="fills", db_constraint=False, db_index=False
    )
    order = models.ForeignKey(Order, models.PROTECT, related_name="fills", db_index=False)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    number = models.BigIntegerField()
    venue_trade_id = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=choices_of(Side))
    price = AmountField()
    quantity = AmountField()
    fee = AmountField()
    fee_asset = models.CharField(max_length=16)
    is_taker = models.BooleanField()
    realized_pnl = AmountField()
    seed = models.BigIntegerField()  # of the simulator's noise
    book_sequence = models.BigIntegerField()
    basis = models.JSONField(null=True)  # of a decision, with its first fill: `trading.domain.fill_basis`
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "order", "venue_trade_id"], name="fill_booked_once"),
            models.UniqueConstraint(fields=["account", "number"], name="fill_number_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0, price__gt=0), name="fill_positive"),
        ]
        indexes = [
            models.Index(fields=["order", "id"], name="fill_by_order"),
            BrinIndex(fields=["at"], name="fill_at_brin"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.side} {plain(self.quantity)} @ {plain(self.price)}"
