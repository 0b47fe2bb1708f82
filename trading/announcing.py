"""Tell the world after a commit: socket frames, and a hint for readers over all accounts. Losing it loses nothing."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from astrade.core.redis import channel_named, redis_errors, tell

logger = logging.getLogger(__name__)
EVENTS_CHANNEL = channel_named("events")


def account_channel(account_id: int) -> str:
    """The pub/sub channel that carries an account's frames, one message a frame."""
    return channel_named(f"account:{account_id}")


def announce_on_commit(account_id: int, frames: Sequence[Mapping[str, Any]]) -> None:
    """Publish `frames` of an account once the present transaction has committed, at once where there is none; a Redis
    failure fails nobody.
    """
    if not frames:
        return
    if connections[DEFAULT_DB_ALIAS].in_atomic_block:
        transaction.on_commit(lambda: _publish(account_id, frames), robust=True)
    else:
        _publish(account_id, frames)


def _publish(account_id: int, frames: Sequence[Mapping[str, Any]]) -> None:
    try:
        channel = account_channel(account_id)
        tell(*(("PUBLISH", channel, orjson.dumps(frame)) for frame in frames), ("PUBLISH", EVENTS_CHANNEL, account_id))
    except redis_errors as exc:
        logger.warning("announcement_lost", extra={"account": account_id, "error": type(exc).__name__})
