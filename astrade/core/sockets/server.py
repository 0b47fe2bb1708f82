"""uvicorn's WebSocket protocol with a second way out, for frames that were encoded once for all who read them.

    uvicorn astrade.asgi:application --ws astrade.core.sockets.server:DirectProtocol

ASGI's `send` is a coroutine that encodes each message anew: a task's turn and a copy for every reader. A consumer finds
`DIRECT` among its scope's extensions and hands over whole frames instead: a server's are not masked (RFC 6455, 5.1),
so the same bytes serve every socket, and uncompressed ones may be sent whatever was negotiated (RFC 7692, 6). Under
another server the extension is missing, and consumers send by ASGI.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

DIRECT = "astrade.direct"
SWITCHING_PROTOCOLS = 101


class DirectProtocol(WebSocketsSansIOProtocol):
    """One connection; see the module."""

    def handle_connect(self, event: Request) -> None:
        """Offer the extension; the application's task begins later."""
        super().handle_connect(event)
        if self.response.status_code == SWITCHING_PROTOCOLS:
            self.scope["extensions"][DIRECT] = {"write": self.write}

    def write(self, wire: bytes) -> bool:
        """Write a whole frame now; False where it would have to wait for the reader, or the connection isn't open."""
        if not self.writable.is_set() or self.conn.state is not State.OPEN or self.disconnected:
            return False
        self.transport.write(wire)
        return True
