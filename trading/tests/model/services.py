"""Plays a script on the real services and PostgreSQL, in the script's own time.

The services take their time from the database's clock under the account's lock, so the script's time is that clock's:
`virtual_clock` puts a `clock_timestamp()` before PostgreSQL's own that tells what it was set to. Prices go to Redis
through a tape, as the feed sends them; the tick that the tape tells of is held against the matcher's own memory of
waiting orders, and what it reaches is booked as the matcher's lanes book it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from accounts.models import User
from astrade.core.clock import to_ms
from astrade.core.errors import AstradeError
from astrade.core.messages import BookSnapshot, Quote, TradeTick
from astrade.core.roles import as_owner
from marketdata import live
from marketdata.selectors import market_by_symbol
from marketdata.tape import Tape
from marketdata.tests.factories import levels
from trading.domain.funding import Rate
from trading.domain.lifecycle import OrderRole, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.matching import Reached
from trading.domain.replacing import Changes
from trading.domain.simulator import noise, seed_of
from trading.domain.state import OrderRequest
from trading.domain.watching import Hit, WatchedOrders
from trading.loading import OrderRef
from trading.models import Order, Position
from trading.pipeline import run_together
from trading.resting import COLUMNS, OrderRow
from trading.services.accounts import set_leverage
from trading.services.bookings import present_board
from trading.services.due import expire_orders, fire_switch, set_switch
from trading.services.funding import settle_position
from trading.services.orders import cancel_order, cancel_orders, fill_resting_order, place_order
from trading.services.positions import close_position, protect_position
from trading.services.replacing import replace_order
from trading.services.triggers import trigger_order
from trading.tests.factories import AT, open_account, ref
from trading.tests.test_recorded_market import Pipe

Step = Mapping[str, Any]
CLOCK = """
CREATE SCHEMA virtual_time;
GRANT USAGE ON SCHEMA virtual_time TO PUBLIC;
CREATE FUNCTION virtual_time.clock_timestamp() RETURNS timestamptz LANGUAGE sql
  AS $$ SELECT current_setting('virtual_time.now')::timestamptz $$;
