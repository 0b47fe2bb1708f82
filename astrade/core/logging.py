"""Logs are events with fields, one line each, without secrets.

    log = structlog.get_logger(__name__); log.info("order_placed", order=…, venue=…)
    logging.getLogger(__name__).info("order_placed", extra={"order": …})        the same line

`logging_config(level, style)` is Django's LOGGING; `configure_structlog()` sends structlog's events down the same road.
Every line carries the request id and the user id of `core.context`. `masked()` blanks secrets by the name of their
field and, in text, by what stands before them.
"""

import logging
import re
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from astrade.core import context

MASK = "***"
_WORDS = (
    "passw(?:or)?d|token|secret|api[_-]?key|authorization|signature|private[_ -]?key|ticket|cookie|recovery_?code|otp"
)
_NAMES = re.compile(_WORDS, re.IGNORECASE)
_IN_TEXT = re.compile(
    rf"((?:{_WORDS})[\w-]*[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic|token)\s+)?[^\s\"',;&}})\]]+", re.IGNORECASE
)
_BARE = re.compile(
    r"(\bbearer\s+)[\w.~+/=-]+|\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*|(://[^:/@\s]*:)[^@/\s]+(?=@)", re.IGNORECASE
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "fields", "taskName", "color_message"}
DEPTH_MAX = 6
BEYOND_64_BIT = 1 << 63


def masked_text(text: str) -> str:
    """`text` with what looks like a secret blanked: `token=…`, `Bearer …`, a JWT, a password in a URL."""
    return _BARE.sub(_blank, _IN_TEXT.sub(rf"\g<1>{MASK}", text))


def _blank(match: re.Match[str]) -> str:
    return f"{match.group(1) or match.group(2) or ''}{MASK}"


def masked(value: Any, *, depth: int = 0) -> Any:
    """A value with its secrets blanked, whatever its nesting."""
    if isinstance(value, str):
        return masked_text(value)
    if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < BEYOND_64_BIT):
        return value
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {
            str(key): MASK if _NAMES.search(str(key)) and item is not None else masked(item, depth=depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(item, depth=depth + 1) for item in value]
    return masked_text(str(value))


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """One line as a mapping, already masked."""
    extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    extra.update(getattr(record, "fields", None) or {})
    line: dict[str, Any] = {
        "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": masked_text(record.getMessage()),
    }
    if request_id := context.request_id():
        line["request_id"] = request_id
    if (user_id := context.user_id()) is not None:
        line["user_id"] = user_id
    line.update(masked({name: value for name, value in extra.items() if value is not None}))
    if record.exc_info and record.exc_info[0] is not None:
        line["exception"] = masked_text("".join(traceback.format_exception(*record.exc_info)))
    return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        return orjson.dumps(fields_of(record), default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class ReadableFormatter(logging.Formatter):
    """`12:34:56.789 info  trading.services order_placed order=…`, for people."""

    def format(self, record: logging.LogRecord) -> str:
        line = fields_of(record)
        clock, level, name, event = (line.pop(key) for key in ("at", "level", "logger", "event"))
        trace = line.pop("exception", "")
        pairs = " ".join(f"{key}={value}" for key, value in line.items())
        text = f"{clock[11:23]} {level:<7} {name} {event} {pairs}".rstrip()
        return f"{text}\n{trace.rstrip()}" if trace else text


def logging_config(*, level: str, style: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard output in one form; `style` is `json` or `readable`."""
    formatter = JsonFormatter if style == "json" else ReadableFormatter
    quiet = {"level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
            # core.http.handler500 and core.api.exceptions log what failed; the access line tells of the rest
            "django.request": {"handlers": [], "level": "CRITICAL", "propagate": True},
            "django.security.DisallowedHost": {"handlers": [], "level": "CRITICAL", "propagate": True},
            "uvicorn": {"handlers": [], "level": level, "propagate": True},
            "uvicorn.error": {"handlers": [], "level": level, "propagate": True},
            "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False},
            "celery": {"handlers": [], "level": level, "propagate": True},
            "httpx": quiet,
            "httpcore": quiet,
            "websockets": quiet,
            "asyncio": quiet,
        },
    }


def _to_stdlib(_: Any, __: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    exc_info = event.pop("exc_info", None)
    text = str(event.pop("event", ""))
    return (text,), {"exc_info": exc_info, "extra": {"fields": dict(event)}}


def configure_structlog() -> None:
    """structlog's events take the standard library's road, so that one formatter masks and writes them all."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _to_stdlib],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
