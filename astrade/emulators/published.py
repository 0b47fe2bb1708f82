"""The prices that an AsTrade on the same Redis publishes, as the exchange's feed: both see one market."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from astrade.core.clock import from_ms
from astrade.core.messages import BookSnapshot, FundingUpdate, Message, Quote, TradeTick
from astrade.core.redis import Command, ask, redis_errors
from marketdata import frames, keys
from marketdata.models import PriceSource

TRADES_AT_ONCE = 50


class PublishedFeed:
    """A `SteppedFeed`: each step is what was published since the one before, nothing while Redis is away."""

    name = "published"
    source = PriceSource.LIVE

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self._quotes: dict[str, Quote] = {}
        self._sequences: dict[str, int] = {}
        self._trades: dict[str, int] = {}
        self._funding: dict[str, FundingUpdate] = {}

    def first_prices(self) -> Mapping[str, Decimal]:
        """The last price of each market that has one by now."""
        return {symbol: quote.last for symbol, quote in self._quotes.items()}

    def step(self, now_us: int) -> Sequence[Message]:
        """Everything new, market by market; blocks for one round trip."""
        commands: list[Command] = [("HGETALL", keys.QUOTES)]
        for symbol in self.symbols:
            commands += [("GET", keys.book(symbol)), ("LRANGE", keys.trades(symbol), 0, TRADES_AT_ONCE - 1)]
        try:
            quotes, *rest = ask(*commands)
        except redis_errors:
            return []
        return [
            message
            for number, symbol in enumerate(self.symbols)
            if (quote := quotes.get(symbol.encode())) is not None and rest[2 * number] is not None
            for message in self._news(symbol, quote, book=rest[2 * number], trades=rest[2 * number + 1])
        ]

    def _news(self, symbol: str, raw: bytes, *, book: bytes, trades: Sequence[bytes]) -> Iterator[Message]:
        yield from self._new_trades(symbol, trades)
        quote, value = frames.decode_quote(symbol, raw)
        if quote != self._quotes.get(symbol):
            self._quotes[symbol] = quote
            yield quote
        snapshot: BookSnapshot = frames.decode_book(book)
        if snapshot.sequence != self._sequences.get(symbol):
            self._sequences[symbol] = snapshot.sequence
            yield snapshot
        if value.next_funding_at is not None:
            funding = FundingUpdate(symbol, value.funding_rate, from_ms(value.next_funding_at))
            if funding != self._funding.get(symbol):
                self._funding[symbol] = funding
                yield funding

    def _new_trades(self, symbol: str, raw: Sequence[bytes]) -> list[TradeTick]:
        """Oldest first; at the first look there are none, for nobody knows when the last ones were."""
        trades = [frames.decode_trade(symbol, one) for one in raw]
        last = self._trades.get(symbol)
        self._trades[symbol] = trades[0].trade_id if trades else 0
        return [trade for trade in reversed(trades) if last is not None and trade.trade_id > last]
