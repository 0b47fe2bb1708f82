"""Maintenance mode: writes wait, reads and cancels go on (API.md, "clients").

    switch(on)                      for all processes, kept in Redis; `manage.py maintenance on|off`
    refusal(method, path)           what a write is answered, None when it may pass

MAINTENANCE_MODE=true holds it on whatever Redis says. Each process asks Redis at most every two seconds.
"""

import time

from django.conf import settings

from astrade.core.errors import AstradeError, MaintenanceMode
from astrade.core.redis import redis_errors, sync_client

KEY = "core:maintenance"
ASK_EVERY_S = 2.0
RETRY_AFTER_S = 60
_known: tuple[float, bool] = (0.0, False)


def switch(on: bool) -> None:
    """Begin or end maintenance; raises when Redis is away."""
    if on:
        sync_client().set(KEY, b"1")
    else:
        sync_client().delete(KEY)


def is_on() -> bool:
    """Whether writes are to wait; a Redis that is away means no."""
    global _known
    if settings.MAINTENANCE_MODE:
        return True
    asked_at, on = _known
    now = time.monotonic()
    if now - asked_at < ASK_EVERY_S:
        return on
    try:
        on = bool(sync_client().exists(KEY))
    except redis_errors:
        on = False
    _known = (now, on)
    return on


def is_cancel(method: str, path: str) -> bool:
    """Cancelling an order lowers risk and always works."""
    return method == "DELETE" and ("/order" in path or path.endswith("/openOrders"))


def refusal(method: str, path: str) -> AstradeError | None:
    """503 with Retry-After for a write during maintenance."""
    if not is_on() or is_cancel(method, path):
        return None
    return MaintenanceMode(retry_after_s=RETRY_AFTER_S)
