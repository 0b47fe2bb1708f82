"""What Extended tells of an account (extended-api.md §6, §7.4, §8); see `wire` for how it is read."""

from decimal import Decimal

from astrade.venues.extended.wire import (
    OperationStatus,
    OperationType,
    OrderStatus,
    OrderType,
    PositionSide,
    PositionStatus,
    PriceType,
    Side,
    TimeInForce,
    TpslType,
    TradeType,
    TriggerDirection,
    TriggerPriceType,
)
from astrade.venues.wire import Wire


class Client(Wire, frozen=True, kw_only=True):
    """The wallet behind its sub-accounts."""

    id: int
    evm_wallet_address: str | None = None
    starknet_wallet_address: str | None = None


class Account(Wire, frozen=True, kw_only=True):
    """A sub-account: its own vault, Stark key and API keys."""

    account_id: int | None = None
    id: int | None = None  # some answers name it so
    description: str | None = None
    account_index: int | None = None
    status: str
    l2_key: str = ""
    l2_vault: int
    bridge_starknet_address: str | None = None

    @property
    def number(self) -> int | None:
        """The account's id, whichever name it came under."""
        return self.id if self.account_id is None else self.account_id

    @property
    def public_key(self) -> int:
        """The Stark public key. Raises ValueError where the account names none."""
        return int(self.l2_key, 16)


class Balance(Wire, frozen=True, kw_only=True):
    """The collateral. `margin_ratio` is maintenance margin by equity: above 1 the account is liquidated."""

    collateral_name: str
    balance: Decimal
    equity: Decimal
    available_for_trade: Decimal
    available_for_withdrawal: Decimal
    unrealised_pnl: Decimal
    initial_margin: Decimal
    margin_ratio: Decimal
    updated_time: int
    exposure: Decimal | None = None
    leverage: Decimal | None = None
    spot_equity: Decimal | None = None


class SpotBalance(Wire, frozen=True, kw_only=True):
    asset: str
    balance: Decimal
    account_id: int | None = None
    index_price: Decimal | None = None
    notional_value: Decimal | None = None
    available_to_withdraw: Decimal | None = None
    updated_at: int | None = None


class Position(Wire, frozen=True, kw_only=True):
    """`size` is not signed. A closed one comes with `CLOSED` or with size 0, see `is_closed`."""

    id: int
    account_id: int
    market: str
    side: PositionSide
    leverage: Decimal
    size: Decimal
    value: Decimal
    open_price: Decimal
    mark_price: Decimal | None = None
    status: PositionStatus = PositionStatus.UNKNOWN
    liquidation_price: Decimal | None = None
    margin: Decimal | None = None
    unrealised_pnl: Decimal | None = None
    realised_pnl: Decimal | None = None
    tp_trigger_price: Decimal | None = None
    tp_limit_price: Decimal | None = None
    sl_trigger_price: Decimal | None = None
    sl_limit_price: Decimal | None = None
    created_at: int | None = None
    created_time: int | None = None
    updated_at: int | None = None
    updated_time: int | None = None

    @property
    def is_closed(self) -> bool:
        return self.status is PositionStatus.CLOSED or not self.size

    @property
    def created_ms(self) -> int | None:
        return self.created_time if self.created_at is None else self.created_at

    @property
    def updated_ms(self) -> int | None:
        return self.updated_time if self.updated_at is None else self.updated_at


class PnlBreakdown(Wire, frozen=True, kw_only=True):
    trade_pnl: Decimal
    funding_fees: Decimal
    open_fees: Decimal
    close_fees: Decimal


class PastPosition(Wire, frozen=True, kw_only=True):
    """A position of the history, open or closed."""

    id: int
    account_id: int
    market: str
    side: PositionSide
    size: Decimal
    leverage: Decimal
    open_price: Decimal
    realised_pnl: Decimal
    created_time: int
    max_position_size: Decimal | None = None
    exit_price: Decimal | None = None
    exit_type: str | None = None
    realised_pnl_breakdown: PnlBreakdown | None = None
    closed_time: int | None = None


class Leverage(Wire, frozen=True, kw_only=True):
    market: str
    leverage: Decimal


class Fees(Wire, frozen=True, kw_only=True):
    """Rates: fractions of the notional."""

    market: str
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    builder_fee_rate: Decimal | None = None


