"""Orders by Binance's parameters (binance-api.md §7), placed, found and cancelled by the services that all use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from astrade.core import errors
from astrade.core.money import ZERO, floor_to_step
from marketdata import live
from marketdata.selectors import MarketInfo, markets_by_id
from trading import selectors
from trading.api.binance.bodies import Shown
from trading.api.binance.errors import AbsentOrder, Code, ParameterFault, invalid, missing
from trading.api.binance.parameters import ANY_CLIENT_ID, Parameters
from trading.api.binance.words import (
    FULL_BY_DEFAULT,
    TYPE_WORDS,
    ResponseType,
    SideWord,
    TimeInForceWord,
    TypeWord,
)
from trading.domain.bodies import order_body
from trading.domain.lifecycle import CONDITIONAL, PRICED, OrderSource, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.state import OrderRequest
from trading.loading import AccountRef, OrderRef
from trading.models import Fill, Order, TradingAccount
from trading.services import orders as services

NOT_OFFERED = ("icebergQty", "trailingDelta", "pegPriceType")  # to ignore them would place another order
WINDOW_MAX = timedelta(hours=24)
ROWS_DEFAULT, ROWS_MAX = 500, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An order as a client asks for it. `quote_quantity` is what a market order was given instead of a quantity."""

    market: MarketInfo
    request: OrderRequest
    response: ResponseType
    quote_quantity: Decimal


def wish_of(
    sent: Parameters, *, source: OrderSource, response: ResponseType | None = None, client_order_id: str = ""
) -> Wish:
    """`response` is for a client that doesn't choose, where Binance's own choice isn't wanted, `client_order_id` for
    one that gives no name.

    Raises ParameterFault, UnknownMarket, and MarketDataStale where a quantity must be reckoned from the book.
    """
    market, word, side = sent.market(), _type_of(sent), _side_of(sent)
    for name in NOT_OFFERED:
        if name in sent:
            text = f"Parameter '{name}' sent when not required."
            raise ParameterFault(name, Code.PARAM_NOT_REQUIRED, text)
    quote_quantity = _quote_quantity(sent, word)
    quantity = sent.needed_decimal("quantity") if not quote_quantity else _bought_for(quote_quantity, market, side)
    order_type = TYPE_WORDS[word]
    request = OrderRequest(
        side=side,
        type=order_type,
        quantity=quantity,
        price=sent.needed_decimal("price") if order_type in PRICED else None,
        trigger_price=sent.needed_decimal("stopPrice") if order_type in CONDITIONAL else None,
        trigger_by=TriggerBy.LAST if order_type in CONDITIONAL else None,
        time_in_force=_time_in_force(sent, word),
        post_only=word is TypeWord.LIMIT_MAKER,
        client_order_id=sent.client_id("newClientOrderId") or client_order_id,
        source=source,
    )
    chosen = _response_type(sent) or response or (ResponseType.FULL if word in FULL_BY_DEFAULT else ResponseType.ACK)
    return Wish(market=market, request=request, response=chosen, quote_quantity=quote_quantity)


def _type_of(sent: Parameters) -> TypeWord:
    sent.needed("type")
    word = sent.choice("type", TypeWord, number=Code.INVALID_ORDER_TYPE, text="Invalid orderType.")
    assert word is not None
    return word


def _side_of(sent: Parameters) -> Side:
    sent.needed("side")
    word = sent.choice("side", SideWord, number=Code.INVALID_SIDE, text="Invalid side.")
    return Side.BUY if word is SideWord.BUY else Side.SELL


def _time_in_force(sent: Parameters, word: TypeWord) -> TimeInForce:
    """Needed where there is a limit price; what waits for a trigger and then takes has none of its own."""
    if word not in (TypeWord.LIMIT, TypeWord.STOP_LOSS_LIMIT, TypeWord.TAKE_PROFIT_LIMIT):
        return TimeInForce.GTC
    sent.needed("timeInForce")
    named = sent.choice("timeInForce", TimeInForceWord, number=Code.INVALID_TIF, text="Invalid timeInForce.")
    return TimeInForce(str(named))


def _response_type(sent: Parameters) -> ResponseType | None:
    text = invalid("newOrderRespType").text
    return sent.choice("newOrderRespType", ResponseType, number=Code.INVALID_PARAMETER, text=text)


def _quote_quantity(sent: Parameters, word: TypeWord) -> Decimal:
    """Zero where the quantity is named."""
    value = sent.decimal("quoteOrderQty")
    if value is None or word is not TypeWord.MARKET:
        return ZERO
    if "quantity" in sent:
        raise ParameterFault("quoteOrderQty", Code.PARAM_NOT_REQUIRED, "Send quantity or quoteOrderQty, not both.")
    if not value:
        raise invalid("quoteOrderQty")
    return value


