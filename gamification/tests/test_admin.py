"""Staff edit missions, look at what players earned, and play skipped events again."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tests.factories import UserFactory
from astrade.core.models import AuditEvent
from gamification.intake import process_all
from gamification.models import Mission, MissionProgress, MissionStep, Planet, Progress, SkippedEvent, Unlock, XpEntry
from gamification.tests.factories import FillEventFactory, MissionFactory, OrderEventFactory

pytestmark = pytest.mark.usefixtures("catalogue")


@pytest.fixture
def staff(client: Client) -> Client:
    user: User = UserFactory.create(is_staff=True, is_superuser=True)
    client.force_login(user)
    return client


def form(**changed: object) -> dict[str, object]:
    """The mission form as the browser sends it."""
    values = {
        "slug": "ten_fills",
        "title": "Ten fills",
        "description": "",
        "planet": Planet.objects.get(number=1).pk,
        "position": 3,
        "event_kind": "trade_update",
        "where": "{}",
        "unless": "{}",
        "counted_by": "id",
        "target": 10,
        "reward_xp": 50,
        "opens_planet": "",
        "is_active": "on",
    }
    return values | changed


@pytest.mark.parametrize(
    "model", [Mission, MissionProgress, MissionStep, Planet, Progress, SkippedEvent, Unlock, XpEntry]
)
def test_lists_and_pages_open(staff: Client, model: type) -> None:
    event = FillEventFactory.create()
    for _ in range(5):
        OrderEventFactory.create(account=event.account)
    OrderEventFactory.create(data={})
    process_all(batches_max=3)
    name = f"admin:gamification_{model.__name__.lower()}"

    listed = staff.get(reverse(f"{name}_changelist"), {"q": "x"})
    shown = staff.get(reverse(f"{name}_change", args=[model.objects.first().pk]))  # type: ignore[attr-defined]

    assert (listed.status_code, shown.status_code) == (200, 200)


def test_mission_is_made_and_put_on_record(staff: Client) -> None:
    answer = staff.post(reverse("admin:gamification_mission_add"), form())

    mission = Mission.objects.get(slug="ten_fills")
    event = AuditEvent.objects.get(action="mission.created")
    assert answer.status_code == 302
    assert (mission.target, mission.reward_xp, mission.where) == (10, 50, {})
    assert (event.object_id, event.after["target"]) == (str(mission.pk), 10)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("where", "[]"),
        ("where", '{"type": "market"}'),
        ("unless", '{"type": []}'),
        ("target", "0"),
        ("reward_xp", "10001"),
        ("slug", "first_trade"),
        ("event_kind", "nothing"),
    ],
)
def test_mission_that_could_not_work_is_refused(staff: Client, field: str, value: str) -> None:
    answer = staff.post(reverse("admin:gamification_mission_add"), form(**{field: value}))

    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not Mission.objects.filter(title="Ten fills").exists()


def test_changed_mission_keeps_its_slug_and_says_what_changed(staff: Client) -> None:
    mission = MissionFactory.create(title="Old", reward_xp=10)

    staff.post(
        reverse("admin:gamification_mission_change", args=[mission.pk]), form(slug="other", title="New", target=1)
    )

    mission.refresh_from_db()
    event = AuditEvent.objects.get(action="mission.changed")
    assert (mission.title, mission.slug == "other", mission.reward_xp) == ("New", False, 50)
    assert (event.before["reward_xp"], event.after["reward_xp"], "target" in event.after) == (10, 50, False)


def test_missions_and_history_are_not_removed(staff: Client) -> None:
    FillEventFactory.create()
    process_all(batches_max=1)
    entry, mission = XpEntry.objects.get(), Mission.objects.first()
    assert mission is not None

    answers = [
        staff.post(reverse("admin:gamification_mission_delete", args=[mission.pk]), {"post": "yes"}),
        staff.post(reverse("admin:gamification_xpentry_delete", args=[entry.pk]), {"post": "yes"}),
        staff.post(reverse("admin:gamification_xpentry_change", args=[entry.pk]), {"amount": 1000}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert XpEntry.objects.get().amount == 20


def test_skipped_events_are_played_again_on_demand(staff: Client) -> None:
    mission = MissionFactory.create(where={"mood": ["good"]})
    event = OrderEventFactory.create()
    process_all(batches_max=1)
    skipped = SkippedEvent.objects.get()
    Mission.objects.filter(pk=mission.pk).update(where={})

    chosen = {"action": "retry_now", "_selected_action": [skipped.pk]}
    answer = staff.post(reverse("admin:gamification_skippedevent_changelist"), chosen, follow=True)

    skipped.refresh_from_db()
    assert skipped.resolved_at is not None
    assert "1 of 1 events played." in [str(message) for message in answer.context["messages"]]
    assert XpEntry.objects.get(user=event.account.user).amount == 10
