from trading.models.account import CashBalance, EquitySnapshot, MarketSetting, TradingAccount
from trading.models.event import Event, ReaderPosition
from trading.models.ledger import JournalEntry, Posting
from trading.models.order import Fill, Order, OrderRefusal, OrderTransition
from trading.models.position import ClosedPosition, Position

__all__ = [
    "CashBalance",
    "ClosedPosition",
    "EquitySnapshot",
    "Event",
    "Fill",
    "JournalEntry",
    "MarketSetting",
    "Order",
    "OrderRefusal",
    "OrderTransition",
    "Position",
    "Posting",
    "ReaderPosition",
    "TradingAccount",
]
