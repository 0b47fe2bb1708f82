"""What `/ws/progress` says: a player's happenings as frames, published once they are committed.

Channel `progress:<user row id>`; each frame is the exact bytes for the socket and carries `type` and `at` (ms).
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from astrade.core.api.renderers import encode
from astrade.core.clock import to_ms
from astrade.core.redis import channel_named, redis_errors, sync_client
from gamification.domain.levels import level_of, xp_to_next
from gamification.domain.play import Awarded, Completed, Counted, Happening, Levelled, Opened

logger = logging.getLogger(__name__)


def channel_of(user_id: int) -> str:
    """The pub/sub channel of one user's game."""
    return channel_named(f"progress:{user_id}")


def frame_of(happening: Happening, *, at: datetime) -> dict[str, Any]:
    """The frame that tells of `happening`."""
    return {**_body(happening), "at": to_ms(at)}


def _body(happening: Happening) -> dict[str, Any]:
    match happening:
        case Counted(rule=rule, count=count):
            return {"type": "mission_progress", "mission": rule.slug, "count": count, "target": rule.target}
        case Completed(rule=rule):
            return {"type": "mission_completed", "mission": rule.slug, "reward_xp": rule.reward_xp}
        case Awarded(rule=rule, amount=amount, total_xp=total):
            standing = {"total_xp": total, "level": level_of(total), "xp_to_next": xp_to_next(total)}
            return {"type": "xp", "amount": amount, "source": rule.source, **standing}
        case Levelled(level=level):
            return {"type": "level_up", "level": level}
        case Opened(rule=rule, planet=planet):
            return {"type": "planet", "planet": planet, "source": rule.source}


def publish(messages: Sequence[tuple[int, bytes]]) -> None:
    """Send each `(user_id, frame)` in one round trip. Frames are news, not truth: with Redis away they are dropped."""
    try:
        with sync_client().pipeline(transaction=False) as pipeline:
            for user_id, frame in messages:
                pipeline.publish(channel_of(user_id), frame)
            pipeline.execute()
    except redis_errors:
        logger.warning("progress_frames_dropped", extra={"frames": len(messages)})


def encoded(happening: Happening, *, at: datetime) -> bytes:
    """The bytes for the socket."""
    return encode(frame_of(happening, at=at))
