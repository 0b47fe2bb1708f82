"""How a request proves who sends it: a token or an API key, never a header that only names somebody."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.services import authenticate_token, report_impersonation
from astrade.core.errors import NotPermitted
from astrade.core.permissions import Caller

CREDENTIAL_LENGTH_MAX = 4096


class CallerAuthentication(BaseAuthentication):
    """`Authorization: Bearer …` (access token or API key), else `X-Api-Key: …`."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """The caller; None where no credential came. Raises IdentityError for one that isn't good.

        `X-User-ID` proves nothing: alone it is nobody, equal to the caller it is idle, else it is refused and noted.
        """
        raw = credential_of(request.META)
        if raw is None:
            return None
        client_ip = client_ip_of(request)
        caller = authenticate_token(raw, client_ip=client_ip)
        named = request.META.get("HTTP_X_USER_ID")
        if named is not None and named.strip().lower() != str(caller.user_uuid):
            report_impersonation(caller, ip=client_ip)
            raise NotPermitted("X-User-ID names another user")
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


def credential_of(meta: dict[str, Any]) -> str | None:
    """The token or key of a request's headers, cut to a length that no good one reaches."""
    scheme, _, token = meta.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and (token := token.strip()):
        return str(token[:CREDENTIAL_LENGTH_MAX])
    key = meta.get("HTTP_X_API_KEY", "").strip()
    return str(key[:CREDENTIAL_LENGTH_MAX]) or None


def client_ip_of(request: Request) -> str | None:
    """The caller's address, which the request middleware found behind trusted proxies."""
    return getattr(request._request, "client_address", None) or request.META.get("REMOTE_ADDR")
