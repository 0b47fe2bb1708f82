"""Every socket path leads where the AsyncAPI document says it does."""

import json
import re
from typing import Any

import pytest
from channels.routing import URLRouter

from astrade.core import asyncapi
from astrade.core.sockets.consumers import NoSuchSocket
from astrade.routing import websocket_urlpatterns
from gamification.consumers import ProgressConsumer
from marketdata.consumers import MarketConsumer
from trading.consumers import AccountConsumer, StreamConsumer

CONSUMERS = {"stream": StreamConsumer, "account": AccountConsumer, "progress": ProgressConsumer}


def consumer_of(path: str) -> type:
    """What the router would call, found by its own patterns."""
    for pattern in websocket_urlpatterns:
        if pattern.pattern.match(path.removeprefix("/")):
            consumer: type = pattern.callback.consumer_class  # type: ignore[attr-defined]
            return consumer
    raise AssertionError(path)


@pytest.mark.parametrize("key", asyncapi.sockets())
def test_documented_paths_are_served_with_and_without_slash(key: str) -> None:
    path = re.sub(r"\{\w+\}", "BTC-USD", asyncapi.sockets()[key].address)

    expected = CONSUMERS.get(key, MarketConsumer)
    assert consumer_of(path) is expected
    assert consumer_of(f"{path}/") is expected


def test_symbols_with_a_slash_and_unknown_paths() -> None:
    assert consumer_of("/ws/markets/BTC/USD/ticker") is MarketConsumer
    assert consumer_of("/ws/markets/BTC-USD/nothing") is NoSuchSocket
    assert consumer_of("/ws") is NoSuchSocket
    assert consumer_of("/") is NoSuchSocket
    assert URLRouter(websocket_urlpatterns).routes == websocket_urlpatterns


def test_document_is_whole() -> None:
    document = json.loads(json.dumps(asyncapi.document()))

    def resolve(reference: str) -> Any:
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return found

    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))
    assert len(references) > 100
    assert all(resolve(reference) for reference in references)
    used = {reference.rsplit("/", 1)[1] for reference in references if reference.startswith("#/components/messages/")}
    assert used == set(document["components"]["messages"])
