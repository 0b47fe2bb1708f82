"""The body of `POST /user/order` as values (extended-api.md §7.1): the shape only, its sense is for `checks`."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from astrade.core.money import ZERO
from astrade.emulators.extended.orders import (
    Direction,
    Execution,
    Leg,
    SelfTradeProtection,
    TimeInForce,
    TpslType,
    Trigger,
    TriggerPrice,
    Type,
)
from astrade.emulators.extended.refusals import Code, Refused
from astrade.venues.extended.signing import Signature
from trading.domain.lifecycle import Side

E = TypeVar("E", bound=StrEnum)
Body = Mapping[str, Any]
DIGITS_MAX = 20  # before or after the point; more is no amount
EXTERNAL_ID_MAX = 128


@dataclass(frozen=True, slots=True)
class Settlement:
    """A signature with the key and the vault it is given for."""

    signature: Signature
    stark_key: int
    vault: int


@dataclass(frozen=True, slots=True)
class LegRequest:
    """A take profit or stop loss, signed on its own."""

    leg: Leg
    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What a client asked for."""

    external_id: str
    market: str
    type: Type
    side: Side
    quantity: Decimal
    price: Decimal
    time_in_force: TimeInForce
    expires_ms: int
    fee_rate: Decimal
    nonce: int
    reduce_only: bool
    post_only: bool
    replaces: str | None
    settlement: Settlement | None
    trigger: Trigger | None
    tpsl_type: TpslType | None
    take_profit: LegRequest | None
    stop_loss: LegRequest | None
    builder_rate: Decimal
    builder_id: int | None

    @property
    def legs(self) -> tuple[LegRequest, ...]:
        return tuple(leg for leg in (self.take_profit, self.stop_loss) if leg is not None)

    @property
    def leg_side(self) -> Side:
        """Side of the legs: a stand-alone TP/SL names it, an entry's legs close the entry."""
        return self.side if self.type is Type.TPSL else self.side.opposite


def parse_order(body: object) -> OrderRequest:
    """Raises Refused 1133 for what has not the shape of an order, and the number of its own for what is missing."""
    fields = mapping(body, "the body")
    if fields.get("price") is None:
        raise Refused(Code.MISSING_ORDER_PRICE)
    type_ = _order_type(fields)
    side = side_of(fields)
    leg_side = side if type_ is Type.TPSL else side.opposite
    settlement = fields.get("settlement")
    choice(SelfTradeProtection, fields, "selfTradeProtectionLevel")  # nobody here trades with another account
    return OrderRequest(
        external_id=_external_id(fields, "id"),
        market=text(fields, "market"),
        type=type_,
        side=side,
        quantity=decimal(fields, "qty"),
        price=decimal(fields, "price"),
        time_in_force=choice(TimeInForce, fields, "timeInForce"),
        expires_ms=integer(fields, "expiryEpochMillis"),
        fee_rate=decimal(fields, "fee"),
        nonce=integer(fields, "nonce"),
        reduce_only=_flag(fields, "reduceOnly"),
        post_only=_flag(fields, "postOnly"),
        replaces=None if fields.get("cancelId") is None else _external_id(fields, "cancelId"),
        settlement=None if settlement is None else _settlement(settlement),
        trigger=_condition(fields.get("trigger")),
        tpsl_type=None if fields.get("tpSlType") is None else choice(TpslType, fields, "tpSlType"),
        take_profit=_leg(fields.get("takeProfit"), leg_side, is_profit=True),
        stop_loss=_leg(fields.get("stopLoss"), leg_side, is_profit=False),
        builder_rate=ZERO if fields.get("builderFee") is None else decimal(fields, "builderFee"),
        builder_id=None if fields.get("builderId") is None else integer(fields, "builderId"),
    )


def mapping(value: object, name: str) -> Body:
    """A JSON object. Raises Refused 1133, as everything below."""
    if not isinstance(value, Mapping):
        raise invalid(f"{name} is not an object")
    return value


