"""The base of every API view: one envelope, one way to read a body, one way to answer.

class OrdersView(ApiView):
    throttle_scope = None       a name of core.throttling.LIMITS; None counts by user and tier, or by address
    def post(self, request): return ok(body(OrderSerializer, order), status=201)

shape(XSerializer, data)        validated values      body / bodies(XSerializer, …)   public form
ok(data, status=, pagination=, secret=)               the answer; `secret` where it holds a token or key
http_request(request)           Django's request below: `.request_id`, `.client_address`
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn, cast

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from astrade.core import context, throttling
from astrade.core.api.parsers import JsonParser, decode
from astrade.core.api.renderers import EnvelopeRenderer
from astrade.core.errors import Malformed, UnsupportedMediaType
from astrade.core.http import Answer, DressedRequest
from astrade.core.permissions import optional_caller

AnySerializer = serializers.BaseSerializer[Any]
_RENDERER = EnvelopeRenderer()
_NEGOTIATOR = DefaultContentNegotiation()


_made: dict[tuple[type[AnySerializer], bool], AnySerializer] = {}


def _bound(serializer_class: type[AnySerializer], partial: bool) -> AnySerializer:
    """One instance a class: making a serializer copies all its fields, using it keeps no state on it."""
    made = _made.get((serializer_class, partial))
    if made is None:
        made = _made[serializer_class, partial] = serializer_class(partial=partial)
    return made


def shape(serializer_class: type[AnySerializer], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """Values of a body or query, valid by shape and type alone; raises REST framework's ValidationError (400/1001)."""
    if not isinstance(data, Mapping):
        raise Malformed("A JSON object is required")
    values: dict[str, Any] = _bound(serializer_class, partial).run_validation(data)
    return values


def body(serializer_class: type[AnySerializer], instance: Any) -> Any:
    """The public form of one object."""
    return _bound(serializer_class, False).to_representation(instance)


def bodies(serializer_class: type[AnySerializer], instances: Sequence[Any]) -> list[Any]:
    """The public form of several objects."""
    bound = _bound(serializer_class, False)
    return [bound.to_representation(instance) for instance in instances]


def http_request(request: Request) -> DressedRequest:
    """Django's own request, which the middleware dressed."""
    return cast(DressedRequest, request._request)


class ApiRequest(Request):
    """A request whose body is JSON; views with other parsers read it as REST framework does."""

    def _parse(self) -> tuple[Any, Any]:
        raw = self._request.body
        if not raw:
            return {}, {}
        if [type(parser) for parser in self.parsers or ()] != [JsonParser]:
            parsed: tuple[Any, Any] = super()._parse()  # type: ignore[misc]
            return parsed
        if not is_json(self._request.META.get("CONTENT_TYPE", "")):
            raise UnsupportedMediaType("application/json is required")
        return (decode(raw) if raw.strip() else {}), {}


def is_json(content_type: str) -> bool:
    """`application/json`, with or without parameters."""
    return content_type.partition(";")[0].strip().lower() == JsonParser.media_type


class ApiView(APIView):
    """Views answer with `ok(...)`; the exception handler speaks for errors."""

    throttle_scope: ClassVar[str | None] = None
    counted: ClassVar[bool] = True
    versioning_class = None

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """REST framework's request without content negotiation."""
        return ApiRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=_NEGOTIATOR,
            parser_context=self.get_parser_context(request),
        )

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """There is one form of answer."""
        if self.renderer_classes == APIView.renderer_classes:
            return _RENDERER, EnvelopeRenderer.media_type
        negotiated: tuple[Any, str] = super().perform_content_negotiation(request, force)
        return negotiated

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who is it, how often, may they. A failed sign-in counts against its address."""
        self.format_kwarg = None
        request.version, request.versioning_scheme = None, None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        self._count(request)
        self.check_permissions(request)

    def _count(self, request: Request) -> None:
        if not self.counted:
            return
        try:
            caller = optional_caller(request)
        except Exception:
            throttling.check(request._request, None, self.throttle_scope)
            raise
        if caller is not None:
            context.set_user(caller.user_id)
        throttling.check(request._request, caller, self.throttle_scope)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """`Allow` is sent with 405 and OPTIONS only."""
        return {"Allow": ", ".join(self.allowed_methods)} if self.request.method == "OPTIONS" else {}

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """405 names what is allowed."""
        self.headers["Allow"] = ", ".join(self.allowed_methods)
        raise MethodNotAllowed(request.method)


ok = Answer  # as it reads best at the end of a view
