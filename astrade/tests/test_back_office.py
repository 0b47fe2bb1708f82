"""Every list and page of the back office, with a row in each table: they open, and count no big table."""

import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from accounts.services import freeze_user, two_factor
from accounts.services.terms import accept
from accounts.tests.client import some_address
from accounts.tests.factories import ApiKeyFactory, OnboardingFactory, UserFactory, VenueCredentialFactory, signed_in
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.core.models import Lease
from gamification.intake import process_all
from gamification.models import Mission, Planet, SkippedEvent, Unlock, XpEntry
from gamification.tests.factories import MissionFactory
from marketdata.selectors import forget_markets
from marketdata.tests.factories import CandleFactory, FundingRateFactory, publish
from trading.domain.lifecycle import Side
from trading.domain.limits import HaltScope
from trading.models import Event, Fill, Order, Position, TradingAccount
from trading.services.adjustments import propose_adjustment
from trading.services.due import set_switch
from trading.services.halts import HaltTarget, set_halt
from trading.services.risk_days import open_risk_day
from trading.services.roots import DAY, make_roots
from trading.services.snapshots import take_snapshots
from trading.tasks import sweep_events
from trading.tests.conftest import ASKS, BIDS, forget_prices, make_market
from trading.tests.everything import add_margin_rows, add_venue_rows, move_money
from trading.tests.factories import open_account, place, ref
from trading.tests.twaps import place_twap

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN_S = 60.0
SMALL = {"gamification.mission"}  # a catalogue, edited with Django's own paginator
SEARCHED = [
    "accounts.user",
    "accounts.starkkey",
    "accounts.venuecredential",
    "accounts.consent",
    "trading.tradingaccount",
    "trading.order",
    "trading.fill",
    "trading.position",
    "trading.journalentry",
    "trading.event",
    "gamification.mission",
]


@pytest.fixture(autouse=True)
def rows(transactional_db: None) -> Iterator[None]:
    """A platform on which everything happened once."""
    make_market("BTC-USD")
    publish("BTC-USD", bids=BIDS, asks=ASKS)
    account = open_account()
    signed_in(account.user)
    ApiKeyFactory.create(user=account.user)
    two_factor.begin_setup(account.user_id, now=system_clock())
    VenueCredentialFactory.create(user=account.user)
    OnboardingFactory.create(user=account.user)
    accept(account.user, [{"document": "terms", "version": "1"}], ip=None, now=system_clock())
    for side, changes in ((Side.BUY, {}), (Side.SELL, {}), (Side.BUY, {}), (Side.BUY, {"price": "95"})):
        place(account, side=side, **changes)
    place_twap(account)
    with pytest.raises(AstradeError):
        place(account, "0.0001")
    take_snapshots(system_clock())
    set_switch(account=ref(account), timeout_s=60)
    add_margin_rows(account)
    add_venue_rows(account)
    move_money(account)
    set_halt(HaltTarget(HaltScope.VENUE, venue="binance"), reason="drill", actor_id=None, now=system_clock())
    open_risk_day(account.pk, user_id=account.user_id, now=system_clock())
    proposer: User = UserFactory.create(is_staff=True)
    propose_adjustment(account_id=account.pk, staff_id=proposer.pk, amount=Decimal(5), reason="an outage")
    propose_adjustment(account_id=account.pk, staff_id=proposer.pk, amount=Decimal(-5), reason="paid twice")
    list(make_roots(until=system_clock() + DAY))
    play(account.user)
    CandleFactory.create(), FundingRateFactory.create()
    Lease.objects.create(name="matcher", holder="here", token=1, expires_at=system_clock() + timedelta(seconds=9))
    freeze_user(account.user_id, actor_id=None, reason="test")
    yield
    forget_prices()
    forget_markets()


def play(user: User) -> None:
    """The game and the totals read what happened, once no older transaction on the server can hold it back."""
    MissionFactory.create()
    deadline = time.monotonic() + WITHIN_S
    while not XpEntry.objects.exists():
        assert time.monotonic() < deadline, "the game has read nothing"
        sweep_events()
        process_all(batches_max=10)
    Unlock.objects.create(user=user, planet=Planet.objects.earliest("pk"), source="test", at=system_clock())
    SkippedEvent.objects.create(event=Event.objects.all()[0], error="x", retry_at=system_clock())


@pytest.fixture
def staff() -> Client:
    """A member of staff's."""
    client = Client(REMOTE_ADDR=some_address())
    user: User = UserFactory.create(is_staff=True, is_superuser=True)
    client.force_login(user, backend="accounts.backends.EmailBackend")
    return client


def test_every_list_and_page_opens_without_counting(staff: Client) -> None:
    for model in admin.site._registry:
        row = model._default_manager.order_by("pk").first()
        assert row is not None, f"{model._meta.label} has no row to look at"
        for path in (listing(model), reverse(f"admin:{route(model)}_change", args=[row.pk])):
            with CaptureQueriesContext(connection) as captured:
                assert staff.get(path).status_code == 200, path
            counts = [query["sql"] for query in captured if "COUNT(*)" in query["sql"].upper()]
            assert not counts or model._meta.label_lower in SMALL, (path, counts)


def test_lists_need_no_query_for_each_row(staff: Client) -> None:
    def queries() -> dict[str, int]:
        found = {}
        for model in (Order, Fill, Position, Event, TradingAccount):
            with CaptureQueriesContext(connection) as captured:
                staff.get(listing(model))
            found[model._meta.label] = len(captured)
        return found

    before = queries()
    another = open_account()
    place(another), place(another)

    assert queries() == before


@pytest.mark.parametrize("label", SEARCHED)
def test_lists_are_searched(staff: Client, label: str) -> None:
    model = next(model for model in admin.site._registry if model._meta.label_lower == label)
    known = Mission.objects.values_list("slug", flat=True)[0] if model is Mission else User.objects.earliest("pk").email

    assert shown(staff, model, str(known)) > 0
    assert shown(staff, model, "nobody@example.net") == 0


def test_orders_are_found_by_each_of_their_names(staff: Client) -> None:
    place(open_account())
    order = Order.objects.latest("pk")
    account, owner = order.account, order.account.user

    for word in (order.uuid, order.client_order_id, account.uuid, owner.uuid, owner.email, str(owner.email)[:-6]):
        assert shown(staff, Order, str(word)) == 1, word
    assert shown(staff, Order, f"{owner.email} {order.client_order_id}") == 1
    assert shown(staff, Order, f"{owner.email} other") == 0
    assert shown(staff, Fill, str(order.uuid)) == 1


def test_times_and_amounts_are_written_plainly(staff: Client) -> None:
    order = Order.objects.earliest("pk")
    page = staff.get(listing(Order)).content.decode()
    assert f"{order.created_at:%Y-%m-%d %H:%M:%S}" in page
    assert str(order.account) in page
    assert order.account.uuid.hex[:8] in str(order.account)
    assert str(order) == "#1 buy 1"


def test_no_page_shows_a_digest_of_a_key(staff: Client) -> None:
    key = ApiKeyFactory.create()
    page = staff.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert key.prefix in page
    assert "Digest" not in page


def route(model: type[models.Model]) -> str:
    """Its name in the admin's addresses."""
    return f"{model._meta.app_label}_{model._meta.model_name}"


def listing(model: type[models.Model]) -> str:
    """Its list's address."""
    return reverse(f"admin:{route(model)}_changelist")


def shown(staff: Client, model: type[models.Model], word: str) -> int:
    """How many rows a search shows."""
    answer = staff.get(listing(model), {"q": word})
    assert answer.status_code == 200
    return int(answer.context["cl"].result_count)
