"""An emulated Extended, people with accounts there, and who listens to what becomes of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import VenueCredential
from accounts.signals import venue_connected, venue_disconnecting
from astrade.core.errors import OpenPositions
from astrade.emulators.tests.background import in_background
from astrade.emulators.tests.harness import Harness
from astrade.tests.venue import Person, extended_at


@pytest.fixture(scope="module")
def exchange() -> Iterator[Harness]:
    """One for all tests: what they do there changes nothing."""
    with in_background() as harness:
        yield harness


@pytest.fixture
def venue(exchange: Harness, settings: Any) -> Iterator[Harness]:
    with extended_at(exchange.url, settings):
        yield exchange
        exchange.exchange.faults.switch("")
        for account in exchange.exchange.accounts.values():
            account.status = "ACTIVE"


@pytest.fixture
def person(venue: Harness) -> Person:
    return Person()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, Any]]]:
    """What is announced, in this order."""
    told: list[tuple[str, Any]] = []

    def connected(*, user_id: int, credential_id: int, replaces: int | None, **_: Any) -> None:
        assert VenueCredential.objects.filter(pk=credential_id, user_id=user_id).exists()
        told.append(("connected", replaces))

    def disconnecting(*, credential_id: int, **_: Any) -> None:
        told.append(("disconnecting", credential_id))

    venue_connected.connect(connected)
    venue_disconnecting.connect(disconnecting)
    yield told
    venue_connected.disconnect(connected)
    venue_disconnecting.disconnect(disconnecting)


@pytest.fixture
def refusing() -> Iterator[None]:
    """Somebody listens who has something open."""

    def refuse(**_: Any) -> None:
        raise OpenPositions

    venue_disconnecting.connect(refuse)
    yield
    venue_disconnecting.disconnect(refuse)
