"""The public bodies of trading for the OpenAPI document; `trading.domain.bodies` makes them, a test compares
the two.
"""

from typing import Any

from rest_framework import serializers

from astrade.core.api.fields import Amount, Millis
from trading.domain.lifecycle import EntryKind, OrderSource, OrderStatus, OrderType, Side, TimeInForce


def _choice(enum: Any, **kwargs: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=[(value.value, value.value) for value in enum], **kwargs)


class OrderOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    account_id = serializers.UUIDField()
    venue = serializers.CharField()
    venue_order_id = serializers.CharField(allow_null=True)
    symbol = serializers.CharField()
    side = _choice(Side)
    type = _choice(OrderType)
    quantity = Amount()
    price = Amount(allow_null=True)
    trigger_price = Amount(allow_null=True)
    trigger_by = serializers.CharField(allow_null=True)
    time_in_force = _choice(TimeInForce)
    expires_at = Millis(allow_null=True)
    post_only = serializers.BooleanField()
    reduce_only = serializers.BooleanField()
    take_profit = Amount(allow_null=True)
    stop_loss = Amount(allow_null=True)
    leverage = serializers.IntegerField()
    client_order_id = serializers.CharField()
    tag = serializers.CharField()
    status = _choice(OrderStatus)
    filled_quantity = Amount()
    average_price = Amount(allow_null=True)
    fee = Amount()
    reason = serializers.CharField()
    version = serializers.IntegerField()
    created_at = Millis()
    updated_at = Millis()

    def get_fields(self) -> dict[str, Any]:
        """With `source`, which as an attribute would hide the field's own."""
        return super().get_fields() | {"source": _choice(OrderSource)}


class FillOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    order_id = serializers.UUIDField()
    symbol = serializers.CharField()
    side = _choice(Side)
    price = Amount()
    quantity = Amount()
    notional = Amount()
    fee = Amount()
    fee_asset = serializers.CharField()
    is_taker = serializers.BooleanField()
    realized_pnl = Amount()
    at = Millis()


class TransitionOut(serializers.Serializer[Any]):
    # `from` is a word of the language, so the fields are named below
    to = _choice(OrderStatus)
    reason = serializers.CharField()
    at = Millis()

    def get_fields(self) -> dict[str, Any]:
        """`from`, `to`, `reason`, `at`."""
        return {"from": _choice(OrderStatus)} | super().get_fields()


class OrderDetailOut(OrderOut):
    fills = FillOut(many=True)
    transitions = TransitionOut(many=True)


class PositionOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    symbol = serializers.CharField()
    side = serializers.ChoiceField(choices=["long", "short"])
    quantity = Amount()
    entry_price = Amount(allow_null=True)
    mark_price = Amount(allow_null=True)
    leverage = serializers.IntegerField()
    margin = Amount()
    unrealized_pnl = Amount()
    realized_pnl = Amount()
    pnl_percentage = Amount()
    liquidation_price = Amount(allow_null=True)
    stop_loss = Amount(allow_null=True)
    take_profit = Amount(allow_null=True)
    is_open = serializers.BooleanField()
    version = serializers.IntegerField()
    opened_at = Millis(allow_null=True)
    closed_at = Millis(allow_null=True)


class AccountPositionOut(PositionOut):
    account_id = serializers.UUIDField()


class AssetOut(serializers.Serializer[Any]):
    asset = serializers.CharField()
    free = Amount()
    locked = Amount()
    total = Amount()


class BalanceOut(serializers.Serializer[Any]):
    balance = Amount()
    equity = Amount()
    margin_used = Amount()
    margin_available = Amount()
    margin_ratio = Amount()
    withdrawable = Amount()
    unrealized_pnl = Amount()
    assets = AssetOut(many=True)


class AccountOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    venue = serializers.CharField()
    network = serializers.CharField()
    is_demo = serializers.BooleanField()
    primary = serializers.BooleanField()
    state = serializers.ChoiceField(choices=["active", "frozen", "closed"])
    currency = serializers.CharField()
    simulator = serializers.ChoiceField(choices=["realistic", "classic"])
    max_leverage = serializers.IntegerField()
    max_daily_loss = Amount(allow_null=True)
    balance = Amount()
    equity = Amount()
    margin_used = Amount()
    margin_available = Amount()
    version = serializers.IntegerField()
    created_at = Millis()


class AccountTotalOut(BalanceOut):
    account_id = serializers.UUIDField()
    name = serializers.CharField()


class PortfolioOut(serializers.Serializer[Any]):
    total_balance = Amount()
    total_equity = Amount()
    unrealized_pnl = Amount()
    currency = serializers.CharField()
    accounts = AccountTotalOut(many=True)


class LeverageOut(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    leverage = serializers.IntegerField()
    max_leverage = serializers.IntegerField()


class FeeOut(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    maker_fee_rate = Amount()
    taker_fee_rate = Amount()
    minimum_fee = Amount()


class LedgerLineOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    kind = _choice(EntryKind)
    asset = serializers.CharField()
    amount = Amount()
    running_balance = Amount()
    entry_id = serializers.UUIDField()
    reference = serializers.CharField()
    at = Millis()


class EventOut(serializers.Serializer[Any]):
    type = serializers.CharField()
    kind = serializers.CharField()
    sequence = serializers.IntegerField()
    schema = serializers.IntegerField()
    at = Millis()

    def get_fields(self) -> dict[str, Any]:
        """With `data`, which as an attribute would hide the serializer's own."""
        return super().get_fields() | {"data": serializers.DictField()}


class RefusalOut(serializers.Serializer[Any]):
    code = serializers.IntegerField()
    message = serializers.CharField()
    details = serializers.DictField()


class PreviewOut(serializers.Serializer[Any]):
    accepted = serializers.BooleanField()
    refusal = RefusalOut(allow_null=True)
    symbol = serializers.CharField()
    expected_price = Amount(allow_null=True)
    worst_price = Amount(allow_null=True)
    slippage = Amount(allow_null=True)
    filled_quantity = Amount()
    notional = Amount()
    fee = Amount()
    margin_required = Amount()
    margin_available = Amount()
    liquidation_price = Amount(allow_null=True)
