"""What a venue lets us ask, shared by all processes: one budget for each upstream host, in Redis.

    budget = Budget("api.starknet.extended.exchange", per_minute=1_000)
    budget.take(Cost.ORDER, owner=7)        before each call; raises Throttled, and then nothing may be sent
    budget.pause(retry_after_s)             after the venue's 429 or ban: nobody sends until it is over
    await budget.note_async(used)           what the venue says is used up in this minute, by whomever

A token bucket, taken from by one script, so that no two processes spend the same token. What it holds and what flows
in within a minute are together `SHARE` of the limit: no minute, wherever it begins, has more calls.

- Classes: reads leave a fifth of the bucket, orders a tenth, cancels nothing: they go through when all else waits.
- Owners: each may hold, of what it took and what hasn't flowed in again, at most as much as is left for others of its
  class. What flows in pays back the owners that hold something in equal parts, so who asks much waits for who asks
  little. Calls without an owner share one part.
- A pause leaves no more than reads leave: cancels and orders go on at once, reads as tokens flow in, so that those
  who waited for its end don't come all together.

With Redis away reads are refused, and cancels and orders share a small count that each process keeps by itself: to be
unable to cancel is worse than to be told to wait. The venue's limit still stands behind it.
"""

import asyncio
import hashlib
import math
import threading
from enum import StrEnum
from typing import Any

from django.conf import settings
from redis.exceptions import NoScriptError

from astrade.core.clock import Clock, system_clock, to_ms
from astrade.core.redis import ask, async_client, redis_errors
from astrade.venues.errors import OWN_BUDGET, Throttled

SHARE = 0.95  # of the venue's limit
BURST = 0.3  # of the limit is what the bucket holds; the rest of the share flows in
MINUTE_MS = 60_000
READS_WAIT_S = 5  # while Redis is away
KEPT_MS = 600_000
LOCAL_PER_S, LOCAL_MOST = 2, 10  # of one process while Redis is away

# The clock is the caller's; one that lags behind another process's lets nothing flow in meanwhile.
TAKE = """
local state = redis.call('HMGET', KEYS[1], 'level', 'at', 'paid', 'paused')
local now, capacity, flow = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local reserve, owner, weight = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[7])
local level, at = tonumber(state[1] or capacity), tonumber(state[2] or now)
local paid, paused = tonumber(state[3] or 0), tonumber(state[4] or 0)
if now < paused then return paused - now end
local passed = math.max(0, now - math.max(at, paused))
local owners = math.max(1, redis.call('ZCARD', KEYS[2]))
level = math.min(capacity, level + passed * flow)
paid = paid + passed * flow / owners
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.17g', paid))
local held = math.max(0, tonumber(redis.call('ZSCORE', KEYS[2], owner) or paid) - paid)
local left = level - reserve
local short = math.max(weight - left, held + weight - math.max(weight, (left + held) / 2))
if short <= 0 then
    level = level - weight
    redis.call('ZADD', KEYS[2], string.format('%.17g', paid + held + weight), owner)
end
redis.call('HSET', KEYS[1], 'level', string.format('%.17g', level), 'at', string.format('%d', math.max(at, now)),
    'paid', string.format('%.17g', paid))
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if short <= 0 then return 0 end
return math.max(1, math.ceil(short * owners / flow))
"""
PAUSE = """
local state = redis.call('HMGET', KEYS[1], 'level', 'paused')
local level = math.min(tonumber(state[1] or ARGV[2]), tonumber(ARGV[2]))
local ends = math.max(tonumber(state[2] or 0), tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'level', string.format('%.17g', level), 'paused', string.format('%d', ends))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 0
"""
NOTE = """
local level = redis.call('HGET', KEYS[1], 'level')
if level and tonumber(level) > tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'level', ARGV[1]) end
return 0
"""


class Cost(StrEnum):
    """What a call is worth: cancels go before orders, orders before reads."""

    CANCEL = "cancel"
    ORDER = "order"
    READ = "read"


RESERVES = {Cost.CANCEL: 0.0, Cost.ORDER: 0.1, Cost.READ: 0.2}  # parts of the bucket that a class leaves
NOBODY = "-"


