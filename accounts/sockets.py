"""Who opens a socket: what the setting `SOCKET_IDENTITY` names (see astrade.core.sockets.identity)."""

from collections.abc import Sequence

from accounts.services import authenticate_token, redeem_ws_ticket, revoked_callers
from astrade.core.permissions import Caller


class SocketIdentity:
    """Blocking; called in a thread."""

    def by_token(self, raw: str, *, client_ip: str) -> Caller:
        """The caller an access token or API key proves; raises IdentityError."""
        return authenticate_token(raw, client_ip=client_ip)

    def by_ticket(self, ticket: str, *, client_ip: str) -> Caller:
        """The caller of a one-time ticket, which is spent; raises IdentityError."""
        return redeem_ws_ticket(ticket)

    def revoked(self, callers: Sequence[Caller]) -> set[Caller]:
        """Those whose user is frozen or whose session or key was revoked."""
        return revoked_callers(callers)