"""
READ = {"side": Side, "type": OrderType, "time_in_force": TimeInForce, "trigger_by": TriggerBy}
NUMBERS = ("quantity", "price", "trigger_price", "take_profit", "stop_loss")


@contextmanager
def virtual_clock() -> Iterator[None]:
    """Let this connection's database tell the script's time; call it outside a transaction."""
    with as_owner(connection), connection.cursor() as cursor:
        cursor.execute(CLOCK)
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = virtual_time, pg_catalog, public")
    try:
        yield
    finally:
        with as_owner(connection), connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA virtual_time CASCADE")


def set_clock(now: datetime) -> None:
    """What it tells."""
    run_together(("SELECT set_config('virtual_time.now', $1, false)", [now.isoformat()]))


class Services:
    """A script's accounts and markets, and one method for each kind of step."""

    def __init__(self, script: Mapping[str, Any]) -> None:
        self.seconds = 0
        set_clock(AT)
        self.accounts = [
            open_account(
                user=User.objects.create(email=f"{uuid4().hex}@example.com"),
                balance=fields["balance"],
                simulator=fields["simulator"],
                max_leverage=fields["max_leverage"],
                max_daily_loss=_decimal(fields.get("max_daily_loss")),
                max_daily_notional=_decimal(fields.get("max_daily_notional")),
            )
            for fields in script["accounts"]
        ]
        self.ids = [account.pk for account in self.accounts]
        self.markets = {symbol: market_by_symbol(symbol) for symbol in script["symbols"]}
        self.tapes = {symbol: Tape(symbol) for symbol in script["symbols"]}
        self.books = dict.fromkeys(script["symbols"], 0)
        self.best: dict[str, tuple[Decimal, Decimal]] = {}
        self.memory = {symbol: WatchedOrders() for symbol in script["symbols"]}
        self.reading = {symbol: self._orders_of(market.id) for symbol, market in self.markets.items()}
        self.noises = [partial(_noise, account.uuid) for account in self.accounts]
        self.changed = set(script["symbols"])  # markets of which the matcher's memory may be behind

    def _orders_of(self, market_id: int) -> Any:
        """SQL and parameters that read the matcher's columns of a market's orders, oldest first; compiled once."""
        orders = Order.objects.filter(account_id__in=self.ids, market_id=market_id).order_by("id")
        return orders.values_list(*COLUMNS).query.sql_with_params()

    @property
    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def play(self, step: Step) -> int | None:
        """One step; returns the code of the refusal, if it was one."""
        if step["do"] not in ("wait", "tick"):
            self.changed.update(self.markets)
        try:
            getattr(self, "do_" + step["do"])(step)
        except AstradeError as refusal:
            return refusal.code
        return None

    def _owner(self, step: Step) -> Any:
        return ref(self.accounts[step["account"]])

    def _later(self, seconds: int) -> None:
        self.seconds += seconds
        set_clock(self.now)

    def do_place(self, step: Step) -> None:
        asked = dict(step["order"])
        expires_in = asked.pop("expires_in", None)
        asked |= {name: READ[name](asked[name]) for name in READ.keys() & asked.keys()}
        asked |= {name: Decimal(asked[name]) for name in NUMBERS if name in asked}
        expires_at = None if expires_in is None else self.now + timedelta(seconds=expires_in)
        place_order(
            account=self._owner(step), symbol=step["symbol"], request=OrderRequest(**asked, expires_at=expires_at)
        )

    def do_cancel(self, step: Step) -> None:
        cancel_order(account=self._owner(step), order=OrderRef(number=step["number"]))

    def do_cancel_all(self, step: Step) -> None:
        side = Side(step["side"]) if "side" in step else None
        cancel_orders(account=self._owner(step), symbol=step.get("symbol"), side=side)

    def do_close(self, step: Step) -> None:
        close_position(account=self._owner(step), symbol=step["symbol"], quantity=_decimal(step.get("quantity")))

    def do_protect(self, step: Step) -> None:
        position = Position.objects.filter(
            account_id=self.ids[step["account"]], market_id=self.markets[step["symbol"]].id
        )
        uuid = position.values_list("uuid", flat=True).first() or UUID(int=0)
        wanted = {OrderRole(name): _decimal(price) for name, price in step["levels"].items()}
        protect_position(account=self._owner(step), position_uuid=uuid, wanted=wanted)

    def do_leverage(self, step: Step) -> None:
        set_leverage(account=self._owner(step), market=self.markets[step["symbol"]], leverage=step["leverage"])

    def do_replace(self, step: Step) -> None:
        changes = Changes(**{name: Decimal(text) for name, text in step["changes"].items()})
        order = OrderRef(number=step["number"])
        replace_order(account=self._owner(step), order=order, changes=changes, version=step.get("version"))

    def do_wait(self, step: Step) -> None:
        self._later(step["seconds"])

    def do_switch(self, step: Step) -> None:
        set_switch(account=self._owner(step), timeout_s=step["seconds"])

    def do_keep(self, step: Step) -> None:
        for work in (expire_orders, fire_switch):
            for account_id in self.ids:
                work(account_id)

    def do_fund(self, step: Step) -> None:
        hour = self.now - timedelta(seconds=step["ago"])
        market_id = self.markets[step["symbol"]].id
        rate = Rate(market_id=market_id, hour=hour, rate=Decimal(step["rate"]), mark=Decimal(step["mark"]))
        for account_id in self.ids:
            settle_position(account_id, rate=rate, board=present_board())

    def do_tick(self, step: Step) -> None:
        """The feed, then the matcher."""
        symbol = step["symbol"]
        late = self._remember(symbol) if symbol in self.changed else []
        self.changed.discard(symbol)
        self._later(step["after"])
        hits = self.memory[symbol].take(self._publish(symbol, step))
        for hit in (*late, *hits):
            self._book(symbol, hit)
            self.changed.add(symbol)

    def _remember(self, symbol: str) -> list[Hit]:
        """Tell the matcher's memory what became of the orders since; returns those that were reached already."""
        memory, late = self.memory[symbol], list[Hit]()
        with connection.cursor() as cursor:
            cursor.execute(*self.reading[symbol])
            rows = cursor.fetchall()
        for row in map(OrderRow._make, rows):
            waiting = row.waiting()
            if waiting is None:
                memory.remove(row.uuid)
            elif not memory.knows(waiting) and (hit := memory.add(waiting)):
                late.append(hit)
        return late

    def _publish(self, symbol: str, step: Step) -> list[Any]:
        """Put what a step tells of into Redis; returns the tick."""
        tape, now_ms = self.tapes[symbol], to_ms(self.now)
        for number, (side, price, quantity) in enumerate(step["trades"], start=1):
            tape.take(TradeTick(symbol, number, side, Decimal(price), Decimal(quantity), self.now), now_ms=now_ms)
        if "bids" in step:
            self.books[symbol] += 1
            bids, asks = levels(*map(tuple, step["bids"])), levels(*map(tuple, step["asks"]))
            tape.take(BookSnapshot(symbol, self.books[symbol], bids, asks, self.now), now_ms=now_ms)
            self.best[symbol] = bids[0][0], asks[0][0]
        bid, ask = self.best[symbol]
        for quote in step["quotes"]:
            prices = {name: Decimal(quote[name]) for name in ("last", "mark", "index")}
            tape.take(Quote(symbol, **prices, bid=bid, ask=ask, at=self.now), now_ms=now_ms)
        pipe = Pipe()
        tape.queue(pipe, now_ms=0)  # it is never time for candles
        pipe.pipe.execute()
        tape.sent()
        return list(pipe.ticks)

    def _book(self, symbol: str, hit: Hit) -> bool:
        """As a lane of the matcher does."""
        view, quotes = live.view_of(symbol)
        if isinstance(hit, Reached):
            order = hit.order
            return fill_resting_order(
                account_id=order.account_id,
                order_id=order.order_id,
                book=view.book,
                quotes=quotes,
                traded_through=hit.traded_through,
                admitted=(order.price, order.admitted_sequence),
                traded=hit.traded,
            )
        return trigger_order(
            account_id=hit.account_id,
            order_id=hit.order_id,
            view=view,
            quotes=quotes,
            admitted=(hit.trigger_price, hit.admitted_sequence),
        )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _noise(account: UUID, order: int, fills: int) -> Fraction:
    """Of a classic account's order: its seed is told, what follows from it is the model's business."""
    return Fraction(noise(seed_of(account, order, fills)))
