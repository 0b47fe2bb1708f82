"""A new order's parameters as an order, with the exchange's complaints (binance-api.md §7)."""

from collections.abc import Mapping
from dataclasses import dataclass

from astrade.core.money import ZERO
from astrade.emulators.binance.orders import Order, ResponseType, SelfTradePrevention, TimeInForce, Type
from astrade.emulators.binance.parameters import Parameters
from astrade.emulators.binance.refusals import Code, Refused, invalid, missing
from trading.domain.lifecycle import Side

FIELDS = frozenset(
    {
        "symbol",
        "side",
        "type",
        "timeInForce",
        "quantity",
        "quoteOrderQty",
        "price",
        "stopPrice",
        "newClientOrderId",
        "newOrderRespType",
        "selfTradePreventionMode",
        "strategyId",
        "strategyType",
    }
)
SIDES: Mapping[str, Side] = {"BUY": Side.BUY, "SELL": Side.SELL}
STRATEGY_TYPE_MIN = 1_000_000
FULL_BY_DEFAULT = (Type.LIMIT, Type.MARKET)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A client's order without number and time."""

    order: Order
    response: ResponseType


def parse_order(parameters: Parameters, *, account_id: int, order_id: int, now_ms: int) -> OrderRequest:
    """Raises Refused for what has not the shape of an order; rules and balances are not looked at."""
    side, kind = _side(parameters), _type(parameters)
    _demand_fields(parameters, kind)
    time_in_force = parameters.choice("timeInForce", TimeInForce, Refused(Code.INVALID_TIF, "Invalid timeInForce."))
    prevention = parameters.choice("selfTradePreventionMode", SelfTradePrevention, invalid("selfTradePreventionMode"))
    response = parameters.choice("newOrderRespType", ResponseType, invalid("newOrderRespType"))
    order = Order(
        id=order_id,
        account_id=account_id,
        client_order_id=parameters.client_id("newClientOrderId") or f"made-{order_id}",
        symbol=parameters.needed("symbol"),
        side=side,
        type=kind,
        time_in_force=time_in_force or TimeInForce.GTC,
        quantity=parameters.decimal("quantity") or ZERO,
        quote_quantity=parameters.decimal("quoteOrderQty") or ZERO,
        price=parameters.decimal("price") or ZERO,
        stop_price=parameters.decimal("stopPrice") or ZERO,
        prevention=prevention or SelfTradePrevention.EXPIRE_MAKER,
        created_ms=now_ms,
        updated_ms=now_ms,
        strategy_id=parameters.number("strategyId"),
        strategy_type=_strategy_type(parameters),
    )
    return OrderRequest(order, response or (ResponseType.FULL if kind in FULL_BY_DEFAULT else ResponseType.ACK))


def _side(parameters: Parameters) -> Side:
    side = SIDES.get(parameters.needed("side"))
    if side is None:
        raise Refused(Code.INVALID_SIDE, "Invalid side.")
    return side


def _type(parameters: Parameters) -> Type:
    parameters.needed("type")
    kind = parameters.choice("type", Type, Refused(Code.INVALID_ORDER_TYPE, "Invalid orderType."))
    assert kind is not None
    return kind


def _demand_fields(parameters: Parameters, kind: Type) -> None:
    """What each type must have, and must not have."""
    needs = {"timeInForce": kind.has_time_in_force, "price": kind.has_price, "stopPrice": kind.waits}
    for name, is_needed in needs.items():
        if is_needed and name not in parameters:
            raise missing(name)
        if not is_needed and name in parameters:
            raise Refused(Code.PARAM_NOT_REQUIRED, f"Parameter '{name}' sent when not required.")
    in_quote = "quoteOrderQty" in parameters
    if in_quote and (kind is not Type.MARKET or "quantity" in parameters):
        raise Refused(Code.OPTIONAL_PARAMS_BAD_COMBO, "Combination of optional parameters invalid.")
    if not in_quote and "quantity" not in parameters:
        raise missing("quantity")


def _strategy_type(parameters: Parameters) -> int | None:
    number = parameters.number("strategyType")
    if number is not None and number < STRATEGY_TYPE_MIN:
        raise invalid("strategyType")
    return number