class Budget:
    """See the module's first lines; safe for threads. `per_minute` is the venue's own limit."""

    def __init__(self, host: str, *, per_minute: int, clock: Clock = system_clock) -> None:
        self._per_minute = per_minute
        self.capacity = max(1.0, per_minute * BURST)
        self._flow = per_minute * (SHARE - BURST) / MINUTE_MS
        self._keys = (f"venue:{{{host}}}:budget", f"venue:{{{host}}}:owners")
        self._clock = clock
        self._local = _Local(clock)

    def take(self, cost: Cost, *, owner: int | None, weight: int = 1) -> None:
        """Take `weight` tokens. Raises Throttled with the seconds after which to ask again; nothing is taken then."""
        try:
            wait_ms = _run(TAKE, 2, *self._keys, *self._terms(cost, owner, weight))
        except redis_errors:
            wait_ms = self._local.wait_ms(cost)
        _deny(wait_ms)

    async def take_async(self, cost: Cost, *, owner: int | None, weight: int = 1) -> None:
        """The same on an event loop."""
        try:
            wait_ms = await _run_async(TAKE, 2, *self._keys, *self._terms(cost, owner, weight))
        except redis_errors:
            wait_ms = self._local.wait_ms(cost)
        _deny(wait_ms)

    def pause(self, seconds: int) -> None:
        """Nobody sends for `seconds`. A Redis that is away is not told."""
        try:
            _run(PAUSE, 1, self._keys[0], *self._pause_terms(seconds))
        except redis_errors:
            return

    async def pause_async(self, seconds: int) -> None:
        """The same on an event loop."""
        try:
            await _run_async(PAUSE, 1, self._keys[0], *self._pause_terms(seconds))
        except redis_errors:
            return

    async def note_async(self, used: int) -> None:
        """The venue counts `used` in the present minute; others behind our address may have a part in it. No more than
        what that leaves of our share is taken."""
        try:
            await _run_async(NOTE, 1, self._keys[0], max(0.0, self._per_minute * SHARE - used))
        except redis_errors:
            return

    def _terms(self, cost: Cost, owner: int | None, weight: int) -> tuple[Any, ...]:
        reserve = self.capacity * RESERVES[cost]
        name = NOBODY if owner is None else str(owner)
        return to_ms(self._clock()), self.capacity, self._flow, reserve, name, KEPT_MS, weight

    def _pause_terms(self, seconds: int) -> tuple[Any, ...]:
        ends_ms = to_ms(self._clock()) + seconds * 1_000
        return ends_ms, self.capacity * RESERVES[Cost.READ] + 1, KEPT_MS + seconds * 1_000


class _Local:
    """What one process lets through by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._level, self._at_ms = float(LOCAL_MOST), 0

    def wait_ms(self, cost: Cost) -> int:
        """0 for one that was let through."""
        if cost is Cost.READ:
            return READS_WAIT_S * 1_000
        with self._lock:
            now_ms = to_ms(self._clock())
            self._level = min(LOCAL_MOST, self._level + max(0, now_ms - self._at_ms) * LOCAL_PER_S / 1_000)
            self._at_ms = now_ms
            if self._level < 1:
                return math.ceil((1 - self._level) * 1_000 / LOCAL_PER_S)
            self._level -= 1
            return 0


def _deny(wait_ms: int) -> None:
    if wait_ms:
        raise Throttled(OWN_BUDGET, retry_after_s=math.ceil(wait_ms / 1_000))


def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


_SHAS = {script: _sha(script) for script in (TAKE, PAUSE, NOTE)}


def _run(script: str, *arguments: Any) -> int:
    try:
        (answer,) = ask(("EVALSHA", _SHAS[script], *arguments))
    except NoScriptError:
        (answer,) = ask(("EVAL", script, *arguments))
    return int(answer)


async def _run_async(script: str, *arguments: Any) -> int:
    client = async_client()
    async with asyncio.timeout(settings.REDIS_TIMEOUT_S):
        try:
            answer = await client.execute_command("EVALSHA", _SHAS[script], *arguments)
        except NoScriptError:
            answer = await client.execute_command("EVAL", script, *arguments)
    return int(answer)