def _bought_for(quote_quantity: Decimal, market: MarketInfo, side: Side) -> Decimal:
    """What `quote_quantity` pays for, or is got for, on the present book: whole steps, down. Raises MarketDataStale."""
    book = live.view_of(market.symbol)[0].book
    left, quantity = quote_quantity, ZERO
    for price, offered in book.asks if side is Side.BUY else book.bids:
        if price * offered >= left:
            quantity += left / price
            break
        quantity, left = quantity + offered, left - price * offered
    return floor_to_step(quantity, step=market.step_size)


def place(account: AccountRef, wish: Wish) -> services.Placed:
    """Place the order; raises as `trading.services.orders.place_order`."""
    return services.place_order(account=account, symbol=wish.market.symbol, request=wish.request)


def find(account: AccountRef, sent: Parameters, *, absent: Code) -> Order:
    """The order of `symbol` that `orderId`, `origClientOrderId` or both name; raises AbsentOrder."""
    market, number, client_id = sent.market(), sent.number("orderId"), _client_id(sent)
    if number is None and client_id is None:
        raise missing("orderId")
    named = OrderRef(client_order_id=client_id) if number is None else OrderRef(number=number)
    try:
        found = selectors.order_by_ref(account, named)
    except errors.NotFound:
        raise AbsentOrder(absent) from None
    if found.market_id != market.id or client_id not in (None, found.client_order_id):
        raise AbsentOrder(absent)
    return found


def _client_id(sent: Parameters) -> str | None:
    return sent.client_id("origClientOrderId", legal=ANY_CLIENT_ID)


def cancel(account: AccountRef, sent: Parameters) -> Shown:
    """Cancel the order that the parameters name; raises AbsentOrder, OrderNotOpen."""
    found = find(account, sent, absent=Code.CANCEL_REJECTED)
    return Shown.of_body(services.cancel_order(account=account, order=OrderRef(uuid=found.uuid)))


def cancel_all(account: AccountRef, sent: Parameters) -> list[Shown]:
    """Cancel the market's open orders; raises AbsentOrder where there are none."""
    market = sent.market()
    cancelled = services.cancel_orders(account=account, symbol=market.symbol)
    if not cancelled:
        raise AbsentOrder(Code.CANCEL_REJECTED)
    return [Shown.of_body(body) for body in cancelled if body["type"] != OrderType.TWAP]


def open_orders(account: TradingAccount, sent: Parameters) -> list[Order]:
    """Of one market or all, oldest first."""
    found = _of_binance(selectors.open_orders(account.pk)).order_by("number")
    return list(found.filter(market_id=sent.market().id) if "symbol" in sent else found)


def all_orders(account: TradingAccount, sent: Parameters) -> Sequence[Order]:
    """A market's orders, oldest first: those from `orderId` or `startTime` on, else the newest."""
    found = _of_binance(selectors.orders_of(account.pk)).filter(market_id=sent.market().id)
    return _window(found, sent, since="orderId", at="created_at")


def own_trades(account: TradingAccount, sent: Parameters) -> Sequence[Fill]:
    """A market's fills, oldest first: those from `fromId` or `startTime` on, else the newest; `orderId` picks one."""
    found = selectors.fills_of(account.pk).filter(market_id=sent.market().id)
    number = sent.number("orderId")
    found = found if number is None else found.filter(order__number=number)
    return _window(found, sent, since="fromId", at="at")


def _of_binance(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Without what Binance has no word for."""
    return orders.exclude(type=OrderType.TWAP)


def _window(rows: QuerySet[Any], sent: Parameters, *, since: str, at: str) -> Sequence[Any]:
    """Rows by number within the times asked for. Raises ParameterFault -1127 for more than a day."""
    first, start, end = sent.number(since), sent.instant("startTime"), sent.instant("endTime")
    if start is not None and end is not None and end - start > WINDOW_MAX:
        raise ParameterFault("endTime", Code.MORE_THAN_XX_HOURS, "More than 24 hours between startTime and endTime.")
    until = None if end is None else end + timedelta(milliseconds=1)
    bounds = {"number__gte": first, f"{at}__gte": start, f"{at}__lt": until}
    limit = sent.limit(default=ROWS_DEFAULT, most=ROWS_MAX)
    found = rows.filter(**{name: value for name, value in bounds.items() if value is not None})
    if first is not None or start is not None:
        return list(found.order_by("number")[:limit])
    return list(reversed(found.order_by("-number")[:limit]))


def shown_order(order: Order, account: TradingAccount) -> Shown:
    """A row of `selectors.orders_of`."""
    body = order_body(order, account=account.uuid, venue=account.venue, symbol=markets_by_id()[order.market_id].symbol)
    return Shown(body=body, notional=order.filled_notional)
