"""What `POST /user/order` is held against, each rule with its number (extended-api.md §4, §7.1, §7.2).

Parameters first, then the signatures, then what depends on the account. Whether the numbers come in this order at the
exchange is not known; that each is given for its own fault alone is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from astrade.core.messages import Quote
from astrade.core.money import is_multiple
from astrade.emulators.extended.accounts import Account, margin_of, open_orders_of
from astrade.emulators.extended.markets import OPEN_ORDERS_MAX, Instrument, decimals_of
from astrade.emulators.extended.modes import Mode
from astrade.emulators.extended.orders import Execution, Leg, Order, TimeInForce, TpslType, Type
from astrade.emulators.extended.refusals import Code, Refused
from astrade.emulators.extended.requests import OrderRequest, invalid
from astrade.emulators.extended.settlement import check_order_signatures
from marketdata.timeframes import DAY_MS
from trading.domain.lifecycle import Side
from trading.domain.margin import initial_margin

EXPIRY_MAX_MS = 28 * DAY_MS  # of the testnet
MARKET_BAND = Decimal("0.05")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What an order meets: its account and market, all markets' prices, the time and the exchange's mode."""

    account: Account
    instrument: Instrument
    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    now_ms: int
    modes: frozenset[Mode] = frozenset()

    @property
    def mark(self) -> Decimal:
        return self.quotes[self.instrument.name].mark


def check_order(request: OrderRequest, situation: Situation) -> None:
    """Raises Refused with the number of the first rule that is broken."""
    if request.external_id in situation.account.by_external_id:
        raise Refused(Code.DUPLICATE_ORDER)
    _check_modes(request, situation)
    _check_kind(request)
    _check_expiry(request, situation)
    _check_fee(request, situation)
    if request.type is not Type.TPSL or request.quantity:
        _check_quantity(request.quantity, situation.instrument)
    if request.type is not Type.TPSL:
        _check_price(request.price, situation.instrument)
        _check_value(request, situation.instrument)
        _check_band(request, situation)
    _check_legs(request, situation)
    check_order_signatures(request, account=situation.account, instrument=situation.instrument)
    _check_replaced(request, situation)
    _check_count(request, situation)
    if request.reduce_only:
        check_reduction(request.side, request.quantity, situation)
    elif request.trigger is None:  # what waits for its trigger binds nothing until then
        check_margin(request.side, request.quantity, request.price, situation, without=request.replaces)


def check_reduction(side: Side, quantity: Decimal, situation: Situation) -> None:
    """Raises Refused 1136 to 1138 unless the position is there, on the other side and large enough."""
    held = situation.account.held(situation.instrument.name)
    if not held:
        raise Refused(Code.REDUCE_ONLY_ORDER_POSITION_IS_MISSING)
    if held * side.sign > 0:
        raise Refused(Code.REDUCE_ONLY_ORDER_POSITION_SAME_SIDE)
    if quantity > abs(held):
        raise Refused(Code.REDUCE_ONLY_ORDER_SIZE_EXCEEDS_POSITION_SIZE)


def check_margin(
    side: Side, quantity: Decimal, price: Decimal, situation: Situation, *, without: str | None = None
) -> None:
    """Raises Refused 1127, 1140 or 1147; `without` names an order that goes when this one comes."""
    account, instrument, mark = situation.account, situation.instrument, situation.mark
    leverage = account.leverage_on(instrument)
    exposure, value = account.held(instrument.name) * mark, quantity * price
    others = [order for order in account.open_orders(instrument.name) if order.external_id != without]
    before = open_orders_of(account.open_orders(instrument.name))
    after = open_orders_of(others)
    if side is Side.BUY:
        after.buy_notional += value
    else:
        after.sell_notional += value
    worst = initial_margin(exposure=exposure, orders=after, leverage=1)
    added = worst - initial_margin(exposure=exposure, orders=before, leverage=1)
    if added > 0 and worst > instrument.max_value_at(leverage):
        raise Refused(Code.MAX_POSITION_VALUE_EXCEEDED, f"{worst} at leverage {leverage}")
    summary = margin_of(account, situation.instruments, situation.quotes)
    if added > 0 and added / leverage > summary.available:
        raise Refused(Code.ORDER_COST_EXCEEDS_BALANCE, f"{added / leverage} of {summary.available}")
    if added > 0 and quantity * side.sign * (price - mark) > summary.equity:
        raise Refused(Code.OPEN_LOSS_EXCEEDS_EQUITY)


def _check_modes(request: OrderRequest, situation: Situation) -> None:
    if Mode.MAINTENANCE in situation.modes:
        raise Refused(Code.MAINTENANCE_MODE)
    if Mode.POST_ONLY in situation.modes and not request.post_only:
        raise Refused(Code.POST_ONLY_MODE)
    if Mode.REDUCE_ONLY in situation.modes and not request.reduce_only:
        raise Refused(Code.REDUCE_ONLY_MODE)
    if Mode.MARKET_DISABLED in situation.modes:
        raise Refused(Code.MARKET_DISABLED)
    if Mode.MARKET_REDUCE_ONLY in situation.modes and not request.reduce_only:
        raise Refused(Code.MARKET_REDUCE_ONLY)


