"""Keeps one stream of a venue open, however often it breaks, and keeps asking what no stream tells.

A stream counts as there once its first message has been taken, not when its connection stands: what opens and tells
nothing fails like what doesn't open, and is tried again later and later.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from astrade.core.metrics import counter, gauge
from astrade.core.randomness import Randomness
from astrade.venues.errors import Unavailable, VenueError
from astrade.venues.reconnecting import reconnect_wait_s
from marketdata.feeds.base import Sleep

logger = logging.getLogger(__name__)
RESYNCS = counter(
    "astrade_feed_resyncs_total", "Streams of a feed that had to begin again", ["feed", "stream", "reason"]
)
STREAMS = gauge("astrade_feed_streams", "Streams of a feed that bring messages", ["feed", "stream"], mode="livesum")
REFUSED, FAILED, SILENT = "refused", "failed", "no_message"  # reasons besides those that a venue's errors name
ASK_AGAIN_S = 15.0  # after a question that was not answered
Told = Callable[[], AsyncGenerator[None, None]]


async def follow(told: Told, *, feed: str, stream: str, randomness: Randomness, sleep: Sleep = asyncio.sleep) -> None:
    """Until cancelled. `told` opens the stream and yields after each message it has taken; where it ends by itself
    after one, because its time is over, it is begun anew at once."""
    failures = 0
    while True:
        is_there, reason = False, None
        try:
            async with aclosing(told()) as messages:
                async for _ in messages:
                    if not is_there:
                        is_there, failures = True, 0
                        STREAMS.labels(feed, stream).inc()
            reason = None if is_there else SILENT
        except VenueError as failure:
            reason = failure.cause if isinstance(failure, Unavailable) else REFUSED
            logger.info("feed_stream_ended", extra={"feed": feed, "stream": stream, "reason": reason})
        except Exception:
            logger.exception("feed_stream_failed", extra={"feed": feed, "stream": stream})
            reason = FAILED
        finally:
            if is_there:
                STREAMS.labels(feed, stream).dec()
        if reason is not None:
            RESYNCS.labels(feed, stream, reason).inc()
            failures += 1
            await sleep(reconnect_wait_s(failures, randomness=randomness))


async def repeat(
    ask: Callable[[], Awaitable[float]], *, feed: str, question: str, sleep: Sleep = asyncio.sleep
) -> None:
    """Until cancelled: `ask`, and again after the seconds that it returns."""
    while True:
        try:
            wait_s = await ask()
        except VenueError as failure:
            logger.info("feed_not_answered", extra={"feed": feed, "question": question, "error": str(failure)})
            wait_s = ASK_AGAIN_S
        except Exception:
            logger.exception("feed_question_failed", extra={"feed": feed, "question": question})
            wait_s = ASK_AGAIN_S
        await sleep(wait_s)
