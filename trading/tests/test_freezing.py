"""A frozen user's orders leave the market: soon by the announcement, at the latest by the schedule."""

from typing import Any

import pytest
from django.conf import settings as project_settings
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.services import freeze_user
from astrade.core.messages import BookSnapshot
from marketdata import live
from trading.models import Event, Order, OrderTransition
from trading.services.orders import fill_resting_order
from trading.tasks import cancel_orders_of_frozen_users
from trading.tests.conftest import Feed
from trading.tests.factories import open_account, place

pytestmark = pytest.mark.django_db


def statuses() -> list[tuple[str, str]]:
    """Status and reason of every order."""
    return list(Order.objects.order_by("pk").values_list("status", "reason"))


def test_freezing_cancels_what_the_user_left_open_and_nobody_elses(
    feed: Feed, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    account, other = open_account(), open_account()
    second = open_account(user=account.user)
    for owner in (account, second, other):
        place(owner, price="95")
    place(account, price="94")

    with django_capture_on_commit_callbacks(execute=True):
        freeze_user(account.user_id, actor_id=None, reason="test")

    gone = ("cancelled", "user_frozen")
    assert statuses() == [gone, gone, ("open", ""), gone]
    event = Event.objects.filter(account=second, kind="order_update").latest("sequence")
    assert (event.data["status"], event.data["reason"]) == gone


def test_a_lost_message_is_made_good_by_the_schedule_once(feed: Feed) -> None:
    account = open_account()
    place(account, price="95")
    freeze_user(account.user_id, actor_id=None, reason="test")  # its commit never comes here
    assert statuses() == [("open", "")]

    for _ in range(2):
        cancel_orders_of_frozen_users()

    assert statuses() == [("cancelled", "user_frozen")]
    assert OrderTransition.objects.filter(to_status="cancelled").count() == 1
    scheduled = [entry["task"] for entry in project_settings.CELERY_BEAT_SCHEDULE.values()]
    assert cancel_orders_of_frozen_users.name in scheduled


def test_matcher_fills_nothing_of_a_frozen_user_or_account(feed: Feed) -> None:
    frozen_user, frozen_account = open_account(), open_account()
    for account in (frozen_user, frozen_account):
        place(account, price="95")
    freeze_user(frozen_user.user_id, actor_id=None, reason="test")
    frozen_account.state = "frozen"
    frozen_account.save(update_fields=["state"])

    for order in Order.objects.all():
        assert not reached(order.account_id, order.pk)

    assert statuses() == [("open", ""), ("open", "")]


def reached(account_id: int, order_id: int) -> Any:
    """What the matcher does when the market trades through the order."""
    view, quotes = live.view_of("BTC-USD")
    book: BookSnapshot = view.book
    return fill_resting_order(account_id=account_id, order_id=order_id, book=book, quotes=quotes, traded_through=True)
