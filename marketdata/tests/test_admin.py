"""The back office sees markets and prices, and changes them only through services."""

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from astrade.core.models import AuditEvent
from marketdata.models import Candle, FundingRate, Market, MarketRules
from marketdata.tests.factories import CandleFactory, FundingRateFactory, MarketFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    user = get_user_model().objects.create_superuser(email="staff@example.com", password="Correct-horse-1")
    client.force_login(user)
    return client


@pytest.mark.parametrize("model", [Market, MarketRules, Candle, FundingRate])
def test_lists_open_and_nothing_can_be_edited(staff: Client, model: type[Market]) -> None:
    CandleFactory.create()
    FundingRateFactory.create()
    name = model._meta.model_name
    assert staff.get(reverse(f"admin:marketdata_{name}_changelist")).status_code == 200
    page = staff.get(reverse(f"admin:marketdata_{name}_change", args=[model.objects.earliest("pk").pk]))
    assert page.status_code == 200 and b'name="_save"' not in page.content
    assert staff.get(reverse(f"admin:marketdata_{name}_add")).status_code == 403
    assert model in site._registry


def test_halting_goes_through_the_service(staff: Client) -> None:
    market = MarketFactory.create()
    for action, status in (("halt", "halted"), ("resume", "active")):
        chosen = {"action": action, "_selected_action": [market.pk]}
        staff.post(reverse("admin:marketdata_market_changelist"), chosen)
        market.refresh_from_db()
        assert market.status == status
    assert AuditEvent.objects.filter(action="market.status_changed").count() == 2