def _check_kind(request: OrderRequest) -> None:
    if request.type is Type.MARKET and request.time_in_force is not TimeInForce.IOC:
        raise Refused(Code.MARKET_ORDER_MUST_BE_IOC)
    if request.post_only and request.time_in_force is TimeInForce.IOC:
        raise invalid("an IOC order can't be post-only")
    if request.time_in_force is TimeInForce.TOB and not request.post_only:
        raise invalid("TOB demands post-only")
    if (request.type is Type.CONDITIONAL) != (request.trigger is not None):
        if request.trigger is None:
            raise Refused(Code.MISSING_CONDITIONAL_TRIGGER)
        raise invalid("only a conditional order has a trigger")
    if request.post_only and request.trigger and request.trigger.execution is Execution.MARKET:
        raise Refused(Code.POST_ONLY_CANT_BE_ON_CONDITIONAL_MARKET_ORDER)
    if (request.type is Type.TPSL) != (request.settlement is None):
        raise invalid("settlement is for every order but a stand-alone TP/SL")
    if request.legs and request.tpsl_type is None:
        raise invalid("tpSlType is missing")
    if request.type is Type.TPSL:
        _check_tpsl(request)


def _check_tpsl(request: OrderRequest) -> None:
    if not request.legs:
        raise Refused(Code.MISSING_TPSL_TRIGGER)
    if not request.reduce_only:
        raise Refused(Code.NON_REDUCE_ONLY_ORDERS_NOT_ALLOWED)
    if request.post_only or request.price:
        raise invalid("a TP/SL is not post-only and has no price of its own")
    if (request.tpsl_type is TpslType.POSITION) != (request.quantity == 0):
        raise Refused(Code.INVALID_POSITION_TPSL_QTY)


def _check_expiry(request: OrderRequest, situation: Situation) -> None:
    if not situation.now_ms < request.expires_ms <= situation.now_ms + EXPIRY_MAX_MS:
        raise Refused(Code.INVALID_ORDER_EXPIRATION)


def _check_fee(request: OrderRequest, situation: Situation) -> None:
    rules = situation.instrument.rules
    least = rules.maker_fee_rate if request.post_only else rules.taker_fee_rate
    if not least <= request.fee_rate < 1 or not 0 <= request.builder_rate < 1:
        raise Refused(Code.INVALID_TRADING_FEES, f"at least {least}")


def _check_quantity(quantity: Decimal, instrument: Instrument) -> None:
    rules = instrument.rules
    if decimals_of(quantity) > decimals_of(rules.step_size):
        raise Refused(Code.INVALID_QTY_PRECISION)
    if quantity < rules.min_quantity:
        raise Refused(Code.ORDER_QTY_LESS_THAN_MIN_TRADE_SIZE)
    if not is_multiple(quantity, of=rules.step_size):
        raise Refused(Code.INVALID_QTY_WRONG_SIZE_INCREMENT)


def _check_price(price: Decimal, instrument: Instrument) -> None:
    tick = instrument.rules.tick_size
    if decimals_of(price) > decimals_of(tick):
        raise Refused(Code.INVALID_PRICE_PRECISION)
    if price <= 0 or not is_multiple(price, of=tick):
        raise Refused(Code.INVALID_PRICE_WRONG_PRICE_MOVEMENT)


def _check_value(request: OrderRequest, instrument: Instrument) -> None:
    most = instrument.max_market_value if request.type is Type.MARKET else instrument.max_limit_value
    if request.quantity * request.price > most:
        raise Refused(Code.ORDER_VALUE_EXCEEDS_MAX_ORDER_VALUE, f"at most {most}")


def _check_band(request: OrderRequest, situation: Situation) -> None:
    band = MARKET_BAND if request.type is Type.MARKET else situation.instrument.rules.price_band
    around = request.trigger.price if request.trigger else situation.mark
    _hold_to_band(request.side, request.price, around=around, band=band)


def _check_legs(request: OrderRequest, situation: Situation) -> None:
    band = situation.instrument.rules.price_band
    for asked in request.legs:
        _check_price(asked.leg.price, situation.instrument)
        _check_price(asked.leg.trigger.price, situation.instrument)
        _hold_to_band(request.leg_side, asked.leg.price, around=asked.leg.trigger.price, band=band)
    if request.type is Type.TPSL:
        return
    sign = request.side.sign
    for leg, direction in ((request.take_profit, sign), (request.stop_loss, -sign)):
        if leg is not None and (leg.leg.trigger.price - request.price) * direction <= 0:
            raise invalid("a leg's trigger lies on the wrong side of the price")
    if request.stop_loss is not None and request.tpsl_type is TpslType.ORDER:
        _check_leg_loss(request, request.stop_loss.leg, situation)


def _check_leg_loss(request: OrderRequest, leg: Leg, situation: Situation) -> None:
    loss = request.quantity * request.side.sign * (request.price - leg.price)
    summary = margin_of(situation.account, situation.instruments, situation.quotes)
    if loss > summary.equity:
        raise Refused(Code.TPSL_OPEN_LOSS_EXCEEDS_EQUITY)


def _hold_to_band(side: Side, price: Decimal, *, around: Decimal, band: Decimal) -> None:
    worst = around * (1 + side.sign * band)
    if (price - worst) * side.sign > 0:
        raise Refused(Code.INVALID_PRICE_AMOUNT, f"beyond {worst}")


def _check_replaced(request: OrderRequest, situation: Situation) -> None:
    if request.replaces is None:
        return
    order = _open_order(situation.account, request.replaces)
    if order is None or order.market != request.market:
        raise Refused(Code.EDIT_ORDER_NOT_FOUND)


def _check_count(request: OrderRequest, situation: Situation) -> None:
    open_now = len(situation.account.open_orders(request.market)) - (request.replaces is not None)
    if open_now >= OPEN_ORDERS_MAX:
        raise Refused(Code.MAX_OPEN_ORDERS_NUMBER_EXCEEDED)


def _open_order(account: Account, external_id: str) -> Order | None:
    order = account.by_external_id.get(external_id)
    return order if order is not None and order.is_acknowledged and order.status.is_open else None
