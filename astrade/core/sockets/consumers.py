"""The base of every consumer: who is calling, how many, how fast, for how long; subclasses subscribe, forward, close.

A consumer overrides `opened` (its caller is known or not needed), `on_message` (a client's frame that isn't about the
connection itself) and `closed`. Frames go out by `self.outbox` only, so one task writes to the socket.
"""

import asyncio
import logging
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings

from astrade.core.addresses import rate_identity
from astrade.core.api.renderers import encode, error_envelope
from astrade.core.context import new_request_id
from astrade.core.errors import (
    AstradeError,
    Malformed,
    NotFound,
    NotPermitted,
    ScopeMissing,
    TooManyConnections,
)
from astrade.core.permissions import Caller
from astrade.core.sockets.closing import FORBIDDEN, NORMAL, TOO_SLOW, TRY_LATER, close_code_of
from astrade.core.sockets.hub import FrameHub, hub
from astrade.core.sockets.identity import Credential, client_ip_of, credential_of, prove
from astrade.core.sockets.limits import Pace
from astrade.core.sockets.metrics import CLOSED, OPEN, RECEIVED, REFUSED
from astrade.core.sockets.outbox import Outbox
from astrade.core.sockets.protocol import error_frame, heartbeat, id_of, parse, reply
from astrade.core.sockets.server import DIRECT
from astrade.core.sockets.threads import in_thread

CLOSE_WITHIN_S = 5.0
BAD_FRAME_COST = 4.0
logger = logging.getLogger(__name__)

Scope = dict[str, Any]


