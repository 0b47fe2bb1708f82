"""Paths of market data. A symbol may hold one slash (`BTC/USD`), so the longer paths stand first."""

from django.urls import URLPattern, path, register_converter

from marketdata.api import views


class SymbolConverter:
    """A market's symbol, alias or id as a part of a path."""

    regex = "[^/]+(?:/[^/]+)?"

    def to_python(self, value: str) -> str:
        """As it stands."""
        return value

    def to_url(self, value: str) -> str:
        """As it stands."""
        return value


register_converter(SymbolConverter, "symbol")

urlpatterns: list[URLPattern] = [
    path("markets", views.MarketsView.as_view()),
    path("markets/<symbol:symbol>/stats", views.StatsView.as_view()),
    path("markets/<symbol:symbol>/orderbook", views.OrderbookView.as_view()),
    path("markets/<symbol:symbol>/trades", views.TradesView.as_view()),
    path("markets/<symbol:symbol>/candles", views.CandlesView.as_view()),
    path("markets/<symbol:symbol>/funding", views.FundingView.as_view()),
    path("markets/<symbol:symbol>", views.MarketView.as_view()),
    path("market/instruments", views.MarketsView.as_view()),
    path("market/instruments/<symbol:symbol>", views.MarketView.as_view()),
    path("market/<symbol:symbol>/candles", views.CandlesView.as_view()),
]
