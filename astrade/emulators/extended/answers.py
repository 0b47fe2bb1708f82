"""The exchange's wire forms of accounts, orders and positions (extended-api.md §6, §7.4): decimals are strings, times
milliseconds.

`updatedAt` on a position and `updatedTime` elsewhere are the exchange's own spellings, as is `payedFee`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from astrade.core.messages import Quote
from astrade.core.money import ZERO, floor_cash, plain, round_display
from astrade.emulators.extended.accounts import Account, FundingPayment, Operation, Position, Trade
from astrade.emulators.extended.markets import COLLATERAL, COLLATERAL_ID, Instrument
from astrade.emulators.extended.orders import Leg, Order, Status
from trading.domain.lifecycle import Side
from trading.domain.margin import MarginSummary, unrealized_pnl

Json = dict[str, Any]
PRICE_SCALE = 12  # decimals of an average price; it need not terminate


def side_name(side: Side | str) -> str:
    """BUY or SELL."""
    return str(side).upper()


def held_side(side: Side) -> str:
    """LONG or SHORT."""
    return "LONG" if side is Side.BUY else "SHORT"


def account_body(account: Account) -> Json:
    return {
        "accountId": account.id,
        "description": account.description,
        "accountIndex": account.index,
        "status": account.status,
        "l2Key": hex(account.public_key),
        "l2Vault": str(account.vault),
        "bridgeStarknetAddress": hex(account.wallet + 1),
    }


def client_body(account: Account) -> Json:
    return {"id": account.client_id, "starknetWalletAddress": hex(account.wallet)}


def balance_body(account: Account, summary: MarginSummary, exposure: Decimal) -> Json:
    equity = summary.equity
    return {
        "collateralName": COLLATERAL,
        "balance": plain(summary.balance),
        "equity": plain(equity),
        "availableForTrade": plain(floor_cash(summary.available)),
        "availableForWithdrawal": plain(floor_cash(withdrawable(summary))),
        "unrealisedPnl": plain(summary.unrealized_pnl),
        "initialMargin": plain(-floor_cash(-summary.initial)),
        "marginRatio": plain(summary.ratio),
        "exposure": plain(exposure),
        "leverage": plain(round_display(exposure / equity, scale=4)) if equity > 0 else "0",
        "updatedTime": account.updated_ms,
    }


def withdrawable(summary: MarginSummary) -> Decimal:
    """max(0, balance + min(0, unrealised PnL) - initial margin)."""
    return max(ZERO, summary.balance + min(ZERO, summary.unrealized_pnl) - summary.initial)


def position_body(position: Position, account: Account, instrument: Instrument, quote: Quote) -> Json:
    mark, size, is_open = quote.mark, position.size, position.closed_ms is None
    leverage = account.leverage_on(instrument)
    value = size * mark
    waiting = _position_legs(account, position) if is_open else {}
    return {
        "id": position.id,
        "accountId": account.id,
        "market": position.market,
        "status": "OPENED" if is_open else "CLOSED",
        "side": held_side(position.side),
        "leverage": plain(leverage),
        "size": plain(size),
        "value": plain(value),
        "openPrice": _average(position.open_price),
        "markPrice": plain(mark),
        "margin": plain(-floor_cash(-value / leverage)),
        "unrealisedPnl": plain(unrealized_pnl(position.state, mark=mark)) if is_open else "0",
        "realisedPnl": plain(position.realised_pnl),
        "maxPositionSize": plain(position.largest),
        "createdAt": position.created_ms,
        "updatedAt": position.updated_ms,
    } | waiting


def past_position_body(position: Position, account: Account) -> Json:
    body = {
        "id": position.id,
        "accountId": account.id,
        "market": position.market,
        "side": held_side(position.side),
        "size": plain(position.size),
        "maxPositionSize": plain(position.largest),
        "leverage": plain(position.leverage),
        "openPrice": _average(position.open_price),
        "realisedPnl": plain(position.realised_pnl),
        "realisedPnlBreakdown": {
            "tradePnl": plain(position.trade_pnl),
            "fundingFees": plain(position.funding),
            "openFees": plain(position.open_fees),
            "closeFees": plain(position.close_fees),
        },
        "createdTime": position.created_ms,
    }
    if position.exit_price is not None:
        body |= {
            "exitPrice": _average(position.exit_price),
            "exitType": "TRADE",
            "closedTime": position.closed_ms,
        }
    return body


def order_body(order: Order, *, streaming: bool = False) -> Json:
    """An order; the direction of its trigger has another key on the stream than in an answer."""
    body: Json = {
        "id": order.id,
        "accountId": order.account_id,
        "externalId": order.external_id,
        "market": order.market,
        "type": order.type,
        "side": side_name(order.side),
        "status": order.status,
        "statusReason": order.reason,
        "qty": plain(order.quantity),
        "filledQty": plain(order.filled),
        "cancelledQty": plain(order.remaining if order.status is Status.CANCELLED else ZERO),
        "payedFee": plain(order.paid_fee),
        "reduceOnly": order.reduce_only,
        "postOnly": order.post_only,
        "createdTime": order.created_ms,
        "updatedTime": order.updated_ms,
        "expireTime": order.expires_ms,
        "expiryTime": order.expires_ms,  # the SDK's name for it
        "timeInForce": order.time_in_force,
    }
    if order.price:
        body["price"] = plain(order.price)
    if order.filled:
        body["averagePrice"] = _average(order.filled_value / order.filled)
    if order.trigger is not None:
        body["trigger"] = {
            "triggerPrice": plain(order.trigger.price),
            "triggerPriceType": order.trigger.by,
            "direction" if streaming else "triggerPriceDirection": order.trigger.direction,
            "executionPriceType": order.trigger.execution,
        }
    if order.tpsl_type is not None:
        body["tpSlType"] = order.tpsl_type
    for name, leg in (("takeProfit", order.take_profit), ("stopLoss", order.stop_loss)):
        if leg is not None:
            body[name] = _leg_body(leg)
    return body


def trade_body(trade: Trade, *, streaming: bool = False) -> Json:
    """An execution; the external id of its order is told on the stream only."""
    order = trade.order
    body = {
        "id": trade.id,
        "accountId": order.account_id,
        "market": order.market,
        "orderId": order.id,
        "side": side_name(order.side),
        "price": plain(trade.price),
        "qty": plain(trade.quantity),
        "value": plain(trade.price * trade.quantity),
        "fee": plain(trade.fee),
        "isTaker": trade.is_taker,
        "tradeType": trade.type,
        "createdTime": trade.at_ms,
    }
    return body | {"externalOrderId": order.external_id} if streaming else body


def payment_body(payment: FundingPayment, account: Account) -> Json:
    return {
        "id": payment.id,
        "accountId": account.id,
        "market": payment.market,
        "positionId": payment.position_id,
        "side": held_side(payment.side),
        "size": plain(payment.size),
        "value": plain(payment.size * payment.mark),
        "markPrice": plain(payment.mark),
        "fundingFee": plain(payment.fee),
        "fundingRate": plain(payment.rate),
        "paidTime": payment.at_ms,
    }


def operation_body(operation: Operation, account: Account) -> Json:
    body: Json = {
        "id": str(operation.id),
        "type": operation.type,
        "status": operation.status,
        "amount": plain(operation.amount),
        "fee": "0",
        "asset": COLLATERAL_ID,
        "time": operation.at_ms,
        "accountId": account.id,
    }
    if operation.counterparty_id is not None:
        body["counterpartyAccountId"] = operation.counterparty_id
    return body


def withdrawal_body(operation: Operation) -> Json:
    """A withdrawal as the stream tells of it; the reference has its fields, and v2's name for the member."""
    return {
        "id": operation.id,
        "assetId": COLLATERAL_ID,
        "amount": plain(-operation.amount),
        "status": operation.status,
    }


def _position_legs(account: Account, position: Position) -> Json:
    body: Json = {}
    for order in account.open_orders(position.market):
        legs: Sequence[tuple[str, Leg | None]] = (("tp", order.take_profit), ("sl", order.stop_loss))
        for prefix, leg in legs:
            if leg is not None and leg.status is Status.UNTRIGGERED:
                body[f"{prefix}TriggerPrice"] = plain(leg.trigger.price)
                body[f"{prefix}LimitPrice"] = plain(leg.price)
                body[f"{prefix}Price"] = plain(leg.price)
    return body


def _leg_body(leg: Leg) -> Json:
    body = {
        "triggerPrice": plain(leg.trigger.price),
        "triggerPriceType": leg.trigger.by,
        "price": plain(leg.price),
        "priceType": leg.trigger.execution,
    }
    return body if leg.status is None else body | {"status": leg.status}


def _average(price: Decimal) -> str:
    return plain(round_display(price, scale=PRICE_SCALE))
