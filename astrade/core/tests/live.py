"""A real uvicorn on a real port, in a thread of the test process, so that tests of sockets patch nothing."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import uvicorn
from websockets.sync.client import ClientConnection, connect

from astrade.core.sockets.server import DirectProtocol

RECV_WAIT_S = 5.0


class Client:
    """A socket that speaks JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, message: Any) -> None:
        """One text frame."""
        self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def recv(self, *, wait_s: float = RECV_WAIT_S) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(self.connection.recv(timeout=wait_s))
        return frame

    def recv_until(self, condition: Callable[[dict[str, Any]], bool], *, wait_s: float = RECV_WAIT_S) -> dict[str, Any]:
        """The first frame that meets `condition`; those before it are dropped."""
        while not condition(frame := self.recv(wait_s=wait_s)):
            pass
        return frame

    def of(self, kind: str) -> dict[str, Any]:
        """The next frame of a type."""
        return self.recv_until(lambda frame: frame["type"] == kind)

    def close(self) -> None:
        """Say goodbye."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LiveServer:
    """Serves one ASGI application while the `with` block runs."""

    def __init__(self, application: Any, *, ws: Any = DirectProtocol) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._listener = listener
        config = uvicorn.Config(
            application,
            ws=ws,
            lifespan="on",
            log_config=None,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))

    def stop(self) -> None:
        """Shut down as on SIGTERM."""
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._listener.close()

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server ended at its start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def connect(self, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Client:
        """Open a socket; raises websockets' InvalidStatus when the upgrade is refused."""
        address = f"ws://127.0.0.1:{self.port}{path}"
        return Client(connect(address, additional_headers=headers, compression=None, proxy=None, **options))
