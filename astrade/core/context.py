"""Which request is being worked on: set by the request middleware and by Celery, read by logs and outgoing calls.

request_id()            "" outside of any request or task
user_id()               row key of the signed-in user, None otherwise; `set_user(id)` when known
bind(request_id=…)      returns a token for `unbind(token)`, which forgets the user too
new_request_id()        a fresh one
sane(text)              whether a client's own id may be used (API.md, "request id")
"""

import re
import secrets
from contextvars import ContextVar, Token

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_user_id: ContextVar[int | None] = ContextVar("user_id", default=None)
_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")


def request_id() -> str:
    """The id of the request or task in progress."""
    return _request_id.get()


def user_id() -> int | None:
    """Whose request is in progress."""
    return _user_id.get()


def set_user(user_id: int | None) -> None:
    """Say whose request this is."""
    _user_id.set(user_id)


def new_request_id() -> str:
    """32 random hex digits."""
    return secrets.token_hex(16)


def sane(text: str) -> bool:
    """At most 128 characters of `[A-Za-z0-9._-]`."""
    return _SANE.fullmatch(text) is not None


def bind(*, request_id: str) -> Token[str]:
    """Make `request_id` the current one."""
    return _request_id.set(request_id)


def unbind(token: Token[str]) -> None:
    """Back to what was before `bind`."""
    _request_id.reset(token)
    _user_id.set(None)
