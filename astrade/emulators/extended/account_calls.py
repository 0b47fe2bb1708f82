"""The private reads, and leverage (extended-api.md §6)."""

from decimal import Decimal

from astrade.core.money import ZERO, plain
from astrade.emulators.extended import answers
from astrade.emulators.extended.accounts import Account, margin_of
from astrade.emulators.extended.calls import Answer, Call, Route, page
from astrade.emulators.extended.checks import Situation
from astrade.emulators.extended.markets import Instrument, decimals_of
from astrade.emulators.extended.orders import Order
from astrade.emulators.extended.refusals import Code, Refused, not_found
from astrade.emulators.extended.requests import decimal, mapping, text

LEVERAGE_DECIMALS = 2
OPERATIONS_PAGE = 50
TIE_BITS = 22


def client(call: Call) -> Answer:
    return Answer(answers.client_body(call.account))


def accounts(call: Call) -> Answer:
    own = [a for a in call.exchange.accounts.values() if a.client_id == call.account.client_id]
    return Answer([answers.account_body(account) for account in own])


def account(call: Call) -> Answer:
    return Answer(answers.account_body(call.account))


def balance(call: Call) -> Answer:
    if not call.account.balance:
        raise not_found(Code.ACCOUNT_NOT_FOUND, "the balance is 0")
    return Answer(call.exchange.balance_body(call.account))


def spot_balances(call: Call) -> Answer:
    return Answer([])  # the emulator has no spot assets besides the collateral


def positions(call: Call) -> Answer:
    chosen, side = call.names("market"), call.text("side")
    held = [
        position
        for position in call.account.positions.values()
        if (not chosen or position.market in chosen) and side in (None, answers.held_side(position.side))
    ]
    return Answer([call.exchange.position_body(call.account, position) for position in held])


def positions_history(call: Call) -> Answer:
    chosen, side = call.names("market"), call.text("side")
    rows = [
        position
        for position in (*call.account.past_positions, *call.account.positions.values())
        if (not chosen or position.market in chosen) and side in (None, answers.held_side(position.side))
    ]
    return page(
        rows,
        call,
        key=lambda position: position.id,
        body=lambda position: answers.past_position_body(position, call.account),
    )


def leverage(call: Call) -> Answer:
    chosen = call.names("market")
    return Answer(
        [
            _leverage_body(call.account, instrument)
            for name, instrument in call.exchange.instruments.items()
            if not chosen or name in chosen
        ]
    )


def set_leverage(call: Call) -> Answer:
    fields = mapping(call.body, "the body")
    market = call.exchange.market(text(fields, "market"))
    wanted, situation = decimal(fields, "leverage"), call.exchange.situation(call.account, market)
    _check_leverage(wanted, situation)
    if call.exchange.faults.hits("leverage_refused"):
        raise Refused(Code.INVALID_LEVERAGE_INSUFFICIENT_MARGIN)
    call.account.leverage[market.instrument.name] = wanted
    return Answer(
        _leverage_body(call.account, market.instrument), after=lambda: call.exchange.tell_balance(call.account)
    )


def fees(call: Call) -> Answer:
    chosen = call.names("market")
    return Answer(
        [
            {
                "market": name,
                "makerFeeRate": plain(instrument.rules.maker_fee_rate),
                "takerFeeRate": plain(instrument.rules.taker_fee_rate),
                "builderFeeRate": "0",
            }
            for name, instrument in call.exchange.instruments.items()
            if not chosen or name in chosen
        ]
    )


def open_orders(call: Call) -> Answer:
    return Answer([answers.order_body(order) for order in call.account.open_orders() if _is_chosen(order, call)])


def orders_history(call: Call) -> Answer:
    wanted, external_ids = call.names("id"), call.names("externalId")
    rows = [
        order
        for order in call.account.orders.values()
        if order.is_acknowledged
        and not order.status.is_open
        and _is_chosen(order, call)
        and (not wanted or str(order.id) in wanted)
        and (not external_ids or order.external_id in external_ids)
    ]
    if call.text("sort") == "UPDATED_AT":
        return page(rows, call, key=_by_update, body=answers.order_body)
    return page(rows, call, key=lambda order: order.id, body=answers.order_body)


def order_by_id(call: Call) -> Answer:
    found = [order for order in _visible(call) if str(order.id) == call.path["id"]]
    if not found:
        raise not_found(Code.EDIT_ORDER_NOT_FOUND)
    return Answer(answers.order_body(found[0]))


def orders_by_external_id(call: Call) -> Answer:
    found = [order for order in _visible(call) if order.external_id == call.path["external_id"]]
    return Answer([answers.order_body(order) for order in found])


