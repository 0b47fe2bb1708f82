from trading.models.account import CashBalance, EquitySnapshot, MarketSetting, TradingAccount
from trading.models.adjustment import AdjustmentProposal
from trading.models.dead_man_switch import DeadManSwitch
from trading.models.event import Event, ReaderPosition
from trading.models.funds import Deposit, Transfer, VenueTransfer
from trading.models.hold import Hold
from trading.models.ledger import JournalEntry, Posting
from trading.models.margin import FundingHour, FundingPayment, Liquidation
from trading.models.order import Fill, Order, OrderRefusal, OrderTransition
from trading.models.position import ClosedPosition, Position
from trading.models.prepared_order import PreparedOrder
from trading.models.proof import BalanceLeaf, BalanceRoot, BalanceTreeLevel
from trading.models.risk import RiskDay, TradingHalt
from trading.models.twap import TwapPlan
from trading.models.venue_order import Case, VenueMessage, VenueOrder
from trading.models.withdrawal import PreparedWithdrawal, VenueMovement, Withdrawal, WithdrawalAddress

__all__ = [
    "AdjustmentProposal",
    "BalanceLeaf",
    "BalanceRoot",
    "BalanceTreeLevel",
    "Case",
    "CashBalance",
    "ClosedPosition",
    "DeadManSwitch",
    "Deposit",
    "EquitySnapshot",
    "Event",
    "Fill",
    "FundingHour",
    "FundingPayment",
    "Hold",
    "JournalEntry",
    "Liquidation",
    "MarketSetting",
    "Order",
    "OrderRefusal",
    "OrderTransition",
    "Position",
    "Posting",
    "PreparedOrder",
    "PreparedWithdrawal",
    "ReaderPosition",
    "RiskDay",
    "TradingAccount",
    "TradingHalt",
    "Transfer",
    "TwapPlan",
    "VenueMessage",
    "VenueMovement",
    "VenueOrder",
    "VenueTransfer",
    "Withdrawal",
    "WithdrawalAddress",
]
