"""Views and paths that exist for the tests of what every view shares."""

import time
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from astrade.core import audit, context
from astrade.core.api.fields import Amount, Text
from astrade.core.api.system import LiveView
from astrade.core.api.views import ApiView, ok, shape
from astrade.core.errors import InvalidCredentials
from astrade.core.fields import public_id
from astrade.core.http import Answer
from astrade.core.idempotency import idempotent
from astrade.core.models import AuditEvent
from astrade.core.permissions import SESSION_SCOPES, Caller, IsUser, Public, caller_of, optional_caller


class NamedCaller(BaseAuthentication):
    """`X-Test-User: 7` or `7:market_maker`; `bad` is refused."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """Whom the header names."""
        name = request.META.get("HTTP_X_TEST_USER")
        if name is None:
            return None
        if name == "bad":
            raise InvalidCredentials
        user_id, _, tier = name.partition(":")
        return Caller(int(user_id), public_id(), SESSION_SCOPES, tier=tier or "standard"), None


class TestView(ApiView):
    authentication_classes = [NamedCaller]
    permission_classes = [Public]


class EchoForm(serializers.Serializer[Any]):
    amount = Amount(required=False)
    name = Text(required=False, max_length=20)


class EchoView(TestView):
    def post(self, request: Request) -> Answer:
        """The validated body."""
        return ok(shape(EchoForm, request.data))


class RawView(TestView):
    def post(self, request: Request) -> Answer:
        """The body as it was parsed."""
        return ok(request.data)


class WhoView(TestView):
    permission_classes = [IsUser]

    def get(self, request: Request) -> Answer:
        """The caller."""
        return ok({"user": caller_of(request).user_id, "bound": context.user_id()})


class BigView(TestView):
    def get(self, request: Request) -> Answer:
        """More than 1 KiB; `?secret` flags it."""
        return ok({"text": "a" * 5_000}, secret="secret" in request.query_params)


class BoomView(TestView):
    def get(self, request: Request) -> Answer:
        """A bug whose text holds a secret."""
        raise RuntimeError("password=hunter2")


class SignInView(TestView):
    throttle_scope = "sign_in"

    def post(self, request: Request) -> Answer:
        """As a sign-in is counted."""
        return ok({})


class GrantView(TestView):
    def post(self, request: Request) -> Answer:
        """One audit row a grant; the body may ask for a refusal, a pause or a secret."""
        form: dict[str, Any] = dict(request.data)

        def effect() -> Answer:
            event = audit.record("test.grant", actor_id=None, after={"amount": str(form.get("amount"))})
            time.sleep(float(form.get("pause_s", 0)))
            if form.get("refuse"):
                raise InvalidCredentials
            return ok({"id": event.pk, "amount": form.get("amount")}, status=201, secret=bool(form.get("secret")))

        return idempotent(request, optional_caller(request), effect)


def plain_boom(request: HttpRequest) -> HttpResponse:
    """A bug outside REST framework."""
    raise RuntimeError("token=abc")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """An answer in pieces."""
    return StreamingHttpResponse((f"{n}\n" for n in range(1_000)), content_type="text/plain")


def slow(request: HttpRequest) -> HttpResponse:
    """Takes its time, then leaves a mark."""
    time.sleep(0.5)
    AuditEvent.objects.create(action=f"slow.{request.GET['mark']}")
    return HttpResponse(b"done")


def count_rows(request: HttpRequest) -> HttpResponse:
    """One query."""
    return HttpResponse(str(AuditEvent.objects.count()))


urlpatterns: list[URLPattern] = [
    path("echo", EchoView.as_view()),
    path("raw", RawView.as_view()),
    path("who", WhoView.as_view()),
    path("big", BigView.as_view()),
    path("boom", BoomView.as_view()),
    path("sign-in", SignInView.as_view()),
    path("grant", GrantView.as_view()),
    path("plain-boom", plain_boom),
    path("stream", stream),
    path("slow", slow),
    path("count", count_rows),
    path("orders/<str:order_id>", LiveView.as_view()),
    path("health/live", LiveView.as_view()),
]
handler400 = "astrade.core.http.handler400"
handler403 = "astrade.core.http.handler403"
handler404 = "astrade.core.http.handler404"
handler500 = "astrade.core.http.handler500"
