"""Reading orders, trades and balances (binance-api.md §7)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from astrade.emulators.binance import answers
from astrade.emulators.binance.accounts import Trade
from astrade.emulators.binance.calls import Answer, Call, Route, Weight, reading
from astrade.emulators.binance.parameters import Parameters
from astrade.emulators.binance.refusals import Code, Refused, missing
from marketdata.timeframes import DAY_MS

T = TypeVar("T")
ROWS_DEFAULT, ROWS_MAX = 500, 1_000
TRADE_COMBINATIONS: Sequence[set[str]] = (
    set(),
    {"orderId"},
    {"startTime"},
    {"endTime"},
    {"fromId"},
    {"startTime", "endTime"},
    {"orderId", "fromId"},
)


def order(call: Call) -> Answer:
    parameters, symbol = call.parameters, _symbol(call)
    order_id, client_id = parameters.number("orderId"), parameters.text("origClientOrderId")
    if order_id is None and client_id is None:
        raise missing("origClientOrderId")
    found = call.account.find(symbol, order_id=order_id, client_order_id=client_id)
    if found is None or call.exchange.faults.hits("lookup_lag"):
        raise Refused(Code.NO_SUCH_ORDER, "Order does not exist.")
    return Answer(answers.order_body(found))


def open_orders(call: Call) -> Answer:
    symbol = _symbol(call) if "symbol" in call.parameters else None
    return Answer([answers.order_body(one) for one in call.account.open_orders(symbol)])


def all_orders(call: Call) -> Answer:
    """From an id on, in a stretch of time, or the newest."""
    symbol, first = _symbol(call), call.parameters.number("orderId")
    own = [one for one in call.account.orders.values() if one.symbol == symbol]
    if first is not None:
        found = [one for one in own if one.id >= first]
        return Answer([answers.order_body(one) for one in found[: _limit(call)]])
    return Answer([answers.order_body(one) for one in _page(call, own, at_ms=lambda one: one.created_ms)])


def own_trades(call: Call) -> Answer:
    parameters, symbol = call.parameters, _symbol(call)
    given = {name for name in ("orderId", "startTime", "endTime", "fromId") if name in parameters}
    if given not in TRADE_COMBINATIONS:
        raise Refused(Code.OPTIONAL_PARAMS_BAD_COMBO, "Combination of optional parameters invalid.")
    order_id, first = parameters.number("orderId"), parameters.number("fromId")
    own: list[Trade] = [
        trade
        for trade in call.account.trades
        if trade.order.symbol == symbol and order_id in (None, trade.order.id) and (first is None or trade.id >= first)
    ]
    if first is not None:
        return Answer([answers.trade_body(trade) for trade in own[: _limit(call)]])
    return Answer([answers.trade_body(trade) for trade in _page(call, own, at_ms=lambda trade: trade.at_ms)])


def account(call: Call) -> Answer:
    return Answer(answers.account_body(call.account, omit_zero=call.parameters.flag("omitZeroBalances")))


def commission(call: Call) -> Answer:
    return Answer(answers.commission_body(_symbol(call)))


def order_limits(call: Call) -> Answer:
    exchange = call.exchange
    counts = exchange.order_counts[call.account.id].counts(exchange.now_ms())
    bodies = exchange.limits.order_bodies()
    return Answer([body | {"count": count} for body, count in zip(bodies, counts, strict=True)])


def _page(call: Call, own: Sequence[T], *, at_ms: Callable[[T], int]) -> Sequence[T]:
    """The newest, or the oldest from a start on; ascending. Raises Refused -1127 for more than a day."""
    first, last = call.parameters.number("startTime"), call.parameters.number("endTime")
    if first is not None and last is not None and last - first > DAY_MS:
        text = "Lookup interval is too big. More than 24 hours between startTime and endTime."
        raise Refused(Code.MORE_THAN_XX_HOURS, text)
    found = [one for one in own if (first is None or at_ms(one) >= first) and (last is None or at_ms(one) <= last)]
    return found[: _limit(call)] if first is not None else found[-_limit(call) :]


def _limit(call: Call) -> int:
    return call.parameters.limit(default=ROWS_DEFAULT, most=ROWS_MAX)


def _symbol(call: Call) -> str:
    return call.exchange.market(call.parameters.needed("symbol")).symbol.name


def _open_weight(parameters: Parameters) -> int:
    return 6 if "symbol" in parameters else 80


def _trades_weight(parameters: Parameters) -> int:
    return 5 if "orderId" in parameters else 20


def _signed(path: str, handler: Callable[[Call], Answer], weight: Weight, reads: str, rpc: str) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        weight=weight,
        reads=reading(*reads.split()),
        is_signed=True,
        rpc=rpc,
    )


ROUTES = (
    _signed("/order", order, 4, "symbol orderId origClientOrderId", "order.status"),
    _signed("/openOrders", open_orders, _open_weight, "symbol", "openOrders.status"),
    _signed("/allOrders", all_orders, 20, "symbol orderId startTime endTime limit", "allOrders"),
    _signed("/myTrades", own_trades, _trades_weight, "symbol orderId startTime endTime fromId limit", "myTrades"),
    _signed("/account", account, 20, "omitZeroBalances", "account.status"),
    _signed("/account/commission", commission, 20, "symbol", "account.commission"),
    _signed("/rateLimit/order", order_limits, 40, "", "account.rateLimits.orders"),
)
