"""Celery's side of logs: the request id goes along with a task, and the worker's lines carry it.

`connect()` is called once when apps are ready.
"""

from contextvars import Token
from typing import Any

from celery import signals

from astrade.core import context

HEADER = "request_id"
_bound: dict[str, Token[str]] = {}


def _send_request_id(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None and context.request_id():
        headers.setdefault(HEADER, context.request_id())


def _bind_request_id(task_id: str, task: Any, **_: Any) -> None:
    sent = getattr(task.request, HEADER, None) or (task.request.headers or {}).get(HEADER)
    if not task.request.is_eager or not context.request_id():
        _bound[task_id] = context.bind(request_id=sent or task_id)


def _unbind_request_id(task_id: str, **_: Any) -> None:
    if (token := _bound.pop(task_id, None)) is not None:
        context.unbind(token)


def _keep_logging(**_: Any) -> None:
    """A receiver of this signal stops Celery from setting up logging of its own."""


def connect() -> None:
    """Attach to Celery's signals."""
    signals.before_task_publish.connect(_send_request_id, dispatch_uid="astrade.request_id.send")
    signals.task_prerun.connect(_bind_request_id, dispatch_uid="astrade.request_id.bind")
    signals.task_postrun.connect(_unbind_request_id, dispatch_uid="astrade.request_id.unbind")
    signals.setup_logging.connect(_keep_logging, dispatch_uid="astrade.logging")
