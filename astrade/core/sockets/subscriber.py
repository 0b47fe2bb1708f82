"""The pub/sub connection itself. redis-py's own PubSub reconnects in silence; here a lost connection ends the session,
so that nobody believes in a stream that has missed something."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import redis
from django.conf import settings
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.backoff import NoBackoff
from redis.retry import Retry

PING_EVERY_S = 5.0
SILENCE_S = 12.0  # without even an answer to a ping the connection is dead, whatever the kernel says


class Subscriber:
    """`session` connects, keeps what is wanted subscribed and calls back; it only ever ends by raising."""

    def __init__(self, *, on_message: Callable[[str, bytes], None], on_confirmed: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._on_confirmed = on_confirmed
        self._commands: asyncio.Queue[tuple[str, str]] | None = None
        self._unconfirmed: Counter[str] = Counter()

    def subscribe(self, channel: str) -> None:
        """Ask for `channel`; without a session it is part of the next one."""
        self._command("SUBSCRIBE", channel)

    def unsubscribe(self, channel: str) -> None:
        """No longer wanted."""
        self._command("UNSUBSCRIBE", channel)

    def _command(self, verb: str, channel: str) -> None:
        if self._commands is None:
            return
        if verb == "SUBSCRIBE":
            self._unconfirmed[channel] += 1
        self._commands.put_nowait((verb, channel))

    async def session(self, channels: Iterable[str]) -> None:
        """One connection from its first to its last byte; raises what ended it."""
        pool = ConnectionPool.from_url(
            settings.REDIS_URL,
            protocol=2,
            socket_connect_timeout=settings.REDIS_CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            max_connections=1,
        )
        connection: AbstractConnection = pool.make_connection()
        self._commands = asyncio.Queue()
        self._unconfirmed.clear()
        for channel in channels:
            self.subscribe(channel)
        try:
            await connection.connect()
            await self._both(self._write(connection, self._commands), self._read(connection))
        finally:
            self._commands = None
            with contextlib.suppress(Exception):
                await connection.disconnect(nowait=True)

    @staticmethod
    async def _both(*work: Coroutine[Any, Any, None]) -> None:
        """Run together until one fails; its own exception is raised."""
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    @staticmethod
    async def _write(connection: AbstractConnection, commands: asyncio.Queue[tuple[str, str]]) -> None:
        while True:
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    verb, channel = await commands.get()
            except TimeoutError:
                await connection.send_command("PING", check_health=False)
            else:
                await connection.send_command(verb, channel, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            message = await connection.read_response(timeout=SILENCE_S)
            if message is None:
                raise redis.ConnectionError("The pub/sub connection fell silent")
            kind = message[0]
            if kind == b"message":
                self._on_message(message[1].decode(), message[2])
            elif kind == b"subscribe":
                self._confirm(message[1].decode())

    def _confirm(self, channel: str) -> None:
        """A channel left and joined again at once is confirmed by its last SUBSCRIBE only."""
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            self._on_confirmed(channel)
