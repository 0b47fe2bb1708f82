"""Signing in and out, and the user themself."""

import uuid

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request

from accounts import selectors, services
from accounts.api import serializers as shapes
from accounts.api.authentication import client_ip_of
from accounts.models import UserState
from accounts.services import Client, TokenPair
from accounts.services.tickets import LIFETIME_S
from astrade.core.api.views import ApiView, body, ok, shape
from astrade.core.clock import system_clock
from astrade.core.errors import NotPermitted
from astrade.core.http import Answer
from astrade.core.permissions import SAFE_METHODS, Caller, IsReader, IsSession, IsUser, Public, caller_of

USER_AGENT_LENGTH = 200


class PublicView(ApiView):
    """Looks at no credential: an expired token must not stand in the way of signing in again."""

    authentication_classes = ()
    permission_classes = (Public,)


def client_of(request: Request) -> Client:
    """Where a request comes from, fit to be stored and shown."""
    agent = request.META.get("HTTP_USER_AGENT", "")
    return Client(ip=client_ip_of(request), user_agent="".join(filter(str.isprintable, agent))[:USER_AGENT_LENGTH])


def family_of(caller: Caller) -> uuid.UUID:
    """The session of a caller whom `IsSession` let in."""
    if caller.family_id is None:
        raise NotPermitted
    return uuid.UUID(caller.family_id)


def answer_pair(pair: TokenPair, *, status: int = 200) -> Answer:
    """A token pair."""
    return ok(body(shapes.TokenPairSerializer, pair), status=status, secret=True)


class SignUpView(PublicView):
    """New users."""

    throttle_scope = "sign_up"

    @extend_schema(operation_id="sign_up", request=shapes.SignUpSerializer, responses={201: shapes.TokenPairSerializer})
    def post(self, request: Request) -> Answer:
        """Sign up with e-mail and password: a practice account and a first session come with it."""
        form = shape(shapes.SignUpSerializer, request.data)
        return answer_pair(services.sign_up(**form, client=client_of(request), now=system_clock()), status=201)


@extend_schema_view(post=extend_schema(operation_id="register"))
class RegisterView(SignUpView):
    """Its other path."""


class SignInView(PublicView):
    """Signing in."""

    throttle_scope = "sign_in"

    @extend_schema(operation_id="sign_in", request=shapes.CredentialsSerializer, responses=shapes.TokenPairSerializer)
    def post(self, request: Request) -> Answer:
        """Sign in with e-mail and password."""
        form = shape(shapes.CredentialsSerializer, request.data)
        return answer_pair(services.sign_in(**form, client=client_of(request), now=system_clock()))


@extend_schema_view(post=extend_schema(operation_id="login"))
class LoginView(SignInView):
    """Its other path."""


class RefreshView(PublicView):
    """Staying signed in."""

    @extend_schema(operation_id="refresh", request=shapes.RefreshSerializer, responses=shapes.TokenPairSerializer)
    def post(self, request: Request) -> Answer:
        """Spend a refresh token for the next pair. A spent one ends the session, so refresh one at a time."""
        form = shape(shapes.RefreshSerializer, request.data)
        return answer_pair(services.refresh(form["refresh_token"], now=system_clock()))


class SignOutView(ApiView):
    """Signing out here."""

    permission_classes = (IsSession,)

    @extend_schema(operation_id="sign_out", request=shapes.LogoutSerializer, responses=shapes.RevokedSerializer)
    def post(self, request: Request) -> Answer:
        """End this session, or the one of `refresh_token`."""
        caller, form = caller_of(request), shape(shapes.LogoutSerializer, request.data)
        token = form.get("refresh_token")
        ended = services.sign_out(caller.user_id, family=family_of(caller), refresh_token=token, now=system_clock())
        return ok({"revoked": ended})


class SignOutEverywhereView(ApiView):
    """Signing out of all devices."""

    permission_classes = (IsSession,)

    @extend_schema(operation_id="sign_out_everywhere", request=None, responses=shapes.RevokedSerializer)
    def post(self, request: Request) -> Answer:
        """End all sessions of the user."""
        return ok({"revoked": services.sign_out_everywhere(caller_of(request).user_id, now=system_clock())})


class ChangePasswordView(ApiView):
    """A new password."""

    permission_classes = (IsSession,)
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="change_password",
        request=shapes.ChangePasswordSerializer,
        responses=shapes.RevokedSerializer,
    )
    def post(self, request: Request) -> Answer:
        """Change the password; all other sessions end."""
        caller, form = caller_of(request), shape(shapes.ChangePasswordSerializer, request.data)
        family = family_of(caller)
        ended = services.change_password(caller.user_id, **form, family=family, now=system_clock())
        return ok({"revoked": ended})


class WsTicketView(ApiView):
    """Tickets for sockets."""

    permission_classes = (IsReader,)

    @extend_schema(operation_id="issue_ws_ticket", request=None, responses=shapes.TicketSerializer)
    def post(self, request: Request) -> Answer:
        """A ticket for one socket within 60 s, with the rights of this call's credential."""
        ticket = services.issue_ws_ticket(caller_of(request))
        return ok({"ticket": ticket, "expires_in": LIFETIME_S}, secret=True)


class MeView(ApiView):
    """The user themself. Programs may look; only the person may change."""

    def get_permissions(self) -> list[IsUser | IsSession]:
        """Reading with any credential, writing with a session."""
        return [IsUser() if self.request.method in SAFE_METHODS else IsSession()]

    @extend_schema(operation_id="get_me", responses=shapes.ProfileSerializer)
    def get(self, request: Request) -> Answer:
        """Profile, settings and totals."""
        return ok(body(shapes.ProfileSerializer, selectors.user_by_uuid(caller_of(request).user_uuid)))

    @extend_schema(operation_id="update_me", request=shapes.UpdateProfileSerializer, responses=shapes.ProfileSerializer)
    def patch(self, request: Request) -> Answer:
        """Change display name, time zone (once in 24 hours), the account of one-tap trades, begin a cool-off, or accept
        terms."""
        changes = shape(shapes.UpdateProfileSerializer, request.data, partial=True)
        ip = client_ip_of(request)
        user = services.update_profile(caller_of(request).user_id, now=system_clock(), ip=ip, **changes)
        return ok(body(shapes.ProfileSerializer, user))

    @extend_schema(operation_id="close_me", responses=shapes.ClosedSerializer)
    def delete(self, request: Request) -> Answer:
        """Close the user for good and forget who they were; refused while anything is open."""
        services.close_user(caller_of(request).user_id, now=system_clock())
        return ok({"state": UserState.CLOSED})


class MyCredentialsView(ApiView):
    """E-mail and password for somebody who came without."""

    permission_classes = (IsSession,)

    @extend_schema(
        operation_id="add_credentials",
        request=shapes.CredentialsSerializer,
        responses={201: shapes.ProfileSerializer},
    )
    def post(self, request: Request) -> Answer:
        """Add e-mail and password to a user who has none."""
        form = shape(shapes.CredentialsSerializer, request.data)
        user = services.add_credentials(caller_of(request).user_id, **form)
        return ok(body(shapes.ProfileSerializer, user), status=201)
