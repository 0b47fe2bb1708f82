"""A trader with an account that things happen on, and what tests of sockets ask of a client."""

import json
import time
from typing import Any

import redis
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings as project_settings
from django.db import transaction
from django.db.models import F
from django.urls import re_path
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts.models import User
from accounts.tests.factories import ApiKeyFactory, signed_in
from accounts.tokens import new_api_key
from astrade.core.lifespan import lifespan
from astrade.core.tests.live import Client, LiveServer
from trading.announcing import announce_on_commit
from trading.consumers import AccountConsumer, StreamConsumer
from trading.models import TradingAccount
from trading.selectors import event_frames
from trading.tests.event_factories import AccountFactory, EventFactory

PATHS = [
    re_path(r"^ws/accounts/(?P<account_id>[^/]+)/?$", AccountConsumer.as_asgi()),
    re_path(r"^ws/stream$", StreamConsumer.as_asgi()),
]
APPLICATION = ProtocolTypeRouter({"websocket": URLRouter(PATHS), "lifespan": lifespan})


class Trader:
    """A signed-in user with one account."""

    def __init__(self) -> None:
        self.account: TradingAccount = AccountFactory.create(is_primary=True)
        self.user: User = self.account.user
        self.token = signed_in(self.user).access_token
        self.headers = {"Authorization": f"Bearer {self.token}"}
        self.path = f"/ws/accounts/{self.account.uuid}"

    def happen(self, count: int = 1, *, announced: bool = True, data: dict[str, Any] | None = None) -> None:
        """`count` events, each committed by itself, as bookings do."""
        for _ in range(count):
            with transaction.atomic():
                TradingAccount.objects.filter(pk=self.account.pk).update(sequence=F("sequence") + 1)
                sequence = TradingAccount.objects.get(pk=self.account.pk).sequence
                EventFactory.create(account=self.account, sequence=sequence, data=data or {"n": sequence})
                if announced:
                    announce_on_commit(self.account.pk, [self.frame(sequence)])

    def key(self, **fields: Any) -> str:
        """The secret of a new API key."""
        secret = new_api_key()[0]
        ApiKeyFactory.create(user=self.user, secret=secret, **fields)
        return secret

    def frame(self, sequence: int) -> dict[str, Any]:
        """The frame of an event."""
        [(_, payload)] = event_frames(self.account.pk, after=sequence - 1, limit=1)
        frame: dict[str, Any] = json.loads(payload)
        return frame


def close_of(client: Client, *, wait_s: float = 10) -> tuple[int, list[dict[str, Any]]]:
    """The close code of a socket that is being closed, and what came before it."""
    frames = []
    try:
        while True:
            frames.append(client.recv(wait_s=wait_s))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code, frames


def sequences(client: Client, count: int) -> list[int]:
    """The sequence numbers of the next `count` account events."""
    return [client.of("balance_update")["sequence"] for _ in range(count)]


def eventually_connected(server: LiveServer, trader: Trader) -> Client:
    """The slot of a closed socket is free again a moment after."""
    for _ in range(50):
        try:
            return server.connect(trader.path, headers=trader.headers)
        except InvalidStatus:
            time.sleep(0.05)
    raise AssertionError("the slot of a closed socket was never freed")


def kill_subscribers() -> None:
    """Cut the pub/sub connections of this test's Redis database, as a failing server would."""
    client = redis.Redis.from_url(project_settings.REDIS_URL)
    database = str(client.connection_pool.connection_kwargs.get("db", 0))
    for entry in client.client_list(_type="pubsub"):
        if entry["db"] == database:
            client.client_kill_filter(_id=entry["id"])
    client.close()
