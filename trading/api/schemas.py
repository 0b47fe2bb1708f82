"""The public bodies of trading for the OpenAPI document; `trading.domain.bodies` makes them, a test compares
the two.
"""

from typing import Any

from rest_framework import serializers

from astrade.core.api.fields import Amount, Millis
from trading.domain.lifecycle import OrderSource, OrderStatus, OrderType, Side, TimeInForce
from trading.domain.limits import OWN_LIMITS
from trading.domain.payments import PaymentState


def choice(enum: Any, **kwargs: Any) -> serializers.ChoiceField:
    """A field of an enumeration, by its values."""
    return serializers.ChoiceField(choices=[(value.value, value.value) for value in enum], **kwargs)


class TwapOut(serializers.Serializer[Any]):
    duration_s = serializers.IntegerField()
    slices = serializers.IntegerField()
    jitter = Amount()
    executed_slices = serializers.IntegerField(help_text="Slices that traded")
    missed_slices = serializers.IntegerField(help_text="Slices whose moment passed without a trade; carried over")
    paused = serializers.BooleanField()
    next_slice_at = Millis(allow_null=True, help_text="Null while paused, after the last slice, and once it ended")
    ends_at = Millis(allow_null=True, help_text="What is not filled by then expires. A pause moves it on")
    progress = Amount(help_text="Filled share of the quantity, 0 to 1")


class OrderOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    account_id = serializers.UUIDField()
    venue = serializers.CharField()
    venue_order_id = serializers.CharField(allow_null=True)
    symbol = serializers.CharField()
    side = choice(Side)
    type = choice(OrderType)
    quantity = Amount()
    price = Amount(allow_null=True)
    trigger_price = Amount(allow_null=True)
    trigger_by = serializers.CharField(allow_null=True)
    time_in_force = choice(TimeInForce)
    expires_at = Millis(allow_null=True)
    post_only = serializers.BooleanField()
    reduce_only = serializers.BooleanField()
    take_profit = Amount(allow_null=True)
    stop_loss = Amount(allow_null=True)
    leverage = serializers.IntegerField()
    client_order_id = serializers.CharField()
    tag = serializers.CharField()
    status = choice(OrderStatus)
    filled_quantity = Amount()
    average_price = Amount(allow_null=True)
    fee = Amount()
    reason = serializers.CharField()
    parent_id = serializers.UUIDField(
        allow_null=True, help_text="The TWAP order that a slice is of; the order a take profit or stop loss came with"
    )
    twap = TwapOut(allow_null=True)
    version = serializers.IntegerField()
    created_at = Millis()
    updated_at = Millis()

    def get_fields(self) -> dict[str, Any]:
        """With `source`, which as an attribute would hide the field's own."""
        return super().get_fields() | {"source": choice(OrderSource)}


class FillOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    order_id = serializers.UUIDField()
    symbol = serializers.CharField()
    side = choice(Side)
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
    to = choice(OrderStatus)
    reason = serializers.CharField()
    change = serializers.DictField(
        child=serializers.ListField(child=Amount(allow_null=True)),
        allow_null=True,
        help_text="What a replace changed: name, before and after",
    )
    at = Millis()

    def get_fields(self) -> dict[str, Any]:
        """`from`, `to`, `reason`, `change`, `at`."""
        return {"from": choice(OrderStatus)} | super().get_fields()


class SliceOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    status = choice(OrderStatus)
    reason = serializers.CharField()
    quantity = Amount()
    filled_quantity = Amount()
    average_price = Amount(allow_null=True)
    fee = Amount()
    created_at = Millis()


class OrderDetailOut(OrderOut):
    fills = FillOut(many=True)
    transitions = TransitionOut(many=True)
    children = SliceOut(many=True)


class UnprotectedOut(serializers.Serializer[Any]):
    position_id = serializers.UUIDField()
    symbol = serializers.CharField()
    side = serializers.ChoiceField(choices=["long", "short"])
    quantity = Amount()
    protective_orders = serializers.IntegerField()


