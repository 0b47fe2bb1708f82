"""Every WebSocket path, with and without a trailing slash."""

from django.urls import URLPattern, re_path

from astrade.core.sockets.consumers import NoSuchSocket
from gamification.consumers import ProgressConsumer
from marketdata.consumers import MarketConsumer
from trading.consumers import AccountConsumer, StreamConsumer

KINDS = "(?P<kind>orderbook|trades|candles|funding|ticker)"

websocket_urlpatterns: list[URLPattern] = [
    re_path(r"^ws/stream/?$", StreamConsumer.as_asgi()),
    re_path(r"^ws/accounts/(?P<account_id>[^/]+)/?$", AccountConsumer.as_asgi()),
    re_path(rf"^ws/markets/(?P<symbol>.{{1,64}}?)/{KINDS}/?$", MarketConsumer.as_asgi()),
    re_path(r"^ws/progress/?$", ProgressConsumer.as_asgi()),
    re_path(r"", NoSuchSocket.as_asgi()),
]