def text(fields: Body, name: str) -> str:
    """A non-empty string."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"{name} is not a text")
    return value


def decimal(fields: Body, name: str) -> Decimal:
    """A finite decimal of bounded length, given as string or number."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise invalid(f"{name} is not a decimal")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise invalid(f"{name} is not a decimal") from None
    if not number.is_finite() or abs(number.adjusted()) > DIGITS_MAX or len(number.as_tuple().digits) > 2 * DIGITS_MAX:
        raise invalid(f"{name} is out of range")
    return number


def integer(fields: Body, name: str) -> int:
    """A whole number, given as string or number."""
    value = decimal(fields, name)
    if value != value.to_integral_value():
        raise invalid(f"{name} is not a whole number")
    return int(value)


def hexadecimal(fields: Body, name: str) -> int:
    """A hexadecimal string with or without 0x."""
    value = text(fields, name)
    try:
        number = int(value, 16)
    except ValueError:
        raise invalid(f"{name} is not hexadecimal") from None
    if number < 0:
        raise invalid(f"{name} is negative")
    return number


def choice(kind: type[E], fields: Body, name: str) -> E:
    """A value of an enum, spelt as on the wire."""
    try:
        return kind(text(fields, name))
    except ValueError:
        raise invalid(f"{name} is unknown") from None


def signature_of(fields: Body) -> Signature:
    """The pair of a `signature` member."""
    pair = mapping(fields.get("signature"), "signature")
    return Signature(hexadecimal(pair, "r"), hexadecimal(pair, "s"))


def side_of(fields: Body) -> Side:
    """BUY or SELL."""
    value = text(fields, "side")
    if value not in ("BUY", "SELL"):
        raise invalid("side is unknown")
    return Side(value.lower())


def invalid(debug: str) -> Refused:
    """What is malformed."""
    return Refused(Code.INVALID_ORDER_PARAMETERS, debug)


def _external_id(fields: Body, name: str) -> str:
    value = text(fields, name)
    if len(value) > EXTERNAL_ID_MAX:
        raise invalid(f"{name} is too long")
    return value


def _flag(fields: Body, name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise invalid(f"{name} is not a boolean")
    return value


def _order_type(fields: Body) -> Type:
    name = text(fields, "type")
    if name == Type.TWAP:
        if fields.get("timeInForce") != TimeInForce.GTT:
            raise Refused(Code.TWAP_ORDER_MUST_BE_GTT)
        raise Refused(Code.NOT_ALLOWED_ORDER_TYPE, "no body of a TWAP order is published")
    try:
        return Type(name)
    except ValueError:
        raise Refused(Code.NOT_ALLOWED_ORDER_TYPE) from None


def _settlement(value: object) -> Settlement:
    fields = mapping(value, "settlement")
    return Settlement(signature_of(fields), hexadecimal(fields, "starkKey"), integer(fields, "collateralPosition"))


def _condition(value: object) -> Trigger | None:
    if value is None:
        return None
    fields = mapping(value, "trigger")
    return Trigger(
        _positive(fields, "triggerPrice"),
        choice(TriggerPrice, fields, "triggerPriceType"),
        choice(Direction, fields, "direction"),
        choice(Execution, fields, "executionPriceType"),
    )


def _leg(value: object, side: Side, *, is_profit: bool) -> LegRequest | None:
    if value is None:
        return None
    fields = mapping(value, "a leg")
    if fields.get("triggerPrice") is None:
        raise Refused(Code.MISSING_TPSL_TRIGGER)
    is_up = is_profit == (side is Side.SELL)  # what sells takes its profit above
    trigger = Trigger(
        _positive(fields, "triggerPrice"),
        choice(TriggerPrice, fields, "triggerPriceType"),
        Direction.UP if is_up else Direction.DOWN,
        choice(Execution, fields, "priceType"),
    )
    return LegRequest(Leg(trigger=trigger, price=_positive(fields, "price")), _settlement(fields.get("settlement")))


def _positive(fields: Body, name: str) -> Decimal:
    value = decimal(fields, name)
    if value <= 0:
        raise invalid(f"{name} is not positive")
    return value
