"""Where processes are killed on the way of a live order, and what leads there (as `points` and `plays` for practice).

Faults of the venue choose who gets there: with `LOST` the request arrives and its answer doesn't; with `DEAF` account
streams hear nothing, so that the worker finds out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, unique

from astrade.tests.processes.plays import FAR, Play
from astrade.tests.processes.points import OTHERWISE, Write
from astrade.tests.processes.system import System, eventually
from astrade.tests.processes.venue import LATER, LiveTrader, Venue

DEAF, LOST, NEVER_ARRIVED, BREAKS = (
    "stream_missing",
    "reset_after_accept",
    "reset_before_accept",
    "disconnect_before_message",
)
REFUSES = "maintenance"
_TRANSITION = "trading_ordertransition"
_WAITS = "EXISTS (SELECT FROM trading_order o WHERE o.account_id = account AND o.status = ANY('{{submitted,unknown}}'))"
_NEW_LAST_TRADE = "NEW.last_trade_id <> OLD.last_trade_id"
FOUR_LOOKUPS = """
UPDATE trading_venueorder SET lookups = 4, first_lookup_at = now() - interval '2 minutes'
 WHERE order_id IN (SELECT id FROM trading_order WHERE status = 'unknown')
"""


@unique
class LivePoint(Enum):
    """Where processes are killed."""

    CONNECT = Write("a connection, and its account", "web", "accounts_venuecredential", moments=OTHERWISE)
    PLACE = Write("an order, before it is sent", "web", "trading_venueorder")
    ANSWER = Write("the venue took it", "web", _TRANSITION, "NEW.to_status = 'open'", loaded_once=_WAITS)
    REFUSAL = Write("the venue refused it", "web", _TRANSITION, "NEW.to_status = 'rejected'", loaded_once=_WAITS)
    LOSS = Write("the answer is lost", "web", _TRANSITION, "NEW.to_status = 'unknown'", loaded_once=_WAITS)
    CANCEL = Write(
        "a cancel, before it is sent",
        "web",
        "trading_venueorder",
        "NEW.cancel_requested_at IS NOT NULL",
        change="UPDATE",
    )

    OPENING = Write(
        "the books' beginning",
        "worker",
        "trading_journalentry",
        "NEW.kind = 'deposit'",
        moments=OTHERWISE,
        is_task=True,
    )
    LOOKUP = Write(
        "a look-up that found nothing",
        "worker",
        "trading_venueorder",
        "NEW.lookups > 0",
        moments=OTHERWISE,
        change="UPDATE",
        is_task=True,
    )
    NOT_FOUND = Write(
        "the last of such look-ups",
        "worker",
        _TRANSITION,
        "NEW.to_status = 'rejected'",
        loaded_once=_WAITS,
        is_task=True,
    )
    FOUND = Write("the venue has it", "worker", _TRANSITION, "NEW.to_status = 'open'", loaded_once=_WAITS, is_task=True)
    TRADE_BY_SYNC = Write("a trade that the stream left out", "worker", "trading_fill", is_task=True)
    BETWEEN_TRADES_AND_FUNDING = Write(
        "the last trade that was asked for",
        "worker",
        "trading_tradingaccount",
        _NEW_LAST_TRADE,
        moments=OTHERWISE,
        change="UPDATE",
        is_task=True,
    )

    TOLD = Write("the stream tells of an order", "streams", _TRANSITION, "NEW.to_status = 'open'", loaded_once=_WAITS)
    TRADE = Write("the stream tells of a trade", "streams", "trading_fill")
    END = Write("the stream tells of an end", "streams", _TRANSITION, "NEW.to_status = 'cancelled'")
    CATCH_UP = Write(
        "what a new connection finds",
        "streams",
        "trading_tradingaccount",
        _NEW_LAST_TRADE,
        moments=OTHERWISE,
        change="UPDATE",
    )


@dataclass(frozen=True, slots=True)
class LiveStage:
    """Who plays, and where."""

    system: System
    venue: Venue
    trader: LiveTrader


def connect(stage: LiveStage) -> Play:
    yield
    stage.trader.connect()
    return None


def place(stage: LiveStage) -> Play:
    yield
    stage.trader.rest(price=FAR)
    return None


def answered(stage: LiveStage) -> Play:
    stage.venue.switch(DEAF)
    yield
    stage.trader.rest(price=FAR)
    return None


def refused(stage: LiveStage) -> Play:
    stage.venue.switch(REFUSES)
    yield
    assert stage.trader.rest(price=FAR)["status"] in ("rejected", "submitted")
    return None


def lost(stage: LiveStage) -> Play:
    stage.venue.switch(f"{LOST},{DEAF}")
    yield
    stage.trader.rest(price=FAR)
    return None


def cancelled(stage: LiveStage) -> Play:
    resting = stage.trader.rest(price=FAR)
    stage.trader.until(resting, "open")
    yield
    stage.trader.cancel(resting)
    return None


def looked_for(stage: LiveStage) -> Play:
    _leave_unanswered(stage, NEVER_ARRIVED)
    yield
    stage.system.execute(LATER)
    _nudge_until(stage, "it was looked for", "SELECT count(*) FROM trading_venueorder WHERE lookups > 0")
    return None


def not_found(stage: LiveStage) -> Play:
    order = _leave_unanswered(stage, NEVER_ARRIVED)
    stage.system.execute(FOUR_LOOKUPS)
    yield
    stage.system.execute(LATER)
    rejected = f"SELECT count(*) FROM trading_order WHERE uuid = '{order}' AND status = 'rejected'"
    _nudge_until(stage, "it is called rejected", rejected)
    return None


def found(stage: LiveStage) -> Play:
    order = _leave_unanswered(stage, f"{LOST},{DEAF}")
    yield
    stage.system.execute(LATER)
    _nudge_until(stage, "it is found", f"SELECT count(*) FROM trading_order WHERE uuid = '{order}' AND status = 'open'")
    return None


def traded_unheard(stage: LiveStage) -> Play:
    stage.venue.switch(DEAF)
    yield
    bought = stage.trader.buy()
    filled = f"SELECT count(*) FROM trading_order WHERE uuid = '{bought['id']}' AND status = 'filled'"
    _nudge_until(stage, "the trade is found", filled)
    return None


def told(stage: LiveStage) -> Play:
    stage.venue.switch(LOST)
    yield
    resting = stage.trader.rest(price=FAR)
    stage.trader.until(resting, "open")
    return None


def traded(stage: LiveStage) -> Play:
    yield
    stage.trader.until(stage.trader.buy(), "filled")
    return None


def ended(stage: LiveStage) -> Play:
    resting = stage.trader.rest(price=FAR)
    stage.trader.until(resting, "open")
    yield
    stage.trader.cancel(resting)
    stage.trader.until(resting, "cancelled")
    return None


def caught_up(stage: LiveStage) -> Play:
    """The stream breaks off instead of telling; the next one begins with a look at what was missed."""
    yield
    stage.venue.switch(BREAKS)
    bought = stage.trader.buy()
    stage.venue.switch("")
    stage.trader.until(bought, "filled")
    return None


def _leave_unanswered(stage: LiveStage, faults: str) -> str:
    """An order whose answer is lost; its id."""
    stage.venue.switch(faults)
    order = stage.trader.rest(price=FAR)
    assert order["status"] == "unknown"
    return str(order["id"])


def _nudge_until(stage: LiveStage, what: str, count: str) -> None:
    def is_so() -> bool:
        stage.trader.nudge()
        return bool(stage.system.count(count))

    eventually(what, is_so)


LIVE_PLAYS: Mapping[LivePoint, Callable[[LiveStage], Play]] = {
    LivePoint.CONNECT: connect,
    LivePoint.PLACE: place,
    LivePoint.ANSWER: answered,
    LivePoint.REFUSAL: refused,
    LivePoint.LOSS: lost,
    LivePoint.CANCEL: cancelled,
    LivePoint.OPENING: connect,
    LivePoint.LOOKUP: looked_for,
    LivePoint.NOT_FOUND: not_found,
    LivePoint.FOUND: found,
    LivePoint.TRADE_BY_SYNC: traded_unheard,
    LivePoint.BETWEEN_TRADES_AND_FUNDING: traded_unheard,
    LivePoint.TOLD: told,
    LivePoint.TRADE: traded,
    LivePoint.END: ended,
    LivePoint.CATCH_UP: caught_up,
}
