"""Paths below `/api/v3`."""

from django.urls import URLPattern, path

from trading.api.binance import market_data, views

urlpatterns: list[URLPattern] = [
    path("ping", views.ReadView.as_view()),
    path("time", views.TimeView.as_view()),
    path("exchangeInfo", views.ExchangeInfoView.as_view()),
    path("ticker/price", views.ReadView.as_view(read=market_data.price_tickers)),
    path("ticker/24hr", views.ReadView.as_view(read=market_data.day_tickers)),
    path("ticker/bookTicker", views.ReadView.as_view(read=market_data.book_tickers)),
    path("klines", views.ReadView.as_view(read=market_data.klines)),
    path("depth", views.ReadView.as_view(read=market_data.depth)),
    path("trades", views.ReadView.as_view(read=market_data.trades)),
    path("aggTrades", views.ReadView.as_view(read=market_data.aggregate_trades)),
    path("order", views.OrderView.as_view()),
    path("openOrders", views.OpenOrdersView.as_view()),
    path("allOrders", views.AllOrdersView.as_view()),
    path("account", views.AccountView.as_view()),
    path("myTrades", views.OwnTradesView.as_view()),
]
