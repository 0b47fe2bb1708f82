"""System paths below each of the API's roots, and the documents that live at the site root only."""

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView

from astrade.core.api import pages, system

urlpatterns: list[URLPattern] = [
    path("health", system.HealthView.as_view()),
    path("health/live", system.LiveView.as_view()),
    path("health/ready", system.ReadyView.as_view()),
    path("metrics", system.MetricsView.as_view()),
]

page_urlpatterns: list[URLPattern] = [
    path("api/schema", system.openapi),
    path("api/asyncapi", system.sockets),
    path("docs", SpectacularSwaggerSplitView.as_view(url="/api/schema", url_self="/docs")),
    path("favicon.ico", pages.icon),
    path("favicon.svg", pages.icon),
    path("redoc/bundles/redoc.standalone.js", pages.redoc_bundle),
    path("redoc", SpectacularRedocView.as_view(url="/api/schema")),
]
