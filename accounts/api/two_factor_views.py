"""Two-factor sign-in: setting it up, confirming it, answering with it, and giving it up."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from accounts.api import serializers as shapes
from accounts.api.views import PublicView, answer_pair, client_of
from accounts.services import answer_challenge, two_factor
from astrade.core.api.views import ApiView, body, ok, shape
from astrade.core.clock import system_clock
from astrade.core.http import Answer
from astrade.core.permissions import IsSession, caller_of

FRESH_CODE = OpenApiParameter(
    "X-2FA-Code", str, OpenApiParameter.HEADER, description="A code of the authenticator, or a recovery code"
)


def fresh_code_of(request: Request) -> str | None:
    """The second factor that came with a call."""
    code: str | None = request.META.get("HTTP_X_2FA_CODE")
    return code


class TwoFactorSetupView(ApiView):
    """A new authenticator."""

    permission_classes = (IsSession,)

    @extend_schema(operation_id="set_up_two_factor", request=None, responses=shapes.TwoFactorSetupSerializer)
    def post(self, request: Request) -> Answer:
        """Begin: what to enter in or scan with the authenticator. Nothing changes until it is confirmed."""
        begun = two_factor.begin_setup(caller_of(request).user_id, now=system_clock())
        return ok(body(shapes.TwoFactorSetupSerializer, begun), secret=True)


class TwoFactorConfirmView(ApiView):
    """Putting it into force."""

    permission_classes = (IsSession,)
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="confirm_two_factor", request=shapes.CodeSerializer, responses=shapes.RecoveryCodesSerializer
    )
    def post(self, request: Request) -> Answer:
        """Confirm with a first code; the answer holds the recovery codes, shown this once."""
        form = shape(shapes.CodeSerializer, request.data)
        codes = two_factor.confirm(caller_of(request).user_id, code=form["code"], now=system_clock())
        return ok({"enabled": True, "recovery_codes": codes}, secret=True)


class TwoFactorDisableView(ApiView):
    """Giving it up."""

    permission_classes = (IsSession,)
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="disable_two_factor", request=None, parameters=[FRESH_CODE], responses=shapes.TwoFactorSerializer
    )
    def post(self, request: Request) -> Answer:
        """Sign in by password alone again; wants a last code."""
        two_factor.disable(caller_of(request).user_id, code=fresh_code_of(request), now=system_clock())
        return ok({"enabled": False})


class TwoFactorVerifyView(PublicView):
    """The second step of signing in."""

    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="verify_two_factor",
        request=shapes.ChallengeAnswerSerializer,
        responses=shapes.TokenPairSerializer,
    )
    def post(self, request: Request) -> Answer:
        """Complete a sign-in that was answered with a challenge."""
        form = shape(shapes.ChallengeAnswerSerializer, request.data)
        return answer_pair(answer_challenge(**form, client=client_of(request), now=system_clock()))
