"""The bodies of the account and order endpoints (binance-api.md §7)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from astrade.emulators.binance.accounts import Account, Balance, Trade
from astrade.emulators.binance.events import NO_LIST, ZERO_TEXT
from astrade.emulators.binance.orders import Order, ResponseType
from astrade.emulators.binance.symbols import FEE_RATE, amount
from trading.domain.lifecycle import Side

Json = dict[str, Any]
BASIS_POINTS = Decimal(10_000)
RATE = amount(FEE_RATE)


def placed_body(order: Order, trades: Sequence[Trade], *, response: ResponseType, now_ms: int) -> Json:
    """What became of a new order, in as much detail as was asked for."""
    body: Json = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        "transactTime": now_ms,
    }
    if response is ResponseType.ACK:
        return body
    body |= _result(order)
    if response is ResponseType.FULL:
        body["fills"] = [_fill(trade) for trade in trades]
    return body


def cancelled_body(order: Order, *, cancel_id: str, now_ms: int) -> Json:
    """Of a cancel: `clientOrderId` is the cancel's own."""
    body: Json = {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": cancel_id,
        "transactTime": now_ms,
    }
    result = _result(order)
    if not order.is_working:
        result["stopPrice"] = amount(order.stop_price)
        del result["workingTime"]
    return body | result


def order_body(order: Order) -> Json:
    """Of a query."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        **_result(order),
        "stopPrice": amount(order.stop_price),
        "icebergQty": ZERO_TEXT,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.is_working,
    }


def trade_body(trade: Trade) -> Json:
    """An execution of one's own."""
    return {
        "symbol": trade.order.symbol,
        "id": trade.id,
        "orderId": trade.order.id,
        "orderListId": NO_LIST,
        "price": amount(trade.price),
        "qty": amount(trade.quantity),
        "quoteQty": amount(trade.value),
        "commission": amount(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.at_ms,
        "isBuyer": trade.order.side is Side.BUY,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def balance_body(asset: str, balance: Balance) -> Json:
    """Of one asset."""
    return {"asset": asset, "free": amount(balance.free), "locked": amount(balance.locked)}


def account_body(account: Account, *, omit_zero: bool) -> Json:
    """The account with its balances."""
    commission = int(FEE_RATE * BASIS_POINTS)
    return {
        "makerCommission": commission,
        "takerCommission": commission,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(RATE),
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.updated_ms,
        "accountType": "SPOT",
        "balances": [
            balance_body(asset, balance)
            for asset, balance in account.balances.items()
            if not omit_zero or balance.free or balance.locked
        ],
        "permissions": ["SPOT"],
        "uid": account.id,
    }


def commission_body(symbol: str) -> Json:
    """What is paid on a symbol; there is no discount, tax or special rate."""
    return {
        "symbol": symbol,
        "standardCommission": _rates(RATE),
        "specialCommission": _rates(ZERO_TEXT),
        "taxCommission": _rates(ZERO_TEXT),
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": ZERO_TEXT,
        },
    }


def _rates(rate: str) -> Json:
    return {"maker": rate, "taker": rate, "buyer": ZERO_TEXT, "seller": ZERO_TEXT}


def _result(order: Order) -> Json:
    body: Json = {
        "price": amount(order.price),
        "origQty": amount(order.quantity),
        "executedQty": amount(order.filled),
        "origQuoteOrderQty": amount(order.quote_quantity),
        "cummulativeQuoteQty": amount(order.filled_value),
        "status": order.status.value,
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "side": order.side.name,
        "workingTime": order.working_ms,
        "selfTradePreventionMode": order.prevention.value,
    }
    more = {
        "expiryReason": order.expiry_reason,
        "strategyId": order.strategy_id,
        "strategyType": order.strategy_type,
    }
    return body | {name: value for name, value in more.items() if value is not None}


def _fill(trade: Trade) -> Json:
    return {
        "price": amount(trade.price),
        "qty": amount(trade.quantity),
        "commission": amount(trade.commission),
        "commissionAsset": trade.commission_asset,
        "tradeId": trade.id,
    }
