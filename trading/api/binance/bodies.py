"""Orders, own trades and the account in Binance's bodies (binance-api.md §7)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from astrade.core.clock import to_ms
from astrade.core.money import ZERO
from marketdata.selectors import MarketInfo, market_by_symbol, markets_by_id
from trading import selectors
from trading.api.binance.symbols import CASH, Json, amount, listed_markets, spelling_of
from trading.api.binance.words import ResponseType, side_word, status_word, time_in_force_word, type_word
from trading.domain.admission import SPOT
from trading.domain.lifecycle import LIVE, RESTING, OrderStatus, Side
from trading.domain.margin import Board, summarise
from trading.domain.simulator import CLASSIC_FEE_RATE
from trading.domain.state import AccountState
from trading.models import Fill, TradingAccount

NO_LIST = -1
PREVENTION = "EXPIRE_MAKER"
BASIS_POINTS = 10_000
NONE_TEXT = amount(ZERO)
ACTIVE = "active"
UID_BITS = 63  # of the account's UUID, that a signed number holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An order as our API shows it, and what its fills come to in quote units, exact."""

    body: Mapping[str, Any]
    notional: Decimal

    @classmethod
    def of_body(cls, body: Mapping[str, Any], fills: Iterable[Fill] | None = None) -> Self:
        """Of a service's answer; asks for the fills of an order that has some, unless they are given."""
        if fills is None:
            fills = fills_of(body)
        return cls(body=body, notional=sum((fill.price * fill.quantity for fill in fills), ZERO))

    @property
    def symbol(self) -> str:
        """Its market's Binance symbol, or ours for a market without one."""
        market = market_by_symbol(self.body["symbol"])
        return spelling_of(market) or market.symbol


def fills_of(body: Mapping[str, Any]) -> list[Fill]:
    """An order's fills, oldest first; no query for one without."""
    return list(selectors.fills_by_order(UUID(body["id"]))) if Decimal(body["filled_quantity"]) else []


def placed_body(
    body: Mapping[str, Any], *, fills: list[Fill] | None, response: ResponseType, quote_quantity: Decimal
) -> Json:
    """What became of a new order, in as much detail as was asked for; `fills` are needed for all but ACK."""
    head = {
        "symbol": Shown(body=body, notional=ZERO).symbol,
        "orderId": body["number"],
        "orderListId": NO_LIST,
        "clientOrderId": body["client_order_id"],
        "transactTime": body["updated_at"],
    }
    if response is ResponseType.ACK or fills is None:
        return head
    answer = head | _result(Shown.of_body(body, fills), quote_quantity=quote_quantity)
    return answer | {"fills": [_fill(fill) for fill in fills]} if response is ResponseType.FULL else answer


def cancelled_body(order: Shown, *, cancel_id: str) -> Json:
    """Of a cancel, whose own id `clientOrderId` is. At a venue it may still be on its way: PENDING_CANCEL."""
    pending = {"status": "PENDING_CANCEL"} if order.body["status"] in LIVE else {}
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.body["client_order_id"],
        "orderId": order.body["number"],
        "orderListId": NO_LIST,
        "clientOrderId": cancel_id,
        "transactTime": order.body["updated_at"],
        **_result(order),
        **pending,
    }


def order_body(order: Shown) -> Json:
    """Of a query."""
    body = order.body
    return {
        "symbol": order.symbol,
        "orderId": body["number"],
        "orderListId": NO_LIST,
        "clientOrderId": body["client_order_id"],
        **_result(order),
        "stopPrice": _text(body["trigger_price"]),
        "icebergQty": NONE_TEXT,
        "time": body["created_at"],
        "updateTime": body["updated_at"],
        "isWorking": body["status"] in RESTING,
    }


