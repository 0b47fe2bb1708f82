"""Account sockets end to end: uvicorn, PostgreSQL and Redis are real, clients are the `websockets` library."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from accounts.services import freeze_user, issue_ws_ticket, sign_out_everywhere
from accounts.services.callers import authenticate_token
from astrade.core.clock import system_clock
from astrade.core.redis import sync_client
from astrade.core.tests.live import LiveServer
from trading.announcing import account_channel
from trading.tests.event_factories import AccountFactory
from trading.tests.socket_clients import (
    APPLICATION,
    Trader,
    close_of,
    kill_subscribers,
    sequences,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    """A server whose anonymous callers aren't counted against those of other tests."""
    settings.WS_CONNECTIONS_PER_IP = 1000
    with LiveServer(APPLICATION) as running:
        yield running


@pytest.fixture
def trader(server: LiveServer) -> Trader:
    return Trader()


# Who may listen


def test_header_opens_the_account_and_frames_follow_in_order(server: LiveServer, trader: Trader) -> None:
    trader.happen(3)

    with server.connect(trader.path, headers=trader.headers) as client:
        connected = client.recv()
        trader.happen(2)
        frames = [client.recv(), client.recv()]

    assert connected == {"type": "connected", "account_id": str(trader.account.uuid), "sequence": 3}
    assert frames == [trader.frame(4), trader.frame(5)]


def test_ticket_key_and_first_message_open_it_too(server: LiveServer, trader: Trader) -> None:
    ticket = issue_ws_ticket(authenticate_token(trader.token, client_ip=None))

    with server.connect(f"{trader.path}/?ticket={ticket}") as client:
        assert client.recv()["type"] == "connected"
    with server.connect(trader.path, headers={"X-Api-Key": trader.key()}) as client:
        assert client.recv()["type"] == "connected"
    with server.connect(trader.path) as client:
        client.send({"token": trader.token})
        assert client.recv()["type"] == "connected"
    with server.connect(f"{trader.path}?ticket={ticket}") as client:
        assert close_of(client)[0] == 4401


def test_without_a_token_in_time_the_socket_closes(server: LiveServer, trader: Trader, settings: Any) -> None:
    settings.WS_TOKEN_WAIT_S = 0.3

    with server.connect(trader.path) as client:
        client.send({"resume": 1})
        code, frames = close_of(client)

    assert code == 4401
    assert [frame["code"] for frame in frames] == [1100, 1100]


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer nonsense"}, {"X-Api-Key": "ak_00000000_no"}])
def test_bad_credentials_are_told_and_closed(server: LiveServer, trader: Trader, headers: dict[str, str]) -> None:
    with server.connect(trader.path, headers=headers) as client:
        code, [error] = close_of(client)

    assert (code, error["type"], error["code"]) == (4401, "error", 1101)

    with server.connect(trader.path) as client:
        client.send({"token": "nonsense"})
        assert close_of(client)[0] == 4401


def test_somebody_elses_account_is_not_found(server: LiveServer, trader: Trader) -> None:
    stranger = Trader()

    for path in (stranger.path, f"/ws/accounts/{uuid.uuid4()}", "/ws/accounts/1", "/ws/accounts/%00"):
        with server.connect(path, headers=trader.headers) as client:
            code, [error] = close_of(client)
            assert (code, error["code"]) == (4404, 1002)


def test_key_of_another_account_and_key_without_read_are_refused(server: LiveServer, trader: Trader) -> None:
    other = AccountFactory.create(user=trader.user)
    bound = trader.key(account_id=other.pk, account_uuid=other.uuid)
    blind = trader.key(scopes=["trade"])

    with server.connect(trader.path, headers={"X-Api-Key": bound}) as client:
        assert close_of(client)[0] == 4404
    with server.connect(f"/ws/accounts/{other.uuid}", headers={"X-Api-Key": bound}) as client:
        assert client.recv()["type"] == "connected"
    with server.connect(trader.path, headers={"X-Api-Key": blind}) as client:
        code, [error] = close_of(client)
        assert (code, error["code"]) == (4403, 1106)


def test_frozen_and_signed_out_users_are_closed(server: LiveServer, trader: Trader) -> None:
    other = Trader()
    with (
        server.connect(trader.path, headers=trader.headers) as client,
        server.connect("/ws/stream", headers=other.headers) as leaving,
        server.connect(other.path, headers={"X-Api-Key": other.key()}) as staying,
    ):
        client.of("connected")
        freeze_user(trader.user.pk, actor_id=None, reason="test")
        sign_out_everywhere(other.user.pk, now=system_clock())

        assert close_of(client)[0] == 4403
        assert close_of(leaving)[0] == 4403
        assert staying.recv()["type"] == "connected"
        other.happen()
        assert staying.of("balance_update")["sequence"] == 1

    with server.connect(trader.path, headers=trader.headers) as client:
        assert close_of(client)[0] == 4403


