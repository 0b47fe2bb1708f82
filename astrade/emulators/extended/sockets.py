"""WebSocket v1: one stream a connection, named by its path (extended-api.md §9), and the faults of streams."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from astrade.emulators.connections import Connection, Heartbeat, Json
from astrade.emulators.extended import tape
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.prices import INTERVALS_MS
from astrade.emulators.hub import News, Topic

UNKNOWN_STATUS = "TRIGGERED"  # documented, and not in the SDK's enum

HEARTBEAT = Heartbeat(ping_every_s=15, pong_within_s=10)


class ExtendedConnection(Connection):
    """A connection to the exchange, with the one fault that is its own."""

    def __init__(self, exchange: Exchange, request: web.Request, heartbeat: Heartbeat) -> None:
        super().__init__(request, hub=exchange.hub, faults=exchange.faults, heartbeat=heartbeat)
        self.exchange = exchange

    def altered(self, news: News) -> News:
        return _with_unknown_status(news) if self.exchange.faults.hits("unknown_status") else news


class Stream(ExtendedConnection):
    """A v1 connection: its topics are those of its path, and what the client sends is ignored."""

    def envelope(self, news: News, seq: int) -> Json:
        kind: Json = {} if news.kind is None else {"type": news.kind}
        return kind | {"data": news.data, "ts": news.at_ms, "seq": seq}

    async def received(self, message: str) -> None:
        """Nothing is expected."""


def routes(exchange: Exchange, *, prefix: str, heartbeat: Heartbeat) -> list[web.RouteDef]:
    """The v1 paths; a market that is left out means all of them."""

    def stream(
        topics_of: Callable[[web.Request], list[Topic]],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if exchange.faults.hits("stream_refused"):
                raise web.HTTPServiceUnavailable
            connection = Stream(exchange, request, heartbeat)
            topics = topics_of(request)
            connection.listen(topics, first_of(exchange, topics))
            return await connection.serve()

        return handle

    paths = {
        "/orderbooks": stream(lambda r: _all(exchange, r, tape.TOP if r.query.get("depth") == "1" else tape.BOOK)),
        "/publicTrades": stream(lambda r: _all(exchange, r, tape.TRADES)),
        "/funding": stream(lambda r: _all(exchange, r, tape.FUNDING)),
        "/prices/mark": stream(lambda r: _all(exchange, r, tape.MARK)),
        "/prices/index": stream(lambda r: _all(exchange, r, tape.INDEX)),
    }
    listed = [web.get(prefix + path + end, handle) for path, handle in paths.items() for end in ("", "/{market}")]
    return [
        *listed,
        web.get(prefix + "/candles/{market}/{type}", stream(lambda r: [_candles(exchange, r)])),
        web.get(prefix + "/account", stream(lambda r: [_account(exchange, r)])),
    ]


def first_of(exchange: Exchange, topics: Sequence[Topic]) -> list[News]:
    """What a new listener of `topics` gets at once."""
    found: list[News] = []
    for topic in topics:
        if topic[0] == "account":
            found += exchange.first_news(exchange.accounts[int(topic[1])])
        else:
            found += tape.first_news(exchange.prices.markets[topic[1]], topic, now_ms=exchange.now_ms())
    return found


def _all(exchange: Exchange, request: web.Request, scope: str) -> list[Topic]:
    market = request.match_info.get("market")
    if market is not None and market not in exchange.instruments:
        raise web.HTTPNotFound
    return [(scope, name) for name in exchange.instruments if market in (None, name)]


def _candles(exchange: Exchange, request: web.Request) -> Topic:
    market, kind = request.match_info["market"], request.match_info["type"]
    interval = request.query.get("interval", "")
    if market not in exchange.instruments or kind not in tape.KINDS or interval not in INTERVALS_MS:
        raise web.HTTPNotFound
    return (tape.CANDLES, market, kind, interval)


def _account(exchange: Exchange, request: web.Request) -> Topic:
    account = exchange.account_of(request.headers.get("X-Api-Key"))
    if account is None:
        raise web.HTTPUnauthorized
    return ("account", str(account.id))


def _with_unknown_status(news: News) -> News:
    if news.kind != "ORDER":
        return news
    orders = [order | {"status": UNKNOWN_STATUS} for order in news.data["orders"]]
    return News(news.topic, news.kind, {"orders": orders}, news.at_ms, news.is_first)
