"""`/ws/progress` over a real server."""

from collections.abc import Iterator
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path

from accounts.models import User
from accounts.tests.factories import UserFactory, signed_in
from astrade.core.lifespan import lifespan
from astrade.core.redis import sync_client
from astrade.core.tests.live import Client, LiveServer
from gamification.consumers import ProgressConsumer
from gamification.frames import channel_of

pytestmark = pytest.mark.django_db(transaction=True)
PATHS = [re_path(r"^ws/progress$", ProgressConsumer.as_asgi())]


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    settings.WS_CONNECTIONS_PER_IP = 1000
    with LiveServer(ProtocolTypeRouter({"websocket": URLRouter(PATHS), "lifespan": lifespan})) as running:
        yield running


def progress_of(user: User, server: LiveServer) -> Client:
    """The user's open socket."""
    client = server.connect("/ws/progress", headers={"Authorization": f"Bearer {signed_in(user).access_token}"})
    assert client.recv() == {"type": "connected"}
    return client


def test_progress_reaches_its_player_only(server: LiveServer) -> None:
    player, other = UserFactory.create(), UserFactory.create()
    with progress_of(player, server) as mine, progress_of(other, server) as theirs:
        sync_client().publish(channel_of(player.pk), b'{"type":"xp","amount":10}')

        assert mine.recv() == {"type": "xp", "amount": 10}
        with pytest.raises(TimeoutError):
            theirs.recv(wait_s=0.3)
        mine.send({"op": "subscribe", "args": ["account"]})
        assert mine.recv()["code"] == 1000
        mine.send({"token": signed_in(player).access_token, "id": 1})
        assert mine.recv() == {"type": "authenticated", "id": 1}
        mine.send({"token": signed_in(other).access_token, "id": 2})
        assert mine.recv()["code"] == 1105
