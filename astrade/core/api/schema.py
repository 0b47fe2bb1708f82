"""How OpenAPI tells what every view has in common: the envelope, pagination, errors, who may call.

`EnvelopeSchema` is the DEFAULT_SCHEMA_CLASS: a view says what `data` is by `@extend_schema(responses=…)`, the envelope
around it, `pagination` on lists (`XSerializer(many=True)`) and the error answers are added here.
Operation ids are made from method and path, so that aliases of one view don't collide.
"""

from typing import Any

from django.apps import apps
from django.utils.functional import cached_property
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from astrade.core.errors import STATUS_OF
from astrade.core.permissions import IsSession, Public

PREFIX = "/api/v1/"
SESSION_SCHEMES = frozenset({"accessToken"})  # those that show a person, not a key
META = {
    "request_id": {"type": "string", "maxLength": 128},
    "timestamp": {"type": "integer", "format": "int64", "description": "Milliseconds since the Unix epoch, UTC."},
}
PAGINATION = {
    "type": "object",
    "description": "Newest first; `cursor` asks for the next page and is null on the last one.",
    "properties": {"cursor": {"type": ["integer", "null"], "format": "int64"}, "count": {"type": "integer"}},
    "required": ["cursor", "count"],
}
ERROR = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "const": "error"},
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer", "enum": sorted(STATUS_OF)},
                "message": {"type": "string"},
                "details": {
                    "type": "object",
                    "additionalProperties": True,
                    "description": "`fields` names what was wrong.",
                },
            },
            "required": ["code", "message", "details"],
        },
        **META,
    },
    "required": ["status", "error", "request_id", "timestamp"],
}
ERROR_ANSWERS = {"4XX": "Refused; the code says why.", "5XX": "Not available now, or a fault of ours."}


def only_documented(endpoints: list[Any], **_: Any) -> list[Any]:
    """The same paths at `/api` and `/` answer too, but one form is documented."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(PREFIX)]


def enveloped(data: dict[str, Any], *, paged: bool = False) -> dict[str, Any]:
    """The success envelope around the schema of `data`; `paged` where an object holds a page of a list."""
    properties = {"status": {"type": "string", "const": "ok"}, "data": data, **META}
    required = ["status", "data", "request_id", "timestamp"]
    if paged or data.get("type") == "array":
        properties["pagination"] = PAGINATION
    return {"type": "object", "properties": properties, "required": required}


class EnvelopeSchema(AutoSchema):
    """See the module."""

    @cached_property
    def _error_reference(self) -> dict[str, Any]:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Error", type=ResolvedComponent.SCHEMA, object="Error", schema=ERROR
        )
        self.registry.register_on_missing(component)
        return {"application/json": {"schema": component.ref}}

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        serializer = self.get_response_serializers()
        answer_for: Any = self._get_response_for_code
        if self.method == "DELETE" and not isinstance(serializer, dict):  # 204 never: an envelope always comes back
            bodies = {"200": answer_for(serializer, "200", None, direction)}
        for code, description in ERROR_ANSWERS.items():
            bodies.setdefault(code, {"description": description, "content": self._error_reference})
        return bodies

    def _get_response_for_code(
        self, serializer: Any, status_code: str, media_types: Any = None, direction: Any = "response"
    ) -> dict[str, Any]:
        answer_for: Any = super()._get_response_for_code
        answer: dict[str, Any] = answer_for(serializer, status_code, media_types, direction)
        content = answer.get("content", {}).get("application/json")
        if content is not None and status_code.startswith("2"):
            content["schema"] = enveloped(content.get("schema", {}), paged=getattr(self.view, "paged", False))
        return answer

    def get_auth(self) -> list[dict[str, Any]]:
        """Any one credential is enough. Public calls need none, yet know who is calling where one comes."""
        together: list[dict[str, Any]] = super().get_auth()
        auth = [{name: scopes} for requirement in together for name, scopes in requirement.items()]
        if IsSession in self.view.permission_classes:
            auth = [requirement for requirement in auth if requirement.keys() <= SESSION_SCHEMES]
        if Public in self.view.permission_classes and {} not in auth:
            auth.append({})
        return auth

    def get_operation_id(self) -> str:
        """`get_orders_by_id` for GET /orders/{id}."""
        parts = [part for part in self.path.removeprefix(PREFIX).split("/") if part]
        words = [f"by_{part[1:-1]}" if part.startswith("{") else part for part in parts]
        return "_".join([self.method.lower(), *words]).replace("-", "_").replace(".", "_")

    def get_tags(self) -> list[str]:
        """What the view's app is called."""
        app = apps.get_containing_app_config(type(self.view).__module__)
        return [str(app.verbose_name)] if app else []


def warnings_so_far() -> int:
    """How many warnings and errors document generation met; checked to be none."""
    return sum(len(messages) for messages in (GENERATOR_STATS._warn_cache, GENERATOR_STATS._error_cache))
