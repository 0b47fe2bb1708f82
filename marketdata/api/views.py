"""Public reads of market data. Markets come from memory, prices from Redis, history from one query."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.views import ApiView, bodies, body, shape
from astrade.core.clock import system_clock, to_ms
from astrade.core.errors import MarketDataStale, UnknownMarket
from astrade.core.permissions import Public
from marketdata import live
from marketdata.api.conditional import conditional
from marketdata.api.serializers import (
    BookBody,
    BookQuery,
    CandleBody,
    CandlesQuery,
    FundingBody,
    FundingQuery,
    MarketBody,
    MarketsQuery,
    PublicTradeBody,
    TickerBody,
    TradesQuery,
)
from marketdata.charts import candles_of, funding_of
from marketdata.selectors import MarketInfo, all_markets, market_by_symbol

MARKETS_MAX_AGE_S = 5
PRICES_MAX_AGE_S = 1


def market_of_path(symbol: str) -> MarketInfo:
    """The market a path names; raises UnknownMarket as 404."""
    try:
        return market_by_symbol(symbol)
    except UnknownMarket as exc:
        raise UnknownMarket(details=exc.details, status=404) from exc


def query(serializer: type[Any], request: Request) -> dict[str, Any]:
    """The request's query by its shape."""
    return shape(serializer, request.query_params.dict())


class PublicView(ApiView):
    """Anybody may read market data."""

    permission_classes = [Public]


class MarketsView(PublicView):
    @extend_schema(
        summary="Markets and their trading rules", parameters=[MarketsQuery], responses=MarketBody(many=True)
    )
    def get(self, request: Request) -> HttpResponseBase:
        wanted = query(MarketsQuery, request)
        markets = (market_by_symbol(wanted.pop("symbol")),) if "symbol" in wanted else all_markets()
        found = [m for m in markets if all(getattr(m, name) == value for name, value in wanted.items())]
        page = {"cursor": None, "count": len(found)}
        return conditional(request, bodies(MarketBody, found), max_age_s=MARKETS_MAX_AGE_S, pagination=page)


class MarketView(PublicView):
    @extend_schema(summary="One market and its trading rules", responses=MarketBody)
    def get(self, request: Request, symbol: str) -> HttpResponseBase:
        return conditional(request, body(MarketBody, market_of_path(symbol)), max_age_s=MARKETS_MAX_AGE_S)


class StatsView(PublicView):
    @extend_schema(summary="Latest prices and 24 h figures", responses=TickerBody)
    def get(self, request: Request, symbol: str) -> HttpResponseBase:
        market = market_of_path(symbol)
        ticker = live.ticker_of(market.symbol, now=system_clock())
        if ticker is None:
            raise MarketDataStale(details={"symbol": market.symbol})
        version = {name: value for name, value in ticker.items() if name != "age_ms"}
        return conditional(request, ticker, max_age_s=PRICES_MAX_AGE_S, version=version)


class OrderbookView(PublicView):
    @extend_schema(summary="Order book", parameters=[BookQuery], responses=BookBody)
    def get(self, request: Request, symbol: str) -> HttpResponseBase:
        market = market_of_path(symbol)
        book = live.book_body(market.symbol, depth=query(BookQuery, request)["depth"], now=system_clock())
        if book is None:
            raise MarketDataStale(details={"symbol": market.symbol})
        return conditional(request, book, max_age_s=PRICES_MAX_AGE_S)


class TradesView(PublicView):
    @extend_schema(
        summary="Latest public trades, newest first", parameters=[TradesQuery], responses=PublicTradeBody(many=True)
    )
    def get(self, request: Request, symbol: str) -> HttpResponseBase:
        market = market_of_path(symbol)
        trades = live.trades_of(market.symbol, limit=query(TradesQuery, request)["limit"])
        page = {"cursor": None, "count": len(trades)}
        return conditional(request, live.fragments(trades), max_age_s=PRICES_MAX_AGE_S, pagination=page)


class CandlesView(PublicView):
    @extend_schema(
        summary="Candles, oldest first, with gaps said",
        description="With `from` the first `limit` candles of the range, else the latest ones up to `to`. "
        "A hole between two candles stands as one element with `gap` true.",
        parameters=[CandlesQuery],
        responses=CandleBody(many=True),
    )
    def get(self, request: Request, symbol: str) -> HttpResponseBase:
        market = market_of_path(symbol)
        wanted = query(CandlesQuery, request)
        candles = candles_of(
            market,
            timeframe=wanted["timeframe"],
            kind=wanted["type"],
            start=wanted.get("from"),
            end=wanted.get("to"),
            limit=wanted["limit"],
            now=system_clock(),
        )
        page = {"cursor": None, "count": len(candles)}
        return conditional(request, candles, max_age_s=PRICES_MAX_AGE_S, pagination=page)


class FundingView(PublicView):
    @extend_schema(
        summary="Funding rates that were applied, newest first",
        parameters=[FundingQuery],
        responses=FundingBody(many=True),
    )
    def get(self, request: Request, symbol: str) -> HttpResponseBase:
        market = market_of_path(symbol)
        wanted = query(FundingQuery, request)
        limit = wanted["limit"]
        rates = funding_of(
            market, start=wanted.get("from"), end=wanted.get("to"), before=wanted.get("cursor"), limit=limit + 1
        )
        shown = rates[:limit]
        page = {"cursor": to_ms(shown[-1].at) if len(rates) > limit else None, "count": len(shown)}
        return conditional(request, bodies(FundingBody, shown), max_age_s=PRICES_MAX_AGE_S, pagination=page)
