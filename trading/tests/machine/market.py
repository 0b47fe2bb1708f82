"""A market that the machine moves: prices in Redis as a feed leaves them, and the matcher's memory of what waits."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from astrade.core.clock import to_ms
from astrade.core.messages import BookSnapshot, TradeTick
from marketdata.frames import Tick
from marketdata.tape import Tape
from marketdata.tests.factories import levels, quote_of
from trading.domain.lifecycle import Side
from trading.domain.matching import reaches
from trading.domain.watching import Hit, WatchedOrders
from trading.lanes import Found
from trading.models import Fill
from trading.resting import OrderRow
from trading.tests.test_recorded_market import Pipe

TICK_SIZES = {"BTC-USD": 1, "ETH-USD": 1}
DEPTHS = (("0.7", "2.001", "60"), ("3", "0.05", "40"), ("0.003", "0.004", "0.005"))


@dataclass
class Street:
    """One market; prices are whole numbers around 100."""

    symbol: str
    middle: int = 100
    sequence: int = 0
    tape: Tape = field(init=False)
    watched: WatchedOrders = field(default_factory=WatchedOrders)
    reached: list[Found] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tape = Tape(self.symbol)

    def move(
        self,
        middle: int,
        *,
        half: int = 1,
        depth: int = 0,
        last: int = 0,
        traded: Iterable[tuple[int, str]] = (),
        at: datetime,
    ) -> None:
        """A new book of three levels a side around `middle`, a last price that is so far from it, and what was traded
        on the way to it; whatever that reaches waits to be booked.
        """
        self.sequence, self.middle, now_ms = self.sequence + 1, middle, to_ms(at)
        sizes = DEPTHS[depth]
        bids = tuple((str(middle - half - n), size) for n, size in enumerate(sizes))
        asks = tuple((str(middle + half + n), size) for n, size in enumerate(reversed(sizes)))
        for number, (price, quantity) in enumerate(traded, start=1):
            side = "sell" if price < middle else "buy"
            number += self.sequence * 10
            trade = TradeTick(self.symbol, number, side, Decimal(price), Decimal(quantity), at)  # type: ignore[arg-type]
            self.tape.take(trade, now_ms=now_ms)
        quote = quote_of(self.symbol, str(middle), at=at, last=str(middle + last), bid=bids[0][0], ask=asks[0][0])
        self.tape.take(quote, now_ms=now_ms)
        book = BookSnapshot(self.symbol, self.sequence, levels(*bids), levels(*asks), at)
        self.tape.take(book, now_ms=now_ms)
        pipe = Pipe()
        self.tape.queue(pipe, now_ms=now_ms)
        pipe.pipe.execute()
        self.tape.sent()
        self.ticks += pipe.ticks
        self._found(self.watched.take(pipe.ticks))

    def watch(self, rows: Iterable[OrderRow]) -> None:
        """Bring the matcher's memory up to these orders, which are all that live."""
        alive = {row.uuid: row for row in rows if row.symbol == self.symbol}
        for order in list(self.watched):
            if order.uuid not in alive:
                self.watched.remove(order.uuid)
        for row in alive.values():
            waiting = row.waiting()
            if waiting is not None and not self.watched.knows(waiting):
                hit = self.watched.add(waiting)
                self._found([hit] if hit else [])

    def was_reached(self, fill: Fill) -> bool:
        """Whether a tick since its order was admitted reached the price that a maker's fill was made at, or a trade was
        made at it.
        """
        order = fill.order
        wanted = _Wanted(Side(order.side), fill.price)
        later = [tick for tick in self.ticks if tick.sequence > order.admitted_sequence]
        return any(reaches(wanted, tick) or fill.price in (tick.low, tick.high) for tick in later)  # type: ignore[arg-type]

    def _found(self, hits: Iterable[Hit]) -> None:
        self.reached += [Found(self.symbol, hit, float(self.sequence)) for hit in hits]


@dataclass(frozen=True)
class _Wanted:
    side: Side
    price: Decimal
