"""The public endpoints (extended-api.md §5)."""

from astrade.core.money import plain
from astrade.emulators.extended import public_answers as answers
from astrade.emulators.extended.calls import PAGE_MAX, Answer, Call, Route
from astrade.emulators.extended.markets import COLLATERAL
from astrade.emulators.extended.modes import Mode
from astrade.emulators.extended.prices import INTERVALS_MS
from astrade.emulators.extended.refusals import Code, Refused, not_found
from astrade.emulators.extended.requests import invalid
from astrade.emulators.extended.tape import KINDS

CONTRACT = "0x1"  # of the settlement; the emulator has none
TRADES_SHOWN = 50
INTEREST_INTERVALS = ("PT1H", "P1H", "P1D", "PT24H")
INTEREST_ROWS_MAX = 300


def settings(call: Call) -> Answer:
    return Answer({"starkExContractAddress": CONTRACT})


def assets(call: Call) -> Answer:
    kind = call.text("type")
    bodies = [answers.collateral_body(), *map(answers.synthetic_body, call.exchange.instruments.values())]
    return Answer([body for body in bodies if kind in (None, body["type"])])


def asset_price(call: Call) -> Answer:
    name = call.path["asset"]
    if name == COLLATERAL:
        return Answer("1")
    market = next((m for m in call.exchange.prices.markets.values() if m.instrument.base == name), None)
    if market is None:
        raise not_found(Code.ASSET_NOT_FOUND, name)
    return Answer(plain(market.view.quote.index))


def markets(call: Call) -> Answer:
    exchange = call.exchange
    chosen = call.names("market") or exchange.instruments.keys()
    reduce_only = exchange.faults.is_on(Mode.MARKET_REDUCE_ONLY.value)
    found = [exchange.market(name) for name in exchange.instruments if name in chosen]
    if len(found) < len(chosen):
        raise not_found(Code.MARKET_NOT_FOUND)
    return Answer(
        [
            answers.market_body(
                market, interest=exchange.open_interest(market.instrument.name), is_reduce_only=reduce_only
            )
            for market in found
        ]
    )


def stats(call: Call) -> Answer:
    name = call.path["market"]
    return Answer(answers.stats_body(call.exchange.market(name), interest=call.exchange.open_interest(name)))


def order_book(call: Call) -> Answer:
    return Answer(answers.book_body(call.exchange.market(call.path["market"]).view.book))


def trades(call: Call) -> Answer:
    market = call.exchange.market(call.path["market"])
    newest_first = reversed(market.trades)
    return Answer(
        [answers.public_trade_body(trade) for trade, _ in zip(newest_first, range(TRADES_SHOWN), strict=False)]
    )


def candles(call: Call) -> Answer:
    market, kind = call.exchange.market(call.path["market"]), KINDS.get(call.path["type"])
    if kind is None:
        raise invalid("unknown candle type")
    interval_ms = INTERVALS_MS.get(call.text("interval") or "")
    if interval_ms is None:
        raise Refused(Code.NOT_SUPPORTED_INTERVAL)
    end_ms = call.number("endTime", call.exchange.now_ms())
    assert end_ms is not None
    bars = market.candles(
        kind, interval_ms=interval_ms, end_ms=end_ms, limit=min(call.needed_number("limit"), PAGE_MAX)
    )
    return Answer([answers.candle_body(bar, with_volume=kind == "trades") for bar in bars])


def funding(call: Call) -> Answer:
    name = call.path["market"]
    first, last = call.needed_number("startTime"), call.needed_number("endTime")
    cursor = call.number("cursor")
    rates = [
        rate
        for rate in reversed(call.exchange.market(name).rates)
        if first <= rate.at_ms <= last and (cursor is None or rate.at_ms < cursor)
    ][: call.limit(default=PAGE_MAX)]
    return Answer(
        [answers.rate_body(name, rate) for rate in rates],
        pagination={"cursor": rates[-1].at_ms if rates else None, "count": len(rates)},
    )


def open_interests(call: Call) -> Answer:
    name, interval = call.path["market"], call.text("interval") or ""
    first, last = call.needed_number("startTime"), call.needed_number("endTime")
    call.exchange.market(name)
    if interval not in INTEREST_INTERVALS:
        raise Refused(Code.NOT_SUPPORTED_INTERVAL)
    interval_ms = INTERVALS_MS["PT1H" if "H" in interval and "24" not in interval else "P1D"]
    samples = call.exchange.interest.of(name, interval_ms=interval_ms, first_ms=first, last_ms=last)
    limit = call.limit(default=INTEREST_ROWS_MAX, most=INTEREST_ROWS_MAX)
    return Answer([{"i": plain(s.value), "I": plain(s.quantity), "t": s.at_ms} for s in samples[:limit]])


ROUTES = tuple(
    Route("GET", path, handler, is_private=False)
    for path, handler in (
        ("/info/settings", settings),
        ("/info/assets", assets),
        ("/info/assets/{asset}/price", asset_price),
        ("/info/markets", markets),
        ("/info/markets/{market}/stats", stats),
        ("/info/markets/{market}/orderbook", order_book),
        ("/info/markets/{market}/trades", trades),
        ("/info/candles/{market}/{type}", candles),
        ("/info/{market}/funding", funding),
        ("/info/{market}/open-interests", open_interests),
    )
)