def trade_body(fill: Fill) -> Json:
    """An execution of one's own, with its order selected along."""
    market = markets_by_id()[fill.market_id]
    return {
        "symbol": spelling_of(market) or market.symbol,
        "id": fill.number,
        "orderId": fill.order.number,
        "orderListId": NO_LIST,
        "price": amount(fill.price),
        "qty": amount(fill.quantity),
        "quoteQty": amount(fill.price * fill.quantity),
        "commission": amount(fill.fee),
        "commissionAsset": CASH,
        "time": to_ms(fill.at),
        "isBuyer": fill.side == Side.BUY,
        "isMaker": not fill.is_taker,
        "isBestMatch": True,
    }


def account_body(account: AccountState, board: Board, *, can_trade: bool, omit_zero: bool, now: datetime) -> Json:
    """Cash and what is held of spot markets' base assets. The rates are the highest of the spot markets."""
    spot = [market for _, market in listed_markets() if market.type == SPOT]
    maker, taker = _highest(account, spot)
    balances = [_cash_body(account, board, spot), *_holdings(account, spot)]
    return {
        "makerCommission": int(maker * BASIS_POINTS),
        "takerCommission": int(taker * BASIS_POINTS),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": amount(maker), "taker": amount(taker), "buyer": NONE_TEXT, "seller": NONE_TEXT},
        "canTrade": can_trade and account.user_state == account.state == ACTIVE,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": to_ms(now),
        "accountType": "SPOT",
        "balances": [one for one in balances if not omit_zero or {one["free"], one["locked"]} != {NONE_TEXT}],
        "permissions": ["SPOT"],
        "uid": account.uuid.int >> (128 - UID_BITS),
    }


def _cash_body(account: AccountState, board: Board, spot: Iterable[MarketInfo]) -> Json:
    """What the account is worth besides its holdings; locked is what orders, contracts and holds bind of it."""
    summary = summarise(account, board)
    held = (account.positions[market.id] for market in spot if market.id in account.positions)
    holdings = sum((position.quantity * board.mark_of(position) for position in held), ZERO)
    total, free = summary.equity - holdings, max(ZERO, summary.available)
    return {"asset": CASH, "free": amount(free), "locked": amount(max(ZERO, total - free))}


def _holdings(account: AccountState, spot: Iterable[MarketInfo]) -> list[Json]:
    """By base asset; locked is what is offered for sale."""
    free, locked = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    for market in spot:
        position, offered = account.positions.get(market.id), account.orders_on(market.id).sell_quantity
        free[market.base] += (position.quantity if position else ZERO) - offered
        locked[market.base] += offered
    return [{"asset": asset, "free": amount(free[asset]), "locked": amount(locked[asset])} for asset in free]


def _highest(account: AccountState, markets: list[MarketInfo]) -> tuple[Decimal, Decimal]:
    """Maker and taker rate."""
    if account.simulator == TradingAccount.Simulator.CLASSIC:
        return CLASSIC_FEE_RATE, CLASSIC_FEE_RATE
    makers, takers = ([getattr(one, f"{kind}_fee_rate") for one in markets] for kind in ("maker", "taker"))
    return max(makers, default=ZERO), max(takers, default=ZERO)


def _result(order: Shown, *, quote_quantity: Decimal = ZERO) -> Json:
    body = order.body
    return {
        "price": _text(body["price"]),
        "origQty": _text(body["quantity"]),
        "executedQty": _text(body["filled_quantity"]),
        "origQuoteOrderQty": amount(quote_quantity),
        "cummulativeQuoteQty": amount(order.notional),
        "status": status_word(body["status"], order_type=body["type"], time_in_force=body["time_in_force"]),
        "timeInForce": time_in_force_word(body["time_in_force"], order_type=body["type"]),
        "type": type_word(body["type"], post_only=body["post_only"]),
        "side": side_word(body["side"]),
        "workingTime": NO_LIST if body["status"] == OrderStatus.UNTRIGGERED else body["created_at"],
        "selfTradePreventionMode": PREVENTION,
    }


def _fill(fill: Fill) -> Json:
    return {
        "price": amount(fill.price),
        "qty": amount(fill.quantity),
        "commission": amount(fill.fee),
        "commissionAsset": CASH,
        "tradeId": fill.number,
    }


def _text(value: str | None) -> str:
    return amount(None if value is None else Decimal(value))
