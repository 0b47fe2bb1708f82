"""Shapes of what clients send. Whether it is allowed is for the services."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from rest_framework import serializers

from astrade.core.api.fields import Amount, Millis, Text
from trading.domain.lifecycle import OrderType, Side, TimeInForce, TriggerBy
from trading.models import TradingAccount
from trading.models.account import MAX_LEVERAGE
from trading.portfolio import INTERVALS

REQUIRED = serializers.ErrorDetail("This field is required.", code="required")


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


class ChoiceText(serializers.ChoiceField):
    """A choice whose value is an enumeration member; spelled in any case."""

    def to_internal_value(self, data: Any) -> Any:
        """The enumeration member."""
        if isinstance(data, str):
            data = next((choice for choice in self.choices if choice.lower() == data.lower()), data)
        return super().to_internal_value(data)


def _choice(enum: Any, **kwargs: Any) -> ChoiceText:
    return ChoiceText(choices=[(value.value, value.value) for value in enum], **kwargs)


class OrderForm(FlatForm):
    aliases: ClassVar[Mapping[str, str]] = {
        "instrument_id": "symbol",
        "market": "symbol",
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
    venue = serializers.ChoiceField(choices=["practice"], default="practice")
    is_demo = serializers.BooleanField(required=False)
    initial_balance = Amount(signed=False, required=False)
    max_leverage = serializers.IntegerField(default=10, min_value=1, max_value=MAX_LEVERAGE)
    max_daily_loss = Amount(positive=True, required=False, allow_null=True)
    max_daily_notional = Amount(positive=True, required=False, allow_null=True)
    simulator = _choice(TradingAccount.Simulator, default=TradingAccount.Simulator.REALISTIC.value)

    def validate_is_demo(self, value: bool) -> bool:
        """Only practice accounts are made here."""
        if not value:
            raise serializers.ValidationError("A live account is made by connecting the venue, never with a balance.")
        return value


class AccountPatch(Form):
    name = Text(max_length=80, required=False)
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
    aliases: ClassVar[Mapping[str, str]] = {"size": "quantity", "qty": "quantity", "instrument_id": "symbol"}

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
    aliases: ClassVar[Mapping[str, str]] = {"market": "symbol"}

    symbol = Text(max_length=64)
    leverage = serializers.IntegerField(min_value=1, max_value=MAX_LEVERAGE)


class MarketQuery(Form):
    aliases: ClassVar[Mapping[str, str]] = {"market": "symbol"}

    symbol = Text(max_length=64, required=False)


class OrdersQuery(MarketQuery):
    status = Text(max_length=20, required=False)
    side = _choice(Side, required=False)


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
    format = serializers.ChoiceField(choices=["json", "csv"], default="json")


class TransferForm(Form):
    from_account = serializers.UUIDField()
    to_account = serializers.UUIDField()
    asset = Text(max_length=16, required=False)
    amount = Amount(positive=True)


class FaucetForm(Form):
    account = serializers.UUIDField(required=False)
    amount = Amount(positive=True)


class ResetForm(Form):
    initial_balance = Amount(signed=False, required=False)


class EventsQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(default=0, min_value=0, max_value=2**63 - 1)
    limit = serializers.IntegerField(default=100, min_value=1, max_value=1000)


class ProofQuery(serializers.Serializer[Any]):
    at = serializers.IntegerField(required=False, min_value=0)


class AccountQuery(serializers.Serializer[Any]):
    """`?account=` or `X-Account-Id`: which of the user's accounts a call acts on."""

    account = serializers.UUIDField(required=False)
