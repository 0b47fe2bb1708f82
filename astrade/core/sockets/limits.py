"""How many sockets one caller may hold, counted over all processes, and how fast one socket may talk.

Counts live in Redis as one hash a subject with a field a process, and count only while that process renews its lease:
what a killed process held is free again after LEASE_S. Each renewal writes the process's own, exact counts, so that a
lost answer or an emptied Redis heals by itself. Without Redis each process limits what it sees.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from astrade.core.redis import async_client, redis_errors

LEASE_S = 35
RENEW_EVERY_S = 10.0
REDIS_WAIT_S = 1.0
BATCH = 500
OPEN, PROCESS = "ws:open:", "ws:process:"
logger = logging.getLogger(__name__)

TAKE = """
redis.call('SET', ARGV[4] .. ARGV[1], 1, 'EX', ARGV[3])
local total, fields = 0, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if redis.call('EXISTS', ARGV[4] .. fields[i]) == 1 then total = total + tonumber(fields[i + 1])
  else redis.call('HDEL', KEYS[1], fields[i]) end
end
if total >= tonumber(ARGV[2]) then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
RELEASE = """
if redis.call('HINCRBY', KEYS[1], ARGV[1], -1) <= 0 then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1
"""


class ConnectionCounter:
    """The open sockets of this process, by subject (`u:<user id>` or `a:<address>`)."""

    def __init__(self, *, client: Callable[[], Redis] = async_client) -> None:
        self._client = client
        self.process = secrets.token_hex(8)
        self._open: Counter[str] = Counter()
        self._unreleased: set[str] = set()  # subjects whose release did not reach Redis
        self._renewed_at = 0.0

    async def take(self, subject: str, *, limit: int) -> bool:
        """Count one more socket of `subject`; False, and nothing counted, when it holds `limit` already."""
        self._open[subject] += 1
        if self._open[subject] <= limit:
            arguments = (OPEN + subject, self.process, limit, LEASE_S, PROCESS)
            if await self._evaluate(TAKE, *arguments) in (1, None):
                return True
        self._drop(subject)
        return False

    async def release(self, subject: str) -> None:
        """One socket less."""
        self._drop(subject)
        if await self._evaluate(RELEASE, OPEN + subject, self.process) is None:
            self._unreleased.add(subject)

    def _drop(self, subject: str) -> None:
        self._open[subject] -= 1
        if self._open[subject] <= 0:
            del self._open[subject]

    async def _evaluate(self, script: str, key: str, *arguments: Any) -> Any:
        """The script's answer; None when Redis is away."""
        try:
            async with asyncio.timeout(REDIS_WAIT_S):
                return await self._client().eval(script, 1, key, *arguments)
        except redis_errors:  # TimeoutError is an OSError
            logger.warning("socket_count_unavailable")
            return None

    async def renew(self, *, now: float) -> None:
        """Every RENEW_EVERY_S: keep the lease and write the exact counts."""
        if now - self._renewed_at < RENEW_EVERY_S:
            return
        self._renewed_at = now
        try:
            async with asyncio.timeout(REDIS_WAIT_S):
                subjects = (*self._open, *self._unreleased)
                for start in range(0, len(subjects) or 1, BATCH):
                    await self._write(subjects[start : start + BATCH])
                self._unreleased.difference_update(subjects)
        except redis_errors:  # TimeoutError is an OSError
            logger.warning("socket_count_unavailable")

    async def _write(self, subjects: tuple[str, ...]) -> None:
        async with self._client().pipeline(transaction=False) as pipe:
            pipe.set(PROCESS + self.process, 1, ex=LEASE_S)
            for subject in subjects:
                if count := self._open[subject]:
                    pipe.hset(OPEN + subject, self.process, str(count))
                    pipe.expire(OPEN + subject, LEASE_S)
                else:
                    pipe.hdel(OPEN + subject, self.process)
            await pipe.execute()

    async def forget_process(self) -> None:
        """The process ends: what it held is free at once."""
        try:
            async with asyncio.timeout(REDIS_WAIT_S):
                await self._client().delete(PROCESS + self.process)
        except redis_errors:  # TimeoutError is an OSError
            logger.warning("socket_count_unavailable")


class Pace:
    """A leaky bucket: who talks faster than PER_S for long is read more slowly, which its own TCP connection feels."""

    PER_S = 50.0
    BURST = 200.0
    WAIT_S_MAX = 5.0

    def __init__(self, *, now: float) -> None:
        self._level = 0.0
        self._at = now

    def delay_s(self, *, cost: float, now: float) -> float:
        """Seconds to wait before the next message is read, after one of `cost`."""
        self._level = max(0.0, self._level - (now - self._at) * self.PER_S) + cost
        self._at = now
        return min(self.WAIT_S_MAX, max(0.0, self._level - self.BURST) / self.PER_S)
