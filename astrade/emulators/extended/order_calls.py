"""Placing and cancelling (extended-api.md §7.1, §7.3): answered first, decided by the engine after."""

from collections.abc import Callable, Iterable
from typing import Any

from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.calls import Answer, Call, Route
from astrade.emulators.extended.checks import check_order
from astrade.emulators.extended.orders import Leg, Order
from astrade.emulators.extended.refusals import Code, Refused, not_found
from astrade.emulators.extended.requests import LegRequest, OrderRequest, invalid, mapping, parse_order

MS = 1_000


def place(call: Call) -> Answer:
    request, account, exchange = parse_order(call.body), call.account, call.exchange
    market = exchange.market(request.market)
    if exchange.faults.hits("error_in_200"):
        raise Refused(Code.UNHANDLED_ERROR, status=200)
    check_order(request, exchange.situation(account, market))
    order = _order(request, account, order_id=exchange.new_id(), now_ms=exchange.now_ms())
    account.add_order(order)
    if exchange.faults.hits("fill_overtakes_ack"):
        exchange.engine.enter(account, order)
    answer = {"id": order.id, "externalId": order.external_id}
    return Answer(answer, after=lambda: exchange.engine.enter(account, order))


def cancel(call: Call) -> Answer:
    found = [order for order in call.account.open_orders() if str(order.id) == call.path["id"]]
    return Answer(after=_cancelling(call, _one(found)))


def cancel_by_external_id(call: Call) -> Answer:
    external_id = call.text("externalId")
    if not external_id:
        raise invalid("externalId is missing")
    found = [order for order in call.account.open_orders() if order.external_id == external_id]
    return Answer(after=_cancelling(call, _one(found)))


def mass_cancel(call: Call) -> Answer:
    """Any of the named orders or markets; `cancelAll` with markets means all in these."""
    fields = mapping(call.body, "the body")
    ids = {str(value) for value in _values(fields, "orderIds")}
    external_ids, markets = set(_values(fields, "externalOrderIds")), set(_values(fields, "markets"))
    everything = fields.get("cancelAll") is True and not markets
    if not (ids or external_ids or markets or everything):
        raise invalid("nothing to cancel is named")
    chosen = [
        order
        for order in call.account.open_orders()
        if everything or str(order.id) in ids or order.external_id in external_ids or order.market in markets
    ]
    return Answer({}, after=_cancelling(call, chosen))


def dead_mans_switch(call: Call) -> Answer:
    seconds = call.needed_number("countdownTime")
    call.account.switch_fires_ms = call.exchange.now_ms() + seconds * MS if seconds else None
    return Answer("")


def _cancelling(call: Call, orders: Iterable[Order]) -> Callable[[], None]:
    def work() -> None:
        for order in orders:
            call.exchange.engine.cancel(call.account, order)

    return work


def _one(found: list[Order]) -> list[Order]:
    if not found:
        raise not_found(Code.EDIT_ORDER_NOT_FOUND)
    return found


def _values(fields: Any, name: str) -> list[Any]:
    values = fields.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str | int) for value in values):
        raise invalid(f"{name} is not a list")
    return values


def _order(request: OrderRequest, account: Account, *, order_id: int, now_ms: int) -> Order:
    return Order(
        id=order_id,
        account_id=account.id,
        external_id=request.external_id,
        market=request.market,
        type=request.type,
        side=request.side,
        time_in_force=request.time_in_force,
        quantity=request.quantity,
        price=request.price,
        reduce_only=request.reduce_only,
        post_only=request.post_only,
        fee_rate=request.fee_rate,
        expires_ms=request.expires_ms,
        created_ms=now_ms,
        updated_ms=now_ms,
        builder_rate=request.builder_rate,
        trigger=request.trigger,
        tpsl_type=request.tpsl_type,
        take_profit=_leg(request.take_profit),
        stop_loss=_leg(request.stop_loss),
        replaces=request.replaces,
    )


def _leg(asked: LegRequest | None) -> Leg | None:
    return None if asked is None else asked.leg


ROUTES = (
    Route("POST", "/user/order", place),
    Route("DELETE", "/user/order/{id}", cancel),
    Route("DELETE", "/user/order", cancel_by_external_id),
    Route("POST", "/user/order/massCancel", mass_cancel),
    Route("POST", "/user/deadmanswitch", dead_mans_switch),
)
