"""What lets a user in: their sessions and their API keys, listed and revoked by a signed-in person."""

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts import selectors, services
from accounts.api import serializers as shapes
from accounts.api.two_factor_views import FRESH_CODE, fresh_code_of
from astrade.core.api.pagination import PageQuery, page_by_time
from astrade.core.api.views import ApiView, bodies, body, ok, shape
from astrade.core.clock import system_clock
from astrade.core.http import Answer
from astrade.core.permissions import IsSession, caller_of


class SessionsView(ApiView):
    """Signed-in devices."""

    permission_classes = (IsSession,)

    @extend_schema(operation_id="list_sessions", parameters=[PageQuery], responses=shapes.SessionSerializer(many=True))
    def get(self, request: Request) -> Answer:
        """The user's live sessions, newest first."""
        caller = caller_of(request)
        families = selectors.marked(selectors.sessions_of(caller.user_id, now=system_clock()), current=caller.family_id)
        rows, pagination = page_by_time(families, request, key="created_at")
        return ok(bodies(shapes.SessionSerializer, rows), pagination=pagination)


class SessionView(ApiView):
    """One signed-in device."""

    permission_classes = (IsSession,)

    @extend_schema(operation_id="revoke_session", responses=shapes.RevokedSerializer)
    def delete(self, request: Request, session_id: uuid.UUID) -> Answer:
        """End one session: its tokens stop working and its sockets close."""
        caller = caller_of(request)
        return ok({"revoked": services.revoke_session(caller.user_id, session=session_id, now=system_clock())})


class ApiKeysView(ApiView):
    """Keys for programs."""

    permission_classes = (IsSession,)

    @extend_schema(operation_id="list_api_keys", parameters=[PageQuery], responses=shapes.ApiKeySerializer(many=True))
    def get(self, request: Request) -> Answer:
        """The user's keys, newest first, without their secrets."""
        rows, pagination = page_by_time(selectors.api_keys_of(caller_of(request).user_id), request, key="created_at")
        return ok(bodies(shapes.ApiKeySerializer, rows), pagination=pagination)

    @extend_schema(
        operation_id="create_api_key",
        request=shapes.CreateApiKeySerializer,
        parameters=[FRESH_CODE],
        responses={201: shapes.NewApiKeySerializer},
    )
    def post(self, request: Request) -> Answer:
        """Make a key; its secret is in this answer and nowhere else. Scope `withdraw` wants `X-2FA-Code`."""
        form = shape(shapes.CreateApiKeySerializer, request.data)
        code = fresh_code_of(request)
        made = services.create_api_key(caller_of(request).user_id, **form, code=code, now=system_clock())
        shown = body(shapes.ApiKeySerializer, made.key)
        return ok({**shown, "secret": made.secret}, status=201, secret=True)


class ApiKeyView(ApiView):
    """One key."""

    permission_classes = (IsSession,)

    @extend_schema(operation_id="get_api_key", responses=shapes.ApiKeySerializer)
    def get(self, request: Request, key_id: uuid.UUID) -> Answer:
        """A key without its secret."""
        return ok(body(shapes.ApiKeySerializer, selectors.api_key_of(caller_of(request).user_id, key=key_id)))

    @extend_schema(operation_id="revoke_api_key", responses=shapes.RevokedSerializer)
    def delete(self, request: Request, key_id: uuid.UUID) -> Answer:
        """Revoke a key: calls with it are refused from now on and its sockets close."""
        services.revoke_api_key(caller_of(request).user_id, key=key_id, now=system_clock())
        return ok({"revoked": 1})
