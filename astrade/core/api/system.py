"""Health, metrics and the served documents (API.md, "System")."""

import hmac
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from astrade.core import asyncapi, health, metrics
from astrade.core.addresses import is_internal
from astrade.core.api.renderers import encode
from astrade.core.api.views import ApiView, http_request, ok
from astrade.core.errors import NotPermitted, NotReady
from astrade.core.http import Answer, DressedRequest
from astrade.core.permissions import Public


class LiveSerializer(serializers.Serializer[Any]):
    """This process answers."""

    state = serializers.ChoiceField(choices=["ok"])


class SummarySerializer(serializers.Serializer[Any]):
    """What anybody may know."""

    state = serializers.ChoiceField(choices=["ok", "degraded", "unavailable"])
    version = serializers.CharField()


class CheckSerializer(serializers.Serializer[Any]):
    """One thing this process needs."""

    name = serializers.CharField()
    passed = serializers.BooleanField()
    critical = serializers.BooleanField()
    elapsed_ms = serializers.FloatField()
    figures = serializers.DictField()


class ReadySerializer(serializers.Serializer[Any]):
    """Whether requests should be sent here, and why."""

    state = serializers.ChoiceField(choices=["ok", "degraded", "unavailable"])
    checks = CheckSerializer(many=True)


class SystemView(ApiView):
    """Asked by machines all the time: no credentials, no rate limit, nothing read that isn't needed."""

    authentication_classes = []
    permission_classes = [Public]
    counted = False


class LiveView(SystemView):
    @extend_schema(responses=LiveSerializer)
    def get(self, request: Request) -> Answer:
        """This process answers; looks at nothing else."""
        return ok({"state": "ok"})


class HealthView(SystemView):
    @extend_schema(responses=SummarySerializer)
    def get(self, request: Request) -> Answer:
        """The platform's state in a word."""
        return ok({"state": health.report().state, "version": settings.SPECTACULAR_SETTINGS["VERSION"]})


class ReadyView(SystemView):
    @extend_schema(responses=ReadySerializer)
    def get(self, request: Request) -> Answer:
        """Database, cache, broker, feeds and venues; 503 only while something this process can't do without is away."""
        report = health.report()
        checks = [_check_of(result) for result in report.results]
        if not report.ready:
            raise NotReady(details={"state": report.state, "checks": checks})
        return ok({"state": report.state, "checks": checks})


def _check_of(result: health.Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "passed": result.passed,
        "critical": result.critical,
        "elapsed_ms": result.elapsed_ms,
        "figures": dict(result.figures),
    }


class MetricsView(SystemView):
    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """Prometheus' text format, for internal networks or with METRICS_TOKEN as Bearer."""
        if not may_read_metrics(http_request(request)):
            raise NotPermitted
        return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


def may_read_metrics(request: DressedRequest) -> bool:
    """With the token, or from an internal address that isn't just an untold proxy in front of the world."""
    sent = request.META.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    if settings.METRICS_TOKEN and hmac.compare_digest(sent.encode(), settings.METRICS_TOKEN.encode()):
        return True
    if "HTTP_X_FORWARDED_FOR" in request.META and not settings.TRUSTED_PROXIES:
        return False
    return is_internal(request.client_address)


@lru_cache(maxsize=1)
def openapi_document() -> bytes:
    """The OpenAPI document as JSON; made once a process."""
    return encode(SchemaGenerator().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def asyncapi_document() -> bytes:
    """The sockets' document as JSON."""
    return encode(asyncapi.document())


def openapi(request: HttpRequest) -> HttpResponse:
    """`/api/schema`."""
    return HttpResponse(openapi_document(), content_type="application/json", headers={"Cache-Control": "max-age=60"})


def sockets(request: HttpRequest) -> HttpResponse:
    """`/api/asyncapi`."""
    return HttpResponse(asyncapi_document(), content_type="application/json", headers={"Cache-Control": "max-age=60"})
