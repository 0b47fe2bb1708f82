"""Start and end of a web process: what else must begin or end with it registers here.

on_startup(hook), on_shutdown(hook)     hook: `async def hook() -> None`; shutdown runs in reverse order
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from astrade.core.memory import settle

Hook = Callable[[], Awaitable[None]]
logger = logging.getLogger(__name__)
_startup: list[Hook] = []
_shutdown: list[Hook] = []


def on_startup(hook: Hook) -> None:
    """Run `hook` before the first request is taken."""
    _startup.append(hook)


def on_shutdown(hook: Hook) -> None:
    """Run `hook` after the last request was answered."""
    _shutdown.append(hook)


async def _end() -> None:
    for hook in reversed(_shutdown):
        try:
            await hook()
        except Exception:
            logger.exception("shutdown_hook_failed")


async def lifespan(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Any) -> None:
    """The ASGI lifespan protocol over the registered hooks."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            for hook in _startup:
                await hook()
            settle()
            await send({"type": "lifespan.startup.complete"})
        else:
            await _end()
            await send({"type": "lifespan.shutdown.complete"})
            return
