"""Order states and the one table of moves between them (DESIGN §4.2)."""

from collections.abc import Mapping
from enum import StrEnum


class OrderStatus(StrEnum):
    NEW = "new"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    UNTRIGGERED = "untriggered"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"
    TWAP = "twap"


CONDITIONAL = frozenset(
    {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)  # they wait for a trigger price
PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})  # they have a limit price


class TriggerBy(StrEnum):
    """Which of a market's prices a trigger price is held against."""

    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class OrderRole(StrEnum):
    """What a protective order is to the position it closes; an order of its own account has none."""

    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTT = "GTT"


class OrderSource(StrEnum):
    APP = "app"
    API_KEY = "api_key"
    BOT = "bot"
    ONE_TAP = "one_tap"
    ADMIN = "admin"
    LIQUIDATION = "liquidation"
    EXTERNAL = "external"
    TWAP = "twap"  # a slice of a TWAP order


class LedgerAccount(StrEnum):
    """Pots of the ledger: `cash` is the owner's, all others are the platform's."""

    CASH = "cash"
    EXTERNAL = "external"
    TRADING = "trading"
    FEES = "fees"
    FUNDING = "funding"
    CLEARING = "clearing"
    ADJUSTMENTS = "adjustments"
    INSURANCE = "insurance"


class HoldPurpose(StrEnum):
    """What an amount is held for."""

    ADJUSTMENT = "adjustment"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"


class HoldState(StrEnum):
    HELD = "held"
    SETTLED = "settled"
    RELEASED = "released"


class EntryKind(StrEnum):
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRADE_PNL = "trade_pnl"
    COMMISSION = "commission"
    FUNDING = "funding"
    TRANSFER = "transfer"
    LIQUIDATION = "liquidation"
    ADJUSTMENT = "adjustment"
    BONUS = "bonus"


FLOWS = frozenset(
    {EntryKind.DEPOSIT, EntryKind.WITHDRAWAL, EntryKind.TRANSFER, EntryKind.ADJUSTMENT, EntryKind.BONUS}
)  # money that came or went; all else is what trading made of it


S = OrderStatus
ACKNOWLEDGED = frozenset({S.UNTRIGGERED, S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED})
RESTING = frozenset({S.OPEN, S.PARTIALLY_FILLED})
LIVE = frozenset({S.NEW, S.SUBMITTED, S.UNKNOWN, S.UNTRIGGERED, *RESTING})
_WORKED = frozenset({S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.EXPIRED})

TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    S.NEW: frozenset({S.SUBMITTED, *ACKNOWLEDGED}),
    S.SUBMITTED: frozenset({S.UNKNOWN, *ACKNOWLEDGED}),
    S.UNKNOWN: ACKNOWLEDGED,  # the venue's answer was lost; only the venue can end this
    S.UNTRIGGERED: frozenset({S.OPEN, S.REJECTED, *_WORKED}),
    S.OPEN: frozenset({S.REJECTED, *_WORKED}),
    S.PARTIALLY_FILLED: _WORKED,
    S.FILLED: frozenset(),
    S.CANCELLED: frozenset({S.FILLED}),  # a fill may overtake the cancel on its way back from the venue
    S.EXPIRED: frozenset({S.FILLED}),
    S.REJECTED: frozenset({S.OPEN, *_WORKED}),  # on the venue's evidence only, and opens a case
}


class IllegalTransition(Exception):
    """A move that the table does not allow: a bug, never a client's fault."""


def advance(current: OrderStatus, to: OrderStatus) -> OrderStatus:
    """`to`, if the table allows the move from `current`; raises IllegalTransition otherwise."""
    if to not in TRANSITIONS[current]:
        raise IllegalTransition(f"{current} -> {to}")
    return to
