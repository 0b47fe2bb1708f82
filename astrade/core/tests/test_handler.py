import asyncio
import secrets
import socket
import threading
import time
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import override_settings

from astrade.core.handler import ThreadedHandler, drop_dead_connections
from astrade.core.models import AuditEvent
from astrade.core.roles import as_owner
from astrade.core.tests.live import LiveServer

SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
pytestmark = pytest.mark.django_db(transaction=True)


def sessions() -> set[int]:
    """Whoever is connected to the database: threads of other tests, too, may keep a connection."""
    with as_owner(connection), connection.cursor() as cursor:
        cursor.execute(SESSIONS)
        return {pid for (pid,) in cursor.fetchall()}


class Application:
    """The HTTP handler alone, drained at the end as the web process does it."""

    def __init__(self) -> None:
        self.handler = ThreadedHandler()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self.handler(scope, receive, send)
            return
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await self.handler.drain()
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture
def server() -> Any:
    with override_settings(ROOT_URLCONF="astrade.core.tests.views", WEB_THREADS=4), LiveServer(Application()) as live:
        yield live


@pytest.fixture
def client(server: Any) -> Any:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20, trust_env=False) as client:
        yield client


def speak(server: Any, raw: bytes) -> bytes:
    """Send bytes as they are and read until the server has nothing more to say."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection_:
        connection_.sendall(raw)
        connection_.settimeout(2)
        received = b""
        try:
            while part := connection_.recv(65_536):
                received += part
        except TimeoutError:
            pass
        return received


def test_requests_of_one_client_and_many_threads_are_answered(client: Any) -> None:
    for n in range(20):
        assert client.post("/echo", json={"amount": str(n)}).json()["data"] == {"amount": str(n)}


def test_body_in_pieces_arrives_whole(client: Any) -> None:
    pieces = (piece for piece in (b'{"amo', b'unt": "1', b'.5"}'))
    assert client.post("/echo", content=pieces, headers={"Content-Type": "application/json"}).json()["data"] == {
        "amount": "1.5"
    }


def test_declared_oversize_is_refused_before_it_is_sent(server: Any) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"
    assert b" 413 " in speak(server, head).split(b"\r\n")[0]


def test_undeclared_oversize_is_refused_once_it_shows(client: Any) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b"x" * 65_536

    try:
        response = client.post("/echo", content=endless(), headers={"Content-Type": "application/json"})
    except httpx.TransportError:
        return
    assert response.status_code == 413
    assert response.json()["error"]["code"] == 1007


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\xff\xfe HTTP/1.1",
        b"GET /big?x=\xff HTTP/1.1",
        b"GET /%ff%00 HTTP/1.1",
        b"GET http://[ HTTP/1.1",
        b"BREW /pot HTTP/1.1",
    ],
)
def test_hostile_request_lines_never_get_a_500(server: Any, line: Any) -> None:
    answer = speak(server, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 500 " not in answer.split(b"\r\n")[0]


def test_server_survives_garbage(server: Any, client: Any) -> None:
    speak(server, b"\x00\x01\x02 garbage\r\n\r\n")
    assert client.get("/health/live").status_code == 200


def test_streamed_answer_arrives_whole(client: Any) -> None:
    assert client.get("/stream").text == "".join(f"{n}\n" for n in range(1_000))


def test_started_request_is_finished_when_its_client_goes_away(server: Any) -> None:
    mark = secrets.token_hex(4)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection_:
        connection_.sendall(f"GET /slow?mark={mark} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(0.1)
    assert soon(lambda: AuditEvent.objects.filter(action=f"slow.{mark}").exists())


def soon(condition: Any, *, wait_s: Any = 5.0) -> Any:
    """Whether `condition` comes true in time."""
    until = time.monotonic() + wait_s
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return met


def test_shutdown_lets_started_requests_end() -> None:
    mark = secrets.token_hex(4)
    answers = []
    with override_settings(ROOT_URLCONF="astrade.core.tests.views"), LiveServer(Application()) as live:
        address = f"http://127.0.0.1:{live.port}/slow?mark={mark}"
        thread = threading.Thread(target=lambda: answers.append(httpx.get(address, trust_env=False).status_code))
        thread.start()
        time.sleep(0.2)
    thread.join(10)
    assert answers == [200]
    assert AuditEvent.objects.filter(action=f"slow.{mark}").count() == 1


def test_connection_the_server_closed_is_replaced_unseen(request: pytest.FixtureRequest) -> None:
    others = sessions()
    client = request.getfixturevalue("client")
    assert client.get("/count").text == "0"
    mine = sessions() - others
    assert mine
    with as_owner(connection), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [list(mine)])
    while mine & sessions():
        time.sleep(0.01)
    assert [client.get("/count").status_code for _ in range(8)] == [200] * 8


def test_living_connection_is_kept() -> None:
    connection.ensure_connection()
    before = connection.connection
    drop_dead_connections()
    assert connection.connection is before


async def test_client_that_leaves_before_its_body_is_complete_gets_no_answer() -> None:
    handler = ThreadedHandler()
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/echo", "headers": [], "query_string": b""}
    await asyncio.wait_for(handler(scope, receive, send), 5)
    await handler.drain()
