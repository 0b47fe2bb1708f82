"""Placing, cancelling and replacing (binance-api.md §7)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from astrade.emulators.binance import answers, filters
from astrade.emulators.binance.calls import Answer, Call, Route, reading
from astrade.emulators.binance.matching import DUPLICATE
from astrade.emulators.binance.orders import Order, Status
from astrade.emulators.binance.parameters import Parameters
from astrade.emulators.binance.refusals import Code, Refused, invalid, missing, order_rejected
from astrade.emulators.binance.requests import FIELDS, OrderRequest, parse_order

CLOSED = "Market is closed."
UNKNOWN_ORDER = "Unknown order sent."
RESTRICTED = "Order was not canceled due to cancel restrictions."
HALF_DONE, BOTH_FAILED = "Order cancel-replace partially failed.", "Order cancel-replace failed."
SUCCESS, FAILURE, NOT_ATTEMPTED = "SUCCESS", "FAILURE", "NOT_ATTEMPTED"
TOO_MANY_STATUS, HALF_STATUS, FAILED_STATUS = 429, 409, 400


class Restriction(StrEnum):
    ONLY_NEW = "ONLY_NEW"
    ONLY_PARTIALLY_FILLED = "ONLY_PARTIALLY_FILLED"

    @property
    def status(self) -> Status:
        return Status.NEW if self is Restriction.ONLY_NEW else Status.PARTIALLY_FILLED


class ReplaceMode(StrEnum):
    STOP_ON_FAILURE = "STOP_ON_FAILURE"
    ALLOW_FAILURE = "ALLOW_FAILURE"


class ExceededMode(StrEnum):
    DO_NOTHING = "DO_NOTHING"
    CANCEL_ONLY = "CANCEL_ONLY"


def place(call: Call) -> Answer:
    request = _checked(call)
    call.exchange.order_counts[call.account.id].admit(call.exchange.now_ms())
    return Answer(_enter(call, request), counts_order=True)


def test(call: Call) -> Answer:
    """Everything but the placing."""
    request = _checked(call)
    call.exchange.engine.demand_acceptable(call.account, request.order)
    if not call.parameters.flag("computeCommissionRates"):
        return Answer({})
    body = answers.commission_body(request.order.symbol)
    for kind in ("standard", "special", "tax"):
        body[f"{kind}CommissionForOrder"] = body.pop(f"{kind}Commission")
    return Answer({name: value for name, value in body.items() if name != "symbol"})


def cancel(call: Call) -> Answer:
    parameters = call.parameters
    restriction = _restriction(parameters)
    order_id, client_id = _named(parameters, "orderId", "origClientOrderId")
    cancel_id = parameters.client_id("newClientOrderId")
    return Answer(_cancel(call, order_id, client_id, cancel_id=cancel_id, restriction=restriction))


def cancel_all(call: Call) -> Answer:
    symbol = call.exchange.market(call.parameters.needed("symbol")).symbol.name
    orders = call.account.open_orders(symbol)
    if not orders:
        raise Refused(Code.CANCEL_REJECTED, UNKNOWN_ORDER)
    return Answer([_cancel(call, order.id, None, cancel_id=None, restriction=None) for order in orders])


def replace(call: Call) -> Answer:
    """Cancel one order and place another. Raises Refused with both results where one of them failed."""
    exchange, parameters = call.exchange, call.parameters
    parameters.needed("cancelReplaceMode")
    mode = parameters.choice("cancelReplaceMode", ReplaceMode, invalid("cancelReplaceMode"))
    on_limit = parameters.choice("orderRateLimitExceededMode", ExceededMode, invalid("orderRateLimitExceededMode"))
    order_id, client_id = _named(parameters, "cancelOrderId", "cancelOrigClientOrderId")
    restriction, cancel_id = _restriction(parameters), parameters.client_id("cancelNewClientOrderId")
    request, counts = _parsed(call), exchange.order_counts[call.account.id]
    if on_limit is not ExceededMode.CANCEL_ONLY:
        counts.admit(exchange.now_ms())

    def cancel_old() -> Any:
        return _cancel(call, order_id, client_id, cancel_id=cancel_id, restriction=restriction)

    def place_new() -> Any:
        _demand_allowed(call, request.order)
        counts.admit(exchange.now_ms())
        if exchange.faults.hits("replace_half_done"):
            raise order_rejected(CLOSED)
        return _enter(call, request)

    cancelled, old = _attempted(cancel_old)
    if cancelled == FAILURE and mode is ReplaceMode.STOP_ON_FAILURE:
        placed, new = NOT_ATTEMPTED, None
    else:
        placed, new = _attempted(place_new)
    return _both(cancelled, old, placed, new)


def _both(cancelled: str, old: Any, placed: str, new: Any) -> Answer:
    data = {"cancelResult": cancelled, "newOrderResult": placed, "cancelResponse": old, "newOrderResponse": new}
    if cancelled == placed == SUCCESS:
        return Answer(data, counts_order=True)
    if SUCCESS not in (cancelled, placed):
        raise Refused(Code.CANCEL_REPLACE_FAILED, BOTH_FAILED, status=FAILED_STATUS, data=data)
    is_limited = isinstance(new, dict) and new.get("code") == Code.TOO_MANY_ORDERS
    status = TOO_MANY_STATUS if is_limited else HALF_STATUS
    raise Refused(Code.CANCEL_REPLACE_HALF_DONE, HALF_DONE, status=status, data=data)


def _attempted(work: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return SUCCESS, work()
    except Refused as refusal:
        return FAILURE, refusal.body


def _parsed(call: Call) -> OrderRequest:
    exchange = call.exchange
    exchange.market(call.parameters.needed("symbol"))
    return parse_order(
        call.parameters, account_id=call.account.id, order_id=exchange.new_id(), now_ms=exchange.now_ms()
    )


def _checked(call: Call) -> OrderRequest:
    request = _parsed(call)
    _demand_allowed(call, request.order)
    return request


def _enter(call: Call, request: OrderRequest) -> Any:
    """Place an order that was checked; what became of it."""
    exchange, account, order = call.exchange, call.account, request.order
    known = len(account.trades)
    exchange.engine.demand_acceptable(account, order)
    exchange.order_counts[account.id].add(1, now_ms=exchange.now_ms())
    exchange.engine.place(account, order)
    return answers.placed_body(order, account.trades[known:], response=request.response, now_ms=exchange.now_ms())


def _demand_allowed(call: Call, order: Order) -> None:
    """The rules of the symbol, and names of open orders. Raises Refused."""
    exchange, account = call.exchange, call.account
    market = exchange.market(order.symbol)
    if exchange.faults.is_on("market_closed"):
        raise order_rejected(CLOSED)
    symbol, average, is_market = market.symbol, market.average_price(), not order.type.has_price
    for price in (order.price, order.stop_price):
        if price:
            filters.check_price(symbol, price)
    if order.quantity:
        filters.check_quantity(symbol, order.quantity, is_market=is_market)
    if order.type.has_price:
        filters.check_band(order.price, average=average)
    price = order.price if order.type.has_price else average
    filters.check_notional(order.quote_quantity or order.quantity * price, is_market=is_market)
    own = account.open_orders(symbol.name)
    stops = sum(other.type.waits for other in own)
    filters.check_number(open_orders=len(own), open_stops=stops, is_stop=order.type.waits)
    if any(other.client_order_id == order.client_order_id for other in own):
        raise order_rejected(DUPLICATE)


def _cancel(
    call: Call,
    order_id: int | None,
    client_id: str | None,
    *,
    cancel_id: str | None,
    restriction: Restriction | None,
) -> Any:
    exchange, account = call.exchange, call.account
    symbol = exchange.market(call.parameters.needed("symbol")).symbol.name
    open_ones = [
        order
        for order in account.open_orders(symbol)
        if order_id in (None, order.id) and client_id in (None, order.client_order_id)
    ]
    if not open_ones:
        raise Refused(Code.CANCEL_REJECTED, UNKNOWN_ORDER)
    order, name = open_ones[0], cancel_id or f"cancel-{exchange.new_id()}"
    if restriction is not None and order.status is not restriction.status:
        raise Refused(Code.CANCEL_REJECTED, RESTRICTED)
    if not exchange.engine.cancel(account, order, cancel_id=name):
        raise Refused(Code.CANCEL_REJECTED, UNKNOWN_ORDER)
    return answers.cancelled_body(order, cancel_id=name, now_ms=exchange.now_ms())


def _named(parameters: Parameters, by_id: str, by_client_id: str) -> tuple[int | None, str | None]:
    order_id, client_id = parameters.number(by_id), parameters.text(by_client_id)
    if order_id is None and client_id is None:
        raise missing(by_client_id)
    return order_id, client_id


def _restriction(parameters: Parameters) -> Restriction | None:
    refusal = Refused(Code.INVALID_CANCEL_RESTRICTIONS, "Invalid cancelRestrictions.")
    return parameters.choice("cancelRestrictions", Restriction, refusal)


def _test_weight(parameters: Parameters) -> int:
    return 20 if parameters.flag("computeCommissionRates") else 1


_CANCEL = reading("symbol", "orderId", "origClientOrderId", "newClientOrderId", "cancelRestrictions")
_REPLACE = FIELDS | reading(
    "cancelReplaceMode",
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelNewClientOrderId",
    "cancelRestrictions",
    "orderRateLimitExceededMode",
)
ROUTES = (
    Route(
        method="POST",
        path="/order",
        handler=place,
        weight=1,
        reads=FIELDS,
        is_signed=True,
        is_free=True,
        rpc="order.place",
    ),
    Route(
        method="POST",
        path="/order/test",
        handler=test,
        weight=_test_weight,
        reads=FIELDS | reading("computeCommissionRates"),
        is_signed=True,
        rpc="order.test",
    ),
    Route(
        method="DELETE",
        path="/order",
        handler=cancel,
        weight=1,
        reads=_CANCEL,
        is_signed=True,
        is_free=True,
        rpc="order.cancel",
    ),
    Route(
        method="DELETE",
        path="/openOrders",
        handler=cancel_all,
        weight=1,
        reads=reading("symbol"),
        is_signed=True,
        is_free=True,
        rpc="openOrders.cancelAll",
    ),
    Route(
        method="POST",
        path="/order/cancelReplace",
        handler=replace,
        weight=1,
        reads=_REPLACE,
        is_signed=True,
        is_free=True,
        rpc="order.cancelReplace",
    ),
)
