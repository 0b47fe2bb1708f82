"""Every HTTP path. The same API answers under `/api/v1` (the documented one), `/api` and `/` (API.md, "base").

`/api/v3` is for Binance's clients.
"""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from accounts.api.urls import urlpatterns as accounts_urls
from astrade.core.api.urls import page_urlpatterns
from astrade.core.api.urls import urlpatterns as core_urls
from gamification.api.urls import urlpatterns as gamification_urls
from marketdata.api.urls import urlpatterns as marketdata_urls
from trading.api.binance.urls import urlpatterns as binance_urls
from trading.api.urls import urlpatterns as trading_urls

api = [*trading_urls, *marketdata_urls, *accounts_urls, *gamification_urls, *core_urls]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include((api, "v1"))),
    path("api/v3/", include((binance_urls, "binance"))),
    path("admin/", admin.site.urls),
    *page_urlpatterns,
    path("api/", include((api, "api"))),
    path("", include((api, "root"))),
]

handler400 = "astrade.core.http.handler400"
handler403 = "astrade.core.http.handler403"
handler404 = "astrade.core.http.handler404"
handler500 = "astrade.core.http.handler500"
