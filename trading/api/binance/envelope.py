"""The Binance-named calls of `/api/v1`: Binance's parameters and bodies in our envelope, with our errors."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.views import ApiView, ok
from astrade.core.clock import system_clock
from astrade.core.errors import InsufficientBalance, InsufficientMargin
from astrade.core.http import Answer
from marketdata.api.conditional import conditional
from marketdata.api.views import MARKETS_MAX_AGE_S, PRICES_MAX_AGE_S
from trading import selectors
from trading.api.binance import bodies, market_data, orders, schemas
from trading.api.binance.errors import Code
from trading.api.binance.parameters import parameters_of
from trading.api.binance.views import cancel_id_of, exchange_info_for, placed_answer
from trading.api.binance.words import ResponseType
from trading.api.views.base import AccountView
from trading.api.views.orders import REPLAYED, ended_or_asked, idempotency_key, source_of

BROKE = "Insufficient balance"  # in the words that the callers of this path look for


def prices(request: Request, found: Any) -> HttpResponseBase:
    """Market data that is soon old."""
    page = {"cursor": None, "count": len(found)} if isinstance(found, list) else None
    return conditional(request, found, max_age_s=PRICES_MAX_AGE_S, pagination=page)


class PriceTickerView(ApiView):
    @extend_schema(parameters=[schemas.SymbolsQuery], responses={200: schemas.PRICE_TICKER})
    def get(self, request: Request) -> HttpResponseBase:
        """The last price of a symbol, of several or of all; a stale one is refused, and left out of lists."""
        return prices(request, market_data.price_tickers(parameters_of(request), system_clock()))


class DayTickerView(ApiView):
    @extend_schema(parameters=[schemas.DayTickerQuery], responses={200: schemas.DAY_TICKER})
    def get(self, request: Request) -> HttpResponseBase:
        """The last 24 hours. What no feed tells is zero: quote volume, weighted average, last quantity, count."""
        return prices(request, market_data.day_tickers(parameters_of(request), system_clock()))


class KlinesView(ApiView):
    @extend_schema(parameters=[schemas.KlinesQuery], responses={200: schemas.KLINES})
    def get(self, request: Request) -> HttpResponseBase:
        """Candles as rows of twelve, oldest first, the unfinished one last; holes are left out."""
        return prices(request, market_data.klines(parameters_of(request), system_clock()))


class DepthView(ApiView):
    @extend_schema(parameters=[schemas.DepthQuery], responses={200: schemas.DEPTH})
    def get(self, request: Request) -> HttpResponseBase:
        """The order book."""
        return prices(request, market_data.depth(parameters_of(request), system_clock()))


class ExchangeInfoView(ApiView):
    @extend_schema(parameters=[schemas.SymbolsQuery], responses={200: schemas.EXCHANGE_INFO})
    def get(self, request: Request) -> HttpResponseBase:
        """Symbols with their rules as filters, and the caller's rate limit."""
        found = exchange_info_for(request)
        return conditional(request, found, max_age_s=MARKETS_MAX_AGE_S, version=found["symbols"])


class OrderView(AccountView):
    """Parameters come in the query, in a form or in a JSON body; the query wins."""

    @extend_schema(
        request=schemas.BinanceOrderForm, responses={201: schemas.PLACED}, operation_id="place_binance_order"
    )
    def post(self, request: Request) -> Answer:
        """Place an order. `newClientOrderId` (or `Idempotency-Key`) makes it safe to send again: the same order
        returns the first one.
        """
        sent = parameters_of(request)
        wish = orders.wish_of(
            sent,
            source=source_of(request),
            response=ResponseType.FULL,
            client_order_id=idempotency_key(request),
        )
        try:
            placed = orders.place(self.account(request), wish)
        except (InsufficientMargin, InsufficientBalance) as refusal:
            raise type(refusal)(BROKE, details=refusal.details) from refusal
        response = ok(placed_answer(placed.body, wish), status=201)
        if placed.replayed:
            response[REPLAYED] = "true"
        return response

    @extend_schema(
        parameters=[schemas.NamedOrderQuery], responses={200: schemas.ORDER}, operation_id="get_binance_order"
    )
    def get(self, request: Request) -> Answer:
        """The order that `orderId`, `origClientOrderId` or both name."""
        account = selectors.account_by_ref(self.account(request))
        found = orders.find(self.account(request), parameters_of(request), absent=Code.NO_SUCH_ORDER)
        return ok(bodies.order_body(orders.shown_order(found, account)))

    @extend_schema(
        parameters=[schemas.CancelOrderQuery], responses={200: schemas.CANCELLED}, operation_id="cancel_binance_order"
    )
    def delete(self, request: Request) -> Answer:
        """Cancel it. At a venue it ends when the venue says so: 202 and PENDING_CANCEL until then."""
        sent = parameters_of(request)
        cancel_id = cancel_id_of(sent)
        order = orders.cancel(self.account(request), sent)
        return ok(bodies.cancelled_body(order, cancel_id=cancel_id), status=ended_or_asked([order.body]))
