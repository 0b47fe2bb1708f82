"""An emulated exchange that serves from a thread of its own, for tests whose code under test waits for it."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from astrade.emulators.tests.harness import Harness, running

T = TypeVar("T")
WITHIN_S = 30


@contextmanager
def in_background(**options: Any) -> Iterator[Harness]:
    """As `running`; look into it only while nothing is being asked of it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="emulator")
    thread.start()

    def wait(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(WITHIN_S)

    exchange = running(**options)
    try:
        harness = wait(exchange.__aenter__())
        harness.wait = wait
        try:
            yield harness
        finally:
            wait(exchange.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WITHIN_S)
        loop.close()