# In order, once each


def test_resume_replays_what_was_missed_and_goes_on(server: LiveServer, trader: Trader) -> None:
    trader.happen(500)

    with server.connect(trader.path, headers=trader.headers) as client:
        client.send({"resume": 20})
        assert client.recv()["sequence"] == 500
        trader.happen(3)
        assert sequences(client, 483) == list(range(21, 504))
    with server.connect(trader.path) as client:
        client.send({"token": trader.token, "resume": 501})
        assert client.recv()["sequence"] == 503
        assert sequences(client, 2) == [502, 503]
    with server.connect(f"{trader.path}?resume=502", headers=trader.headers) as client:
        assert sequences(client, 1) == [503]


@pytest.mark.parametrize("resume", [4, -1, 2**70, "x", True, 1.5])
def test_impossible_resume_is_an_error_and_the_present_position(
    server: LiveServer, trader: Trader, resume: Any
) -> None:
    trader.happen(3)

    with server.connect(trader.path, headers=trader.headers) as client:
        client.send({"resume": resume})
        assert client.of("error")["code"] == 1001
        trader.happen()
        assert sequences(client, 1) == [4]


def test_nonsense_beside_the_token_begins_at_the_present(server: LiveServer, trader: Trader) -> None:
    trader.happen(3)

    for path, token in ((trader.path, {"token": trader.token, "resume": "x"}), (f"{trader.path}?resume=x", None)):
        with server.connect(path, headers=None if token else trader.headers) as client:
            if token:
                client.send(token)
            assert client.recv()["code"] == 1001
            assert client.recv()["sequence"] == 3


def test_late_resume_goes_back_and_says_so(server: LiveServer, trader: Trader, settings: Any) -> None:
    settings.WS_RESUME_WAIT_S = 0.0
    trader.happen(4)

    with server.connect(trader.path, headers=trader.headers) as client:
        client.of("connected")
        trader.happen()
        assert sequences(client, 1) == [5]
        client.send({"resume": 3})
        assert client.recv() == {"type": "resumed", "sequence": 3}
        assert sequences(client, 2) == [4, 5]


def test_lost_repeated_and_overtaking_announcements_change_nothing(server: LiveServer, trader: Trader) -> None:
    with server.connect(f"{trader.path}?resume=0", headers=trader.headers) as client:
        client.of("connected")
        trader.happen(2, announced=False)
        trader.happen()
        assert sequences(client, 3) == [1, 2, 3]
        trader.happen(2, announced=False)
        for sequence in (5, 4, 5, 3, 1):
            sync_client().publish(account_channel(trader.account.pk), json.dumps(trader.frame(sequence)))
        trader.happen()
        assert sequences(client, 3) == [4, 5, 6]
        sync_client().publish(account_channel(trader.account.pk), b'{"type":"x","sequence":999}')
        trader.happen()
        assert sequences(client, 1) == [7]


def test_heartbeat_carries_the_sequence_and_brings_what_was_lost(
    server: LiveServer, trader: Trader, settings: Any
) -> None:
    settings.WS_HEARTBEAT_S = 0.2

    with server.connect(trader.path, headers=trader.headers) as client:
        client.of("connected")
        trader.happen(3, announced=False)
        assert sequences(client, 3) == [1, 2, 3]
        beat = client.of("heartbeat")

    assert beat["sequence"] == 3
    assert abs(beat["at"] - time.time() * 1000) < 5000


def test_writers_at_work_while_clients_come_and_go(server: LiveServer, trader: Trader) -> None:
    def work() -> None:
        trader.happen(40)
        connection.close()

    writers = [threading.Thread(target=work) for _ in range(3)]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    while len(seen) < 120:
        with server.connect(f"{trader.path}?resume={len(seen)}", headers=trader.headers) as client:
            seen += sequences(client, min(25, 120 - len(seen)))
    for writer in writers:
        writer.join()

    assert seen == list(range(1, 121))


def test_lost_redis_connection_loses_no_event(server: LiveServer, trader: Trader) -> None:
    with server.connect(trader.path, headers=trader.headers) as client:
        client.of("connected")
        trader.happen()
        assert sequences(client, 1) == [1]
        kill_subscribers()
        trader.happen(2)
        assert sequences(client, 2) == [2, 3]
        trader.happen()
        assert sequences(client, 1) == [4]
