"""Events as other apps' readers meet them, without booking anything."""

from datetime import UTC, datetime

from factory.declarations import LazyFunction, Sequence, SubFactory
from factory.django import DjangoModelFactory

from accounts.tests.factories import UserFactory
from trading.models import Event, TradingAccount

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class AccountFactory(DjangoModelFactory[TradingAccount]):
    class Meta:
        model = TradingAccount

    user = SubFactory(UserFactory)
    name = "Practice"
    created_at = AT


class EventFactory(DjangoModelFactory[Event]):
    """Without an `xid` the event belongs to the transaction that inserts it, as a booked one does."""

    class Meta:
        model = Event

    account = SubFactory(AccountFactory)
    sequence = Sequence(lambda number: number + 1)
    kind = "balance_update"
    data = LazyFunction(dict)
    at = AT
