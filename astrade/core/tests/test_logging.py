import logging
from typing import Any

import orjson
import pytest
import structlog
from celery import shared_task, signals

from astrade.core import context
from astrade.core.celery import HEADER
from astrade.core.logging import JsonFormatter, ReadableFormatter, masked, masked_text

SECRET = "s3cr3t-value"


def line_of(record: Any) -> Any:
    return orjson.loads(JsonFormatter().format(record))


def record_of(message: Any, *args, exc_info: Any = None, **extra) -> Any:
    record = logging.LogRecord("test", logging.INFO, __file__, 1, message, args, exc_info)
    record.__dict__.update(extra)
    return record


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "new_password",
        "passwd",
        "access_token",
        "refresh_token",
        "client_secret",
        "api_key",
        "X-Api-Key",
        "Authorization",
        "signature",
        "private_key",
        "stark_private_key",
        "ticket",
        "Set-Cookie",
        "recovery_codes",
    ],
)
def test_secret_fields_are_masked_at_any_depth(name: Any) -> None:
    line = line_of(record_of("event", outer={"list": [{name: SECRET}], "kept": "visible"}, **{name: SECRET}))
    assert SECRET not in orjson.dumps(line).decode()
    assert line["outer"]["kept"] == "visible"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"'token': '{SECRET}'",
        f'{{"api_key": "{SECRET}"}}',
        f"Authorization: Bearer {SECRET}",
        f"sent bearer {SECRET} to",
        f"/ws/stream?ticket={SECRET}&x=1",
        f"redis://user:{SECRET}@host:6379/0",
        "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl here",
    ],
)
def test_secrets_in_text_are_masked(text: Any) -> None:
    shown = masked_text(text)
    assert SECRET not in shown
    assert "eyJzdWIi" not in shown
    assert "***" in shown


def test_what_is_no_secret_stays() -> None:
    for text in ("order_placed order=17", "https://host/path", "tokens", "a token was refused"):
        assert masked_text(text) == text
    assert masked({"order": 1, "ok": True, "rate": 0.5, "none": None}) == {
        "order": 1,
        "ok": True,
        "rate": 0.5,
        "none": None,
    }


def test_exception_text_is_masked() -> None:
    try:
        raise ValueError(f"password={SECRET}")
    except ValueError as exc:
        line = line_of(record_of("failed", exc_info=(ValueError, exc, exc.__traceback__)))
    assert SECRET not in line["exception"]
    assert "ValueError" in line["exception"]


def test_line_carries_request_and_user() -> None:
    token = context.bind(request_id="r-1")
    context.set_user(42)
    try:
        line = line_of(record_of("order_placed", order=7))
    finally:
        context.unbind(token)
    assert (line["event"], line["request_id"], line["user_id"], line["order"]) == ("order_placed", "r-1", 42, 7)
    assert context.user_id() is None
    assert "request_id" not in line_of(record_of("later"))


def test_structlog_takes_the_same_road(caplog: Any) -> None:
    structlog.get_logger("test.structlog").warning("order_refused", name="x", message="y", args=1, token=SECRET)
    line = line_of(caplog.records[-1])
    assert (line["event"], line["name"], line["args"], line["token"]) == ("order_refused", "x", 1, "***")


def test_structlog_keeps_exceptions(caplog: Any) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("test.structlog").exception("failed")
    assert "ValueError: broken" in line_of(caplog.records[-1])["exception"]


def test_readable_line_is_one_line() -> None:
    assert (
        ReadableFormatter()
        .format(record_of("order_placed", order=7, venue="practice"))
        .endswith("info    test order_placed order=7 venue=practice")
    )


def test_hostile_values_cannot_forge_a_line() -> None:
    line = JsonFormatter().format(record_of("event", name_="a\nb", data=b"\xff", number=10**30))
    assert "\n" not in line


@shared_task
def tell_request_id() -> Any:
    return context.request_id()


def test_request_id_goes_along_with_a_task() -> None:
    headers: dict[str, str] = {}
    token = context.bind(request_id="r-2")
    try:
        signals.before_task_publish.send(sender="task", headers=headers)
    finally:
        context.unbind(token)
    assert headers == {HEADER: "r-2"}
    assert tell_request_id.apply(headers=headers).result == "r-2"
    assert context.request_id() == ""


def test_task_without_a_request_is_known_by_its_own_id() -> None:
    assert tell_request_id.apply(task_id="t-1").result == "t-1"
