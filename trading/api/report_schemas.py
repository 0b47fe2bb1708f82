"""What the reports on an account answer with: ledger, statement, proofs, equity curve and risk."""

from typing import Any

from rest_framework import serializers

from astrade.core.api.fields import Amount, Millis
from trading.api.schemas import choice
from trading.domain.lifecycle import EntryKind


class LedgerLineOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    kind = choice(EntryKind)
    asset = serializers.CharField()
    amount = Amount()
    running_balance = Amount()
    entry_id = serializers.UUIDField()
    reference = serializers.CharField()
    at = Millis()


class BalanceRootOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    at = Millis()
    accounts = serializers.IntegerField()
    previous_hash = serializers.CharField()
    hash = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """With `root`, which as an attribute would hide the serializer's own."""
        return super().get_fields() | {"root": serializers.CharField()}


class BalanceLeafOut(serializers.Serializer[Any]):
    nonce = serializers.CharField()
    position = serializers.IntegerField()
    balance = serializers.CharField()
    entry_count = serializers.IntegerField()
    head_hash = serializers.CharField()


class BalanceProofOut(serializers.Serializer[Any]):
    format = serializers.CharField()
    account_id = serializers.UUIDField()
    at = Millis()
    asset = serializers.CharField()
    balance = Amount()
    entry_count = serializers.IntegerField()
    entries = serializers.ListField(child=serializers.CharField())
    leaf = BalanceLeafOut()
    path = serializers.ListField(child=serializers.CharField())
    roots = BalanceRootOut(many=True)

    def get_fields(self) -> dict[str, Any]:
        """With `root`, the number of the root that the path leads to."""
        return super().get_fields() | {"root": serializers.IntegerField()}


class PeriodOut(serializers.Serializer[Any]):
    to = Millis()

    def get_fields(self) -> dict[str, Any]:
        """With `from`, which is a word of the language."""
        return {"from": Millis()} | super().get_fields()


class StatementOut(PeriodOut):
    account_id = serializers.UUIDField()
    asset = serializers.CharField()
    opening_balance = Amount()
    closing_balance = Amount()
    sums = serializers.DictField(child=Amount(), help_text="Total of each kind of entry")
    fees = Amount(help_text="Commissions paid")
    funding = Amount(help_text="Got (positive) and paid")
    realized_pnl = Amount()
    line_count = serializers.IntegerField()
    lines = LedgerLineOut(many=True)


class CurvePointOut(serializers.Serializer[Any]):
    at = Millis(help_text="End of the interval")
    snapshot_at = Millis(help_text="When the worth was taken")
    balance = Amount()
    equity = Amount()
    net_deposits = Amount(help_text="Deposits and transfers in, less those out")
    pnl = Amount()
    cumulative_return = Amount()
    bridged = serializers.BooleanField(help_text="No snapshot fell into the interval: the worth before is carried on")

    def get_fields(self) -> dict[str, Any]:
        """With `return`, which is a word of the language."""
        return super().get_fields() | {"return": Amount()}


class PortfolioHistoryOut(PeriodOut):
    account_id = serializers.UUIDField()
    interval = serializers.CharField()
    starting_equity = Amount()
    ending_equity = Amount()
    net_deposits = Amount()
    pnl = Amount()
    time_weighted_return = Amount()
    points = CurvePointOut(many=True)


class PortfolioRiskOut(PeriodOut):
    account_id = serializers.UUIDField()
    interval = serializers.CharField()
    equity = Amount()
    gross_exposure = Amount()
    net_exposure = Amount()
    gross_leverage = Amount(allow_null=True)
    net_leverage = Amount(allow_null=True)
    volatility = Amount(allow_null=True, help_text="A year's")
    max_drawdown = Amount(allow_null=True)
    sharpe_ratio = Amount(allow_null=True, help_text="A year's")
    trades = serializers.IntegerField(help_text="Positions closed in the period")
    win_rate = Amount(allow_null=True)
    profit_factor = Amount(allow_null=True)
    expectancy = Amount(allow_null=True)
    largest_loss = Amount(allow_null=True)
