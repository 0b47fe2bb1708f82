"""Shapes of what clients send. Whether it is allowed is for the services."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from rest_framework import serializers

from astrade.core.api.fields import Amount, Choice, Millis, Text
from astrade.core.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from astrade.core.money import ZERO, is_multiple
from astrade.venues.extended.profiles import Network
from trading.domain.lifecycle import OrderStatus, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.slicing import DURATION_S_MAX, DURATION_S_MIN, JITTER_MAX, JITTER_SCALE, SLICES_MAX, SLICES_MIN
from trading.models import TradingAccount
from trading.models.account import MAX_LATENCY_MS, MAX_LEVERAGE
from trading.portfolio import INTERVALS

REQUIRED = serializers.ErrorDetail("This field is required.", code="required")
SYMBOL_ALIASES: Mapping[str, str] = {"instrument_id": "symbol", "market": "symbol"}
PENDING = "pending"  # the requirement documents' word for `new` and `submitted`


class Form(serializers.Serializer[Any]):
    """A form whose fields may come under the requirement documents' own spellings."""

    aliases: ClassVar[Mapping[str, str]] = {}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Values by first name; where a field comes under both spellings the first name wins."""
        values: dict[str, Any] = super().to_internal_value(self.by_first_name(data))
        return values

    def by_first_name(self, data: Any) -> Any:
        """`data` under the fields' first names."""
        if not isinstance(data, Mapping) or self.aliases.keys().isdisjoint(data):
            return data
        renamed = {self.aliases[key]: value for key, value in data.items() if key in self.aliases}
        return renamed | {key: value for key, value in data.items() if key not in self.aliases}


class FlatForm(Form):
    """A form of independent fields for hot paths: fields that were not sent cost nothing but their default."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """As REST framework's, without per-field methods, sources and HTML input."""
        data = self.by_first_name(data)
        values = dict(self._defaults)
        wrong: dict[str, Any] = {name: [REQUIRED] for name in self._required if name not in data}
        for name in self._names & data.keys():
            try:
                values[name] = self.fields[name].run_validation(data[name])
            except serializers.ValidationError as exc:
                wrong[name] = exc.detail
        if wrong:
            raise serializers.ValidationError(wrong)
        return values

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.fields)

    @cached_property
    def _required(self) -> tuple[str, ...]:
        return tuple(name for name, field in self.fields.items() if field.required)

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return {name: field.default for name, field in self.fields.items() if field.default is not serializers.empty}


def _choice(enum: Any, **kwargs: Any) -> Choice:
    return Choice(choices=[(value.value, value.value) for value in enum], **kwargs)


class TwapForm(Form):
    duration_s = serializers.IntegerField(min_value=DURATION_S_MIN, max_value=DURATION_S_MAX)
    slices = serializers.IntegerField(
        min_value=SLICES_MIN, max_value=SLICES_MAX, help_text="At most one every 5 seconds"
    )
    jitter = Amount(
        signed=False, default=ZERO, help_text="Share of a slice's time by which it may come later: 0 to 0.5, 4 decimals"
    )

    def validate_jitter(self, value: Decimal) -> Decimal:
        """Within its range and scale."""
        if value > JITTER_MAX or not is_multiple(value, of=Decimal(1).scaleb(-JITTER_SCALE)):
            raise serializers.ValidationError(f"At most {JITTER_MAX}, with {JITTER_SCALE} decimals.")
        return value