class Trigger(Wire, frozen=True, kw_only=True):
    trigger_price: Decimal
    trigger_price_type: TriggerPriceType = TriggerPriceType.UNKNOWN
    trigger_price_direction: TriggerDirection | None = None
    direction: TriggerDirection | None = None  # the stream's name for it
    execution_price_type: PriceType = PriceType.UNKNOWN

    @property
    def fires(self) -> TriggerDirection:
        return self.trigger_price_direction or self.direction or TriggerDirection.UNKNOWN


class Leg(Wire, frozen=True, kw_only=True):
    """A take profit or stop loss; `price` is what it trades at once triggered."""

    trigger_price: Decimal
    trigger_price_type: TriggerPriceType = TriggerPriceType.UNKNOWN
    price: Decimal | None = None
    price_type: PriceType = PriceType.UNKNOWN
    status: OrderStatus | None = None


class Order(Wire, frozen=True, kw_only=True):
    """`price` is the worst acceptable one, also of a market order; `payed_fee` is the venue's own spelling."""

    id: int
    account_id: int
    external_id: str
    market: str
    type: OrderType
    side: Side
    status: OrderStatus
    qty: Decimal
    created_time: int
    updated_time: int
    status_reason: str | None = None
    price: Decimal | None = None
    average_price: Decimal | None = None
    filled_qty: Decimal | None = None
    cancelled_qty: Decimal | None = None
    payed_fee: Decimal | None = None
    reduce_only: bool = False
    post_only: bool = False
    time_in_force: TimeInForce = TimeInForce.UNKNOWN
    trigger: Trigger | None = None
    tp_sl_type: TpslType | None = None
    tpsl_type: TpslType | None = None
    take_profit: Leg | None = None
    stop_loss: Leg | None = None
    expire_time: int | None = None
    expiry_time: int | None = None

    @property
    def expires_ms(self) -> int | None:
        return self.expiry_time if self.expire_time is None else self.expire_time

    @property
    def legs_close(self) -> TpslType | None:
        """Whether its legs are for the order's quantity or for the whole position."""
        return self.tp_sl_type or self.tpsl_type


class PlacedOrder(Wire, frozen=True, kw_only=True):
    """The ids of an order that was taken; what the engine makes of it comes later."""

    id: int
    external_id: str


class Trade(Wire, frozen=True, kw_only=True):
    """One execution; the external id of its order is told on the stream only."""

    id: int
    account_id: int
    market: str
    order_id: int
    side: Side
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    is_taker: bool
    trade_type: TradeType
    created_time: int
    external_order_id: str | None = None


class FundingPayment(Wire, frozen=True, kw_only=True):
    """Funding of one hour on a position; the reference leaves the sign of `funding_fee` open."""

    id: int
    account_id: int
    market: str
    position_id: int
    side: PositionSide
    size: Decimal
    value: Decimal
    mark_price: Decimal
    funding_fee: Decimal
    funding_rate: Decimal
    paid_time: int


class Operation(Wire, frozen=True, kw_only=True):
    """A deposit, withdrawal, transfer or claim; what leaves has a negative `amount`."""

    id: str | int
    type: OperationType
    status: OperationStatus
    amount: Decimal
    time: int
    fee: Decimal | None = None
    asset: int | None = None
    account_id: int | None = None
    counterparty_account_id: int | None = None
    transaction_hash: str | None = None
    chain: str | None = None


class FundsMove(Wire, frozen=True, kw_only=True):
    """A deposit, withdrawal or transfer as a stream tells of it (§8)."""

    id: str | int | None = None
    asset_id: int | None = None
    amount: Decimal | None = None
    status: OperationStatus = OperationStatus.UNKNOWN
    timestamp: int | None = None
    reason: str | None = None


class Transfer(Wire, frozen=True, kw_only=True):
    """Whether a transfer's signature was good; only then it was done."""

    valid_signature: bool
    id: int | None = None


class Claim(Wire, frozen=True, kw_only=True):
    id: int


class BridgeChain(Wire, frozen=True, kw_only=True):
    """A chain that deposits come from, by its bridge's contract."""

    chain: str
    contract_address: str


class BridgeConfig(Wire, frozen=True, kw_only=True):
    chains: list[BridgeChain]
