"""A TCP proxy in front of PostgreSQL that counts round trips and shows what a client says.

A round trip is a turn of the conversation: bytes from the client after it was handed an answer. Answers are held back
for `REPLY_DELAY_S`, so that a client which doesn't wait for one shows: a pipeline counts once, however it is cut.
"""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType

CHUNK_BYTES = 1 << 16
REPLY_DELAY_S = 0.003
Tap = Callable[[int, int, bytes], None]  # connection, its round trip, bytes from the client


class CountingProxy:
    """`with CountingProxy(host, port) as proxy:` listens on `proxy.port` and counts in `proxy.round_trips`."""

    def __init__(self, host: str, port: int, *, tap: Tap | None = None) -> None:
        self.upstream = host, port
        self.round_trips = 0
        self.connections = 0
        self._tap = tap
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="counting-proxy", daemon=True)

    def __enter__(self) -> "CountingProxy":
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self.upstream)
        self.connections += 1
        turn = Turn(self.connections)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, upstream_writer, turn, from_client=True))
                group.create_task(self._forward(upstream_reader, writer, turn, from_client=False))
        except* (OSError, asyncio.CancelledError):
            pass  # either side hung up, or the proxy ends; both are closed below
        finally:
            upstream_writer.close()
            writer.close()

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, turn: "Turn", *, from_client: bool
    ) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            if from_client:
                self._note(turn, chunk)
            else:
                await asyncio.sleep(REPLY_DELAY_S)
                turn.is_clients = True
            sink.write(chunk)
            await sink.drain()
        sink.close()

    def _note(self, turn: "Turn", chunk: bytes) -> None:
        if turn.is_clients:
            self.round_trips += 1
            turn.number += 1
        turn.is_clients = False
        if self._tap is not None:
            self._tap(turn.connection, turn.number, chunk)


class Turn:
    """Who speaks next on one connection; the client begins."""

    def __init__(self, connection: int) -> None:
        self.connection = connection
        self.number = 0
        self.is_clients = True
