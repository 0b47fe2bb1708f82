"""What the hub is compared with, each reading the same channel of Redis and sending it to all its sockets:

python -m benchmarks.fanout_peers PORT                   `websockets` with its own `broadcast`, nothing else
uvicorn benchmarks.fanout_peers:stock_application         Channels as it comes: a group of a Redis channel layer
"""

import asyncio
import os
import sys
from typing import Any

import redis.asyncio
import uvloop
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from websockets.asyncio.server import ServerConnection, broadcast, serve

CHANNEL = os.environ["FANOUT_CHANNEL"]
GROUP = "readers"


async def frames() -> Any:
    """What is published from now on."""
    async with redis.asyncio.from_url(os.environ["REDIS_URL"]).pubsub() as pubsub:
        await pubsub.subscribe(CHANNEL)
        async for message in pubsub.listen():
            if message["type"] == "message":
                yield message["data"].decode()


async def bare(port: int) -> None:
    """One set of connections, one broadcast a message."""
    sockets: set[ServerConnection] = set()

    async def keep(connection: ServerConnection) -> None:
        sockets.add(connection)
        try:
            await connection.wait_closed()
        finally:
            sockets.discard(connection)

    async with serve(keep, "127.0.0.1", port, compression=None, process_request=_health):
        async for text in frames():
            broadcast(sockets, text)


def _health(connection: ServerConnection, request: Any) -> Any:
    return connection.respond(200, "ok\n") if request.path == "/health" else None


class StockConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """As the Channels tutorial writes it."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def frame(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


async def _stock(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await StockConsumer.as_asgi()(scope, receive, send)
        return
    if scope["type"] == "lifespan":
        await receive()
        relay = asyncio.create_task(_relay())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        relay.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def _relay() -> None:
    from channels.layers import get_channel_layer

    layer = get_channel_layer()
    async for text in frames():
        await layer.group_send(GROUP, {"type": "frame", "text": text})


def stock_application() -> Any:
    """A factory for uvicorn."""
    layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [os.environ["REDIS_URL"]]}}
    settings.configure(CHANNEL_LAYERS={"default": layer})
    return _stock


if __name__ == "__main__":
    uvloop.run(bare(int(sys.argv[1])))