class OrderForm(FlatForm):
    aliases: ClassVar[Mapping[str, str]] = {
        **SYMBOL_ALIASES,
        "order_type": "type",
        "size": "quantity",
        "qty": "quantity",
        "stop_price": "trigger_price",
    }

    symbol = Text(max_length=64)
    side = _choice(Side)
    type = _choice(OrderType)
    quantity = Amount(positive=True)
    price = Amount(required=False, allow_null=True)
    trigger_price = Amount(required=False, allow_null=True)
    trigger_by = _choice(TriggerBy, required=False, allow_null=True)
    time_in_force = _choice(TimeInForce, default=TimeInForce.GTC.value)
    expires_at = Millis(required=False, allow_null=True)
    post_only = serializers.BooleanField(default=False)
    reduce_only = serializers.BooleanField(default=False)
    take_profit = Amount(required=False, allow_null=True)
    stop_loss = Amount(required=False, allow_null=True)
    leverage = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_LEVERAGE)
    client_order_id = serializers.RegexField(r"^[A-Za-z0-9._:/-]{1,64}$", required=False, allow_null=True)
    tag = Text(max_length=64, required=False, allow_blank=True, default="")
    twap = TwapForm(required=False, allow_null=True, help_text="Only for type twap, and required there")


class ReplaceForm(Form):
    aliases: ClassVar[Mapping[str, str]] = {"size": "quantity", "qty": "quantity", "stop_price": "trigger_price"}

    quantity = Amount(positive=True, required=False, help_text="The new total, what is filled included")
    price = Amount(positive=True, required=False)
    trigger_price = Amount(positive=True, required=False)
    version = serializers.IntegerField(required=False, min_value=1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Something is to change."""
        if attrs.keys() <= {"version"}:
            raise serializers.ValidationError("Give quantity, price or trigger_price.")
        return attrs


class DeadManSwitchForm(Form):
    aliases: ClassVar[Mapping[str, str]] = {"countdownTime": "timeout_s"}

    timeout_s = serializers.IntegerField(min_value=0, max_value=86_400, help_text="0 switches it off")
    account = serializers.UUIDField(required=False)


class AccountForm(Form):
    name = Text(max_length=80, default="Practice")
    venue = Choice(choices=["practice"], default="practice")
    is_demo = serializers.BooleanField(required=False)
    initial_balance = Amount(signed=False, required=False)
    max_leverage = serializers.IntegerField(default=10, min_value=1, max_value=MAX_LEVERAGE)
    max_daily_loss = Amount(positive=True, required=False, allow_null=True)
    max_daily_notional = Amount(positive=True, required=False, allow_null=True)
    simulator = _choice(TradingAccount.Simulator, default=TradingAccount.Simulator.REALISTIC.value)
    simulated_latency_ms = serializers.IntegerField(
        default=0, min_value=0, max_value=MAX_LATENCY_MS, help_text="New orders meet the market so much later"
    )

    def validate_is_demo(self, value: bool) -> bool:
        """Only practice accounts are made here."""
        if not value:
            raise serializers.ValidationError("A live account is made by connecting the venue, never with a balance.")
        return value


class AccountPatch(Form):
    name = Text(max_length=80, required=False)
    simulated_latency_ms = serializers.IntegerField(required=False, min_value=0, max_value=MAX_LATENCY_MS)
    primary = serializers.BooleanField(required=False)
    max_leverage = serializers.IntegerField(required=False, min_value=1, max_value=MAX_LEVERAGE)
    max_daily_loss = Amount(positive=True, required=False, allow_null=True)
    max_daily_notional = Amount(positive=True, required=False, allow_null=True)
    version = serializers.IntegerField(required=False, min_value=1)

    def validate_primary(self, value: bool) -> bool:
        """Another account becomes the primary one; none stops being it by itself."""
        if not value:
            raise serializers.ValidationError("Make another account the primary one instead.")
        return value


class ClosePositionForm(Form):
    aliases: ClassVar[Mapping[str, str]] = {"size": "quantity", "qty": "quantity", **SYMBOL_ALIASES}

    position_id = serializers.UUIDField(required=False)
    symbol = Text(max_length=64, required=False)
    quantity = Amount(positive=True, required=False, allow_null=True)
    client_order_id = serializers.RegexField(r"^[A-Za-z0-9._:/-]{1,64}$", required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two names the position."""
        if ("position_id" in attrs) == ("symbol" in attrs):
            raise serializers.ValidationError("Give either position_id or symbol.")
        return attrs


class ProtectionForm(Form):
    stop_loss = Amount(positive=True, required=False, allow_null=True)
    take_profit = Amount(positive=True, required=False, allow_null=True)
    version = serializers.IntegerField(required=False, min_value=1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Something is to change."""
        if attrs.keys() <= {"version"}:
            raise serializers.ValidationError("Give stop_loss or take_profit; null removes it.")
        return attrs


class LeverageForm(Form):
    aliases: ClassVar[Mapping[str, str]] = SYMBOL_ALIASES

    symbol = Text(max_length=64)
    leverage = serializers.IntegerField(min_value=1, max_value=MAX_LEVERAGE)


class MarketQuery(Form):
    aliases: ClassVar[Mapping[str, str]] = SYMBOL_ALIASES

    symbol = Text(max_length=64, required=False)


class SideQuery(MarketQuery):
    side = _choice(Side, required=False)


class CancelQuery(SideQuery):
    """What a mass cancel is narrowed to; a name it doesn't know is refused, since to ignore it would cancel more."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Values by first name."""
        unknown = set(data) - set(self.fields) - set(self.aliases) - set(AccountQuery().fields)
        if unknown:
            raise serializers.ValidationError({name: ["Orders can't be chosen by it."] for name in sorted(unknown)})
        return super().to_internal_value(data)


class OrdersQuery(SideQuery):
    status = Choice(choices=[*(status.value for status in OrderStatus), PENDING], required=False)
    parent_id = serializers.UUIDField(
        required=False, help_text="What came with this order: a TWAP order's slices, a take profit and stop loss"
    )


class PositionsQuery(MarketQuery):
    is_open = serializers.BooleanField(default=True)


class PeriodQuery(Form):
    """`?from=&to=`: from an instant until before another."""

    to = Millis(required=False)

    def get_fields(self) -> dict[str, Any]:
        """With `from`, which is a word of the language."""
        return {"from": Millis(required=False)} | super().get_fields()


class PositionHistoryQuery(MarketQuery, PeriodQuery):
    """Closed positions of a market and by the time they were closed."""


class HistoryQuery(PeriodQuery):
    interval = serializers.ChoiceField(choices=INTERVALS, default="1d")


class RiskQuery(PeriodQuery):
    interval = serializers.ChoiceField(choices=INTERVALS, default="1h")


class StatementQuery(PeriodQuery):
    format = Choice(choices=["json", "csv"], default="json")


class MovementsQuery(PeriodQuery):
    """Transfers and deposits: of one account, and by their time."""

    account = serializers.UUIDField(required=False)


class TransferForm(Form):
    from_account = serializers.UUIDField()
    to_account = serializers.UUIDField()
    asset = Text(max_length=16, required=False)
    amount = Amount(positive=True)


class FaucetForm(Form):
    account = serializers.UUIDField(required=False)
    amount = Amount(positive=True, required=False, help_text="Of a practice account; a venue gives what it gives")


class WithdrawalForm(Form):
    account = serializers.UUIDField(required=False)
    address_id = serializers.UUIDField()
    amount = Amount(positive=True)
    asset = Text(max_length=16, required=False)


class WithdrawalAddressForm(Form):
    network = Choice(choices=[network.value for network in Network])
    address = Text(max_length=66, help_text="On Starknet, hexadecimal with 0x")

    def get_fields(self) -> dict[str, Any]:
        """With `label`, which as an attribute would hide the field's own."""
        return super().get_fields() | {"label": Text(max_length=80, required=False, allow_blank=True, default="")}


class ResetForm(Form):
    initial_balance = Amount(signed=False, required=False)


class EventsQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(default=0, min_value=0, max_value=2**63 - 1)
    limit = serializers.IntegerField(default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT)


class ProofQuery(serializers.Serializer[Any]):
    at = serializers.IntegerField(required=False, min_value=0)


class AccountQuery(serializers.Serializer[Any]):
    """`?account=` or `X-Account-Id`: which of the user's accounts a call acts on."""

    account = serializers.UUIDField(required=False)
