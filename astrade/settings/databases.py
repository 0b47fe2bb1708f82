"""One database URL becomes Django's connection settings: role, session timeouts, no surprise in between."""

from typing import Any

import environ

IDLE_IN_TRANSACTION_TIMEOUT_S = 10
CONNECT_TIMEOUT_S = 5


def session_options(*, role: str, statement_timeout_s: int = 0, lock_timeout_s: int = 0) -> str:
    """libpq's `options`: settings the session starts with, so that they cost no round trip. 0 is no limit."""
    settings = {
        "role": role,
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_S}s",
        "statement_timeout": f"{statement_timeout_s}s",
        "lock_timeout": f"{lock_timeout_s}s",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items() if value)


def database(url: str, *, role: str, statement_timeout_s: int, lock_timeout_s: int) -> dict[str, Any]:
    """Django's `DATABASES` entry of `url`; its connections act as `role` (none when empty) until told otherwise."""
    settings: dict[str, Any] = environ.Env.db_url_config(url)
    options: dict[str, Any] = settings.setdefault("OPTIONS", {})
    given = options.get("options", "")
    own = session_options(role=role, statement_timeout_s=statement_timeout_s, lock_timeout_s=lock_timeout_s)
    options["options"] = f"{given} {own}".strip()
    options.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
    settings["CONN_MAX_AGE"] = None
    settings["DISABLE_SERVER_SIDE_CURSORS"] = False
    return settings