class DeadManSwitchOut(serializers.Serializer[Any]):
    timeout_s = serializers.IntegerField()
    fires_at = Millis(allow_null=True)
    unprotected_positions = UnprotectedOut(many=True)


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
    fees = Amount()
    funding = Amount(help_text="Got (positive) and paid since the position was opened")
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
    held = Amount(help_text="Cash that waits for a decision: still yours, but neither withdrawable nor available")
    margin_ratio = Amount()
    withdrawable = Amount()
    unrealized_pnl = Amount()
    assets = AssetOut(many=True)


class PendingLimitOut(serializers.Serializer[Any]):
    """A loosened limit that is not in force yet; the value null removes it. Asking for the present one cancels it."""

    limit = serializers.ChoiceField(choices=[(name, name) for name in OWN_LIMITS])
    value = Amount(allow_null=True)
    effective_at = Millis()


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
    simulated_latency_ms = serializers.IntegerField()
    initial_balance = Amount()
    max_leverage = serializers.IntegerField()
    max_daily_loss = Amount(allow_null=True)
    max_daily_notional = Amount(allow_null=True)
    pending_limits = PendingLimitOut(many=True)
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


TRANSFER_STATES = [
    PaymentState.REQUESTED,
    PaymentState.SENT,
    PaymentState.UNKNOWN,
    PaymentState.SETTLED,
    PaymentState.FAILED,
]


class TransferOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    from_account = serializers.UUIDField()
    to_account = serializers.UUIDField()
    asset = serializers.CharField()
    amount = Amount()
    status = choice(TRANSFER_STATES, help_text="Of practice money settled at once")
    reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True, help_text="The venue's own words")
    venue_transfer_id = serializers.CharField(allow_null=True)
    at = Millis()
    sent_at = Millis(allow_null=True)
    ended_at = Millis(allow_null=True)


class DepositOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account = serializers.UUIDField()
    asset = serializers.CharField()
    amount = Amount()
    at = Millis()

    def get_fields(self) -> dict[str, Any]:
        """With `source`, which as an attribute would hide the field's own."""
        return super().get_fields() | {"source": serializers.CharField(help_text="faucet, venue, claim")}


class DepositChainOut(serializers.Serializer[Any]):
    chain = serializers.CharField()
    contract = serializers.CharField()


class DepositInstructionsOut(serializers.Serializer[Any]):
    account = serializers.UUIDField()
    venue = serializers.CharField()
    network = serializers.CharField()
    method = serializers.ChoiceField(
        choices=["faucet", "bridge"], help_text="faucet: POST /deposits/faucet; bridge: by one of `chains`"
    )
    contract = serializers.CharField(allow_null=True, help_text="Null where virtual money comes from the faucet")
    asset = serializers.CharField()
    minimum = Amount(allow_null=True, help_text="Null where the venue names none; so with all below")
    max_a_day = Amount(allow_null=True, help_text="For the user over all accounts, by UTC days")
    granted_today = Amount(allow_null=True)
    left_today = Amount(allow_null=True)
    next_day_at = Millis(allow_null=True)
    chains = DepositChainOut(many=True, help_text="Where money comes from to a live account, each with its contract")


class WithdrawalOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account = serializers.UUIDField()
    address_id = serializers.UUIDField()
    address = serializers.CharField()
    asset = serializers.CharField()
    amount = Amount()
    fee = Amount(allow_null=True, help_text="Part of the amount; null until the venue tells")
    status = choice(PaymentState)
    reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True, help_text="The venue's or the staff's own words")
    venue_withdrawal_id = serializers.CharField(allow_null=True)
    created_at = Millis()
    sent_at = Millis(allow_null=True)
    ended_at = Millis(allow_null=True)


class WithdrawalAddressOut(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="uuid")
    network = serializers.CharField()
    address = serializers.CharField()
    added_at = Millis()
    usable_at = Millis()

    def get_fields(self) -> dict[str, Any]:
        """With `label`, which as an attribute would hide the field's own."""
        return super().get_fields() | {"label": serializers.CharField(allow_blank=True)}


class ClaimOut(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The venue's; the deposit comes when the venue has booked it")
    account = serializers.UUIDField()


class FaucetOut(DepositOut):
    granted_today = Amount(help_text="To the user on this UTC day")
    max_a_day = Amount()


class ResetOut(serializers.Serializer[Any]):
    account = AccountOut()
    predecessor_id = serializers.UUIDField()


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
