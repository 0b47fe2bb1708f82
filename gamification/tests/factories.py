"""The smallest valid things of the game, and the account events that it plays."""

import uuid
from typing import Any

from factory.declarations import LazyFunction, Sequence, SubFactory
from factory.django import DjangoModelFactory

from accounts.tests.factories import UserFactory
from gamification.models import Mission, Planet, Progress
from trading.tests.event_factories import EventFactory

ENDED_XID = 1  # a transaction that has ended long ago: readers may read its events at once


class PlanetFactory(DjangoModelFactory[Planet]):
    class Meta:
        model = Planet
        django_get_or_create = ("number",)

    number = 1
    slug = Sequence("planet_{}".format)
    name = "Planet"


class MissionFactory(DjangoModelFactory[Mission]):
    class Meta:
        model = Mission

    slug = Sequence("mission_{}".format)
    title = "A mission"
    planet = SubFactory(PlanetFactory)
    event_kind = Mission.EventKind.ORDER_UPDATE
    target = 1
    reward_xp = 10


class ProgressFactory(DjangoModelFactory[Progress]):
    class Meta:
        model = Progress

    user = SubFactory(UserFactory)


def order_data(**changed: Any) -> dict[str, Any]:
    """The body of a filled market order, as far as missions look at it."""
    return {"id": str(uuid.uuid4()), "type": "market", "status": "filled", "source": "app"} | changed


def fill_data(**changed: Any) -> dict[str, Any]:
    """The body of a fill, as far as missions look at it."""
    return {"id": str(uuid.uuid4()), "order_id": str(uuid.uuid4())} | changed


class OrderEventFactory(EventFactory):
    """A market order that was filled, told by a transaction that has ended."""

    kind = "order_update"
    data = LazyFunction(order_data)
    xid = ENDED_XID


class FillEventFactory(EventFactory):
    """A fill, told by a transaction that has ended."""

    kind = "trade_update"
    data = LazyFunction(fill_data)
    xid = ENDED_XID