class SocketConsumer(AsyncConsumer):  # type: ignore[misc]
    """A public socket; whoever shows credentials is signed in."""

    caller: Caller | None = None
    hub: FrameHub
    outbox: Outbox
    _subject: str | None = None  # what the socket is counted as
    _closing = False
    _aborted = False

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one connection to its end."""
        self.scope, self._send = scope, send
        self.client_ip = client_ip_of(scope)
        self.hub = hub()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._active_at = self._loop.time()
        try:
            if (await receive())["type"] == "websocket.connect":
                await self._serve(receive)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
        finally:
            if self._subject is not None:
                await self.hub.counter.release(self._subject)

    # The connection

    async def _serve(self, receive: Any) -> None:
        failure = await self._identify()
        subject, limit = self._counted_as()
        if not await self.hub.counter.take(subject, limit=limit):
            REFUSED.labels(subject[0]).inc()
            await self._reject(TooManyConnections(retry_after_s=10))
            return
        self._subject = subject
        direct = self.scope.get("extensions", {}).get(DIRECT, {})
        self.outbox = Outbox(on_overflow=self._overflowed, write=direct.get("write"))
        await self._send({"type": "websocket.accept"})
        writer = asyncio.create_task(self._write())
        self.hub.enrol(self)
        OPEN.labels(type(self).__name__).inc()
        try:
            await self._begin(failure)
            await self._read(receive)
        finally:
            OPEN.labels(type(self).__name__).dec()
            self.hub.dismiss(self)
            self.closed()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _identify(self) -> AstradeError | None:
        """Set `caller` from the upgrade request; what was wrong with its credentials, if anything."""
        credential = credential_of(self.scope)
        if credential is None:
            return None
        try:
            self.caller = await self._prove(credential)
        except AstradeError as error:
            return error
        return None

    async def _prove(self, credential: Credential) -> Caller:
        try:
            caller = await in_thread(prove, credential, client_ip=self.client_ip)
        except AstradeError:
            raise
        except Exception as exc:
            logger.exception("socket_identity_failed")
            raise AstradeError from exc
        if "read" not in caller.scopes:
            raise ScopeMissing(details={"scope": "read"})
        return caller

    def _counted_as(self) -> tuple[str, int]:
        if self.caller is not None:
            return f"u:{self.caller.user_id}", settings.WS_CONNECTIONS_PER_USER
        return f"a:{rate_identity(self.client_ip)}", settings.WS_CONNECTIONS_PER_IP

    async def _reject(self, error: AstradeError) -> None:
        """Answer the upgrade request with a plain HTTP error."""
        if "websocket.http.response" not in self.scope.get("extensions", {}):
            await self._send({"type": "websocket.close", "code": TRY_LATER})
            return
        body = encode(error_envelope(error.code, str(error), error.details, asked=new_request_id()))
        headers = [(b"content-type", b"application/json"), (b"retry-after", str(error.retry_after_s or 1).encode())]
        await self._send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def _begin(self, failure: AstradeError | None) -> None:
        if failure is not None:
            self.refuse(failure)
            return
        await self._guard(self.opened())

    async def _guard(self, work: Any, *, message_id: str | int | None = None) -> None:
        """Run one step of the conversation: a refusal becomes an error frame, a bug one with 9000 and a log line."""
        try:
            await work
        except AstradeError as error:
            self.outbox.put(error_frame(error, message_id=message_id))
        except Exception:
            logger.exception("socket_failed", extra={"consumer": type(self).__name__})
            self.outbox.put(error_frame(AstradeError(), message_id=message_id))

    # Frames in

    async def _read(self, receive: Any) -> None:
        pace = Pace(now=self._loop.time())
        while (message := await receive())["type"] != "websocket.disconnect":
            if self._closing:
                continue
            cost = await self._handle(message)
            if delay_s := pace.delay_s(cost=cost, now=self._loop.time()):
                await asyncio.sleep(delay_s)

    async def _handle(self, received: dict[str, Any]) -> float:
        """Act on one frame; what it costs of the client's pace."""
        self._active_at = self._loop.time()
        try:
            message = parse(received)
            message_id = id_of(message)
        except AstradeError as error:
            RECEIVED.labels("bad").inc()
            self.outbox.put(error_frame(error))
            return BAD_FRAME_COST
        RECEIVED.labels("good").inc()
        await self._guard(self._dispatch(message, message_id), message_id=message_id)
        arguments = message.get("args")
        return 1.0 + (len(arguments) if isinstance(arguments, list) else 0)

    async def _dispatch(self, message: dict[str, Any], message_id: str | int | None) -> None:
        echo = {} if message_id is None else {"id": message_id}
        if message.get("type") == "ping":
            self.outbox.put(reply("pong", **echo))
        elif message.get("op") == "ping":
            self.outbox.put(reply("ack", op="ping", status="ok", **echo))
        elif "token" in message:
            await self._sign_in(message, echo)
        else:
            await self.on_message(message)

    async def _sign_in(self, message: dict[str, Any], echo: dict[str, Any]) -> None:
        token = message["token"]
        if not isinstance(token, str):
            raise Malformed("token is a string")
        try:
            caller = await self._prove(Credential("token", token))
        except AstradeError as error:
            if self.caller is not None:
                raise
            self.refuse(error)
            return
        if self.caller is None:
            await self._become(caller)
        elif caller.user_id != self.caller.user_id:
            raise NotPermitted("This socket belongs to another user")
        if not self._closing:
            await self.signed_in(message, echo)

    async def _become(self, caller: Caller) -> None:
        """Count the socket for its user instead of its address."""
        address, self.caller = self._subject, caller
        subject, limit = self._counted_as()
        if not await self.hub.counter.take(subject, limit=limit):
            REFUSED.labels(subject[0]).inc()
            self.refuse(TooManyConnections(), code=TRY_LATER)
            return
        self._subject = subject
        if address is not None:
            await self.hub.counter.release(address)

    # What subclasses say

    async def opened(self) -> None:
        """The connection stands; `caller` is None for an anonymous one."""

    async def signed_in(self, message: dict[str, Any], echo: dict[str, Any]) -> None:
        """A `{"token": …}` frame was good."""
        self.outbox.put(reply("authenticated", **echo))

    async def on_message(self, message: dict[str, Any]) -> None:
        """A frame that isn't about the connection itself; raise to answer with an error frame."""
        raise Malformed("Unknown message")

    def closed(self) -> None:
        """The connection ended: leave every channel."""

    # Frames out and the end

    def refuse(self, error: AstradeError, *, code: int | None = None) -> None:
        """Say why and close."""
        self.outbox.put(error_frame(error))
        self.close(code or close_code_of(error), reason=str(error))

    def close(self, code: int, *, reason: str = "") -> None:
        """Close after what is queued; a peer that doesn't read is cut off after CLOSE_WITHIN_S."""
        if self._closing:
            return
        self._closing = True
        CLOSED.labels(str(code)).inc()
        self.outbox.finish(code=code, reason=reason[:100])
        self._loop.call_later(CLOSE_WITHIN_S, self._abort)

    def _overflowed(self) -> None:
        self.close(TOO_SLOW, reason="Reads too slowly; resume by sequence")

    def _abort(self) -> None:
        if self._task is not None and not self._task.done():
            self._aborted = True
            self._task.cancel()

    async def _write(self) -> None:
        try:
            await self.outbox.run(self._send_text, self._send_close)
        except OSError:
            logger.debug("socket_gone")  # the reader learns the same and ends the connection

    async def _send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def _send_close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    # The hub's calls

    def tick(self, now: float) -> None:
        """Close a socket on which neither side had anything to say for a while; heartbeats don't count."""
        if now - self._active_at > settings.WS_IDLE_S:
            self.close(NORMAL, reason="idle")

    def active(self) -> None:
        """The socket carried something."""
        self._active_at = self._loop.time()

    def beat(self, at_ms: int) -> None:
        """Send a heartbeat."""
        self.outbox.put(heartbeat(at_ms))

    def revoke(self) -> None:
        """Frozen, or the session or key was revoked."""
        self.refuse(NotPermitted("The session was revoked"), code=FORBIDDEN)


class NoSuchSocket(SocketConsumer):
    """Any other path: a 404 before the upgrade."""

    async def _serve(self, receive: Any) -> None:
        await self._reject(NotFound("No such socket"))
