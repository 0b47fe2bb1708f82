"""Sockets of a known user."""

import asyncio
import logging
from typing import Any

from django.conf import settings

from astrade.core.errors import AstradeError, NotAuthenticated
from astrade.core.permissions import Caller
from astrade.core.sockets.consumers import SocketConsumer
from astrade.core.sockets.protocol import Frame, reply

logger = logging.getLogger(__name__)


class PrivateConsumer(SocketConsumer):
    """A socket of a known user: until it is signed in it takes a token only, and not for long."""

    _deadline: asyncio.TimerHandle | None = None

    async def opened(self) -> None:
        if self.caller is None:
            self._deadline = self._loop.call_later(settings.WS_TOKEN_WAIT_S, self._late)
        else:
            await self._enter({}, waits=True)

    def _late(self) -> None:
        if self.caller is None:
            self.refuse(NotAuthenticated())

    async def signed_in(self, message: dict[str, Any], echo: dict[str, Any]) -> None:
        """The first token opens the socket, a later one only shows that it is good."""
        if self._deadline is None:
            await super().signed_in(message, echo)
            return
        self._deadline.cancel()
        self._deadline = None
        await self._enter(message, waits=False)

    async def _enter(self, message: dict[str, Any], *, waits: bool) -> None:
        """A refusal at the door closes the socket, and so does a bug."""
        try:
            await self.entered(message, waits=waits)
        except AstradeError as error:
            self.refuse(error)
        except Exception:
            logger.exception("socket_entry_failed", extra={"consumer": type(self).__name__})
            self.refuse(AstradeError())

    async def entered(self, message: dict[str, Any], *, waits: bool) -> None:
        """The caller is known. `message` came with the token; `waits`: a first message may still follow."""
        raise NotImplementedError

    async def _dispatch(self, message: dict[str, Any], message_id: str | int | None) -> None:
        if self.caller is None and "token" not in message and message.get("type") != "ping":
            raise NotAuthenticated
        await super()._dispatch(message, message_id)

    def closed(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()


class ForwardingConsumer(PrivateConsumer):
    """A private socket that forwards one channel as it comes."""

    def channel_of(self, caller: Caller) -> str:
        """The channel this caller may read."""
        raise NotImplementedError

    async def entered(self, message: dict[str, Any], *, waits: bool) -> None:
        assert self.caller is not None
        self._channel = self.channel_of(self.caller)
        await self.hub.join(self._channel, self)
        self.outbox.put(reply("connected"))

    def deliver(self, channel: str, frame: Frame) -> None:
        """Forward."""
        self.active()
        self.outbox.put(frame)

    def resync(self, channel: str) -> None:
        """Frames may be lost; what they told of is read over HTTP."""
        self.outbox.put(reply("resync"))

    def closed(self) -> None:
        super().closed()
        if channel := getattr(self, "_channel", None):
            self.hub.leave(channel, self)