def trades(call: Call) -> Answer:
    chosen, kind, side = call.names("market"), call.text("type"), call.text("side")
    rows = [
        trade
        for trade in call.account.trades
        if (not chosen or trade.order.market in chosen)
        and kind in (None, trade.type)
        and side in (None, answers.side_name(trade.order.side))
    ]
    return page(rows, call, key=lambda trade: trade.id, body=answers.trade_body)


def funding_history(call: Call) -> Answer:
    chosen, side = call.names("market"), call.text("side")
    first = call.number("fromTime", call.number("startTime", 0)) or 0
    rows = [
        payment
        for payment in call.account.payments
        if (not chosen or payment.market in chosen)
        and side in (None, answers.held_side(payment.side))
        and payment.at_ms >= first
    ]
    return page(rows, call, key=lambda row: row.id, body=lambda row: answers.payment_body(row, call.account))


def asset_operations(call: Call) -> Answer:
    wanted, types, statuses = call.names("id"), call.names("type"), call.names("status")
    first, last = call.number("startTime", 0) or 0, call.number("endTime")
    rows = [
        operation
        for operation in call.account.operations
        if (not wanted or str(operation.id) in wanted)
        and (not types or operation.type in types)
        and (not statuses or operation.status in statuses)
        and first <= operation.at_ms
        and (last is None or operation.at_ms <= last)
    ]
    return page(
        rows,
        call,
        key=lambda row: row.id,
        body=lambda row: answers.operation_body(row, call.account),
        default=OPERATIONS_PAGE,
    )


def _by_update(order: Order) -> int:
    """Sorts by the last change, and tells orders of the same millisecond apart."""
    return order.updated_ms << TIE_BITS | order.id % (1 << TIE_BITS)


def _visible(call: Call) -> list[Order]:
    if call.exchange.faults.hits("lookup_lag"):
        return []
    return [order for order in call.account.orders.values() if order.is_acknowledged]


def _is_chosen(order: Order, call: Call) -> bool:
    chosen, kind, side = call.names("market"), call.text("type"), call.text("side")
    return (
        (not chosen or order.market in chosen)
        and kind in (None, order.type)
        and side in (None, answers.side_name(order.side))
    )


def _leverage_body(account: Account, instrument: Instrument) -> answers.Json:
    return {"market": instrument.name, "leverage": plain(account.leverage_on(instrument))}


def _check_leverage(wanted: Decimal, situation: Situation) -> None:
    account, instrument = situation.account, situation.instrument
    if wanted < 1:
        raise Refused(Code.INVALID_LEVERAGE_BELOW_MIN_LEVERAGE)
    if wanted > instrument.rules.max_leverage:
        raise Refused(Code.INVALID_LEVERAGE_EXCEEDS_MAX_LEVERAGE)
    if decimals_of(wanted) > LEVERAGE_DECIMALS:
        raise Refused(Code.INVALID_LEVERAGE_INVALID_PRECISION)
    exposure = abs(account.held(instrument.name)) * situation.mark
    pending = sum((o.remaining * o.price for o in account.open_orders(instrument.name) if o.binds_margin), ZERO)
    if exposure + pending > instrument.max_value_at(wanted):
        raise Refused(Code.INVALID_LEVERAGE_MAX_POSITION_VALUE_EXCEEDED)
    before = margin_of(account, situation.instruments, situation.quotes)
    added = (exposure + pending) / wanted - (exposure + pending) / account.leverage_on(instrument)
    if added > max(ZERO, before.available):
        raise Refused(Code.INVALID_LEVERAGE_INSUFFICIENT_MARGIN)


ROUTES = tuple(
    Route(method, path, handler)
    for method, path, handler in (
        ("GET", "/user/client/info", client),
        ("GET", "/user/accounts", accounts),
        ("GET", "/user/account/info", account),
        ("GET", "/user/balance", balance),
        ("GET", "/user/spot/balances", spot_balances),
        ("GET", "/user/positions", positions),
        ("GET", "/user/positions/history", positions_history),
        ("GET", "/user/leverage", leverage),
        ("PATCH", "/user/leverage", set_leverage),
        ("GET", "/user/fees", fees),
        ("GET", "/user/orders", open_orders),
        ("GET", "/user/orders/history", orders_history),
        ("GET", "/user/orders/{id}", order_by_id),
        ("GET", "/user/orders/external/{external_id}", orders_by_external_id),
        ("GET", "/user/trades", trades),
        ("GET", "/user/funding/history", funding_history),
        ("GET", "/user/assetOperations", asset_operations),
    )
)
