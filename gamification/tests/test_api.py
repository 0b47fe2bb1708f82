"""The game over HTTP."""

from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import User
from accounts.signals import user_closing
from accounts.tests.client import Api
from accounts.tests.factories import ApiKeyFactory, UserFactory, signed_in
from accounts.tokens import new_api_key
from gamification.intake import process_all
from gamification.models import Mission, Progress, XpEntry
from gamification.selectors import standing_of, xp_board
from gamification.services import leave_boards
from gamification.tests.factories import FillEventFactory, OrderEventFactory
from trading.models import TradingAccount
from trading.tests.event_factories import AT, AccountFactory

pytestmark = pytest.mark.usefixtures("catalogue")
NEW = {
    "total_xp": 0,
    "level": 1,
    "xp_to_next": 100,
    "current_planet": 1,
    "unlocked_planets": [1],
    "completed_missions": [],
    "achievements": [],
    "streak": 0,
    "freezes": 0,
    "multiplier": 1,
}


def person(user: User) -> Api:
    return Api().bearer(signed_in(user).access_token)


def player(xp: int, *, name: str = "") -> User:
    """A user with so much XP: 0, 20, 100 or 120."""
    account: TradingAccount = AccountFactory.create(user__display_name=name)
    if xp % 100:
        FillEventFactory.create(account=account)
    for _ in range(5 * (xp >= 100)):
        OrderEventFactory.create(account=account)
    process_all(batches_max=2)
    return account.user


def names(board: dict[str, Any]) -> list[str]:
    return [row["display_name"] for row in board["entries"]]


def test_new_user_is_at_the_start_without_any_row() -> None:
    assert person(UserFactory.create()).get("/progress").data == NEW
    assert not Progress.objects.exists()


def test_progress_shows_what_was_earned() -> None:
    assert person(player(120)).get("/progress").data == NEW | {
        "total_xp": 120,
        "level": 2,
        "xp_to_next": 80,
        "current_planet": 2,
        "unlocked_planets": [1, 2],
        "completed_missions": ["first_trade", "crypto_prime_basic_trading"],
    }


def test_progress_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    user = player(120)

    with django_assert_num_queries(1):
        assert standing_of(user.pk).level == 2


def test_history_says_why_newest_first_page_by_page() -> None:
    api = person(player(120))

    first = api.get("/xp/history?limit=1")
    second = api.get(f"/xp/history?limit=1&cursor={first.content['pagination']['cursor']}")

    (entry,) = first.data
    assert entry == {
        "id": entry["id"],
        "number": 2,
        "amount": 100,
        "total_xp": 120,
        "reason": "mission",
        "source": "mission:crypto_prime_basic_trading",
        "description": "Mission completed: Basic trading",
        "at": 1772366400000,
    }
    assert [row["source"] for row in second.data] == ["mission:first_trade"]
    assert second.content["pagination"] == {"cursor": None, "count": 1}


def test_nobody_sees_anothers_history() -> None:
    player(120)

    assert person(UserFactory.create()).get("/xp/history").data == []


def test_missions_show_own_progress() -> None:
    account = AccountFactory.create()
    for _ in range(3):
        OrderEventFactory.create(account=account)
    FillEventFactory.create(account=account)
    process_all(batches_max=2)
    player(120)

    first, basics = person(account.user).get("/missions").data

    assert first == {
        "slug": "first_trade",
        "title": "First trade",
        "description": "Get your first fill, on any market.",
        "planet": 1,
        "target": 1,
        "reward_xp": 20,
        "opens_planet": None,
        "count": 1,
        "completed": True,
        "completed_at": 1772366400000,
    }
    assert (basics["count"], basics["target"], basics["opens_planet"]) == (3, 5, 2)
    assert (basics["completed"], basics["completed_at"]) == (False, None)


def test_mission_that_is_gone_stays_with_those_who_completed_it() -> None:
    done, new = player(20), UserFactory.create()
    Mission.objects.update(is_active=False)

    assert [mission["slug"] for mission in person(done).get("/missions").data] == ["first_trade"]
    assert person(new).get("/missions").data == []


def test_planets_show_what_is_open() -> None:
    home, second = person(player(120)).get("/planets").data

    assert home == {
        "number": 1,
        "slug": "crypto_prime",
        "name": "Crypto Prime",
        "description": "Where every trader starts.",
        "unlocked": True,
        "unlocked_at": None,
        "missions_total": 2,
        "missions_completed": 2,
    }
    assert (second["slug"], second["unlocked"], second["unlocked_at"]) == ("risk_harbor", True, 1772366400000)
    assert [row["unlocked"] for row in person(UserFactory.create()).get("/planets").data] == [True, False]


@pytest.mark.parametrize("path", ["/progress", "/xp/history", "/missions", "/planets"])
def test_own_things_need_credentials(path: str, api: Api) -> None:
    assert api.get(path).error == (401, 1100)


def test_api_key_that_may_read_reads() -> None:
    secret, prefix = new_api_key()
    ApiKeyFactory.create(user=player(20), secret=secret, prefix=prefix)

    assert Api().key(secret).get("/progress").data["total_xp"] == 20


def test_board_ranks_by_xp_and_equal_scores_by_who_was_first(api: Api) -> None:
    for name, xp in [("Ada", 20), ("Bob", 120), ("Cid", 20), ("Dan", 0)]:
        player(xp, name=name)

    board = api.get("/leaderboard?period=all").data

    assert board == {
        "period": "all",
        "metric": "xp",
        "entries": [
            {"rank": 1, "display_name": "Bob", "score": 120},
            {"rank": 2, "display_name": "Ada", "score": 20},
            {"rank": 3, "display_name": "Cid", "score": 20},
        ],
        "me": None,
    }


def test_board_names_only_those_who_chose_a_name(api: Api) -> None:
    player(20)

    assert api.get("/leaderboard").data["entries"] == [{"rank": 1, "display_name": None, "score": 20}]


def test_board_tells_the_caller_their_own_place() -> None:
    player(120, name="Ada")
    bob = player(20, name="Bob")

    board = person(bob).get("/leaderboard?limit=1").data

    assert names(board) == ["Ada"]
    assert board["me"] == {"rank": 2, "display_name": "Bob", "score": 20}


def test_board_pages_neither_repeat_nor_skip_while_scores_change(api: Api) -> None:
    users = {name: player(20, name=name) for name in "ABCDE"}
    first = api.get("/leaderboard?limit=2")
    climber = TradingAccount.objects.get(user=users["B"])
    for _ in range(5):
        OrderEventFactory.create(account=climber)
    process_all(batches_max=2)  # the last row of the page leaves its place

    second = api.get(f"/leaderboard?limit=2&cursor={first.content['pagination']['cursor']}")
    third = api.get(f"/leaderboard?limit=2&cursor={second.content['pagination']['cursor']}")

    assert [names(page.data) for page in (first, second, third)] == [["A", "B"], ["C", "D"], ["E"]]
    assert [row["rank"] for row in second.data["entries"]] == [3, 4]
    assert third.content["pagination"] == {"cursor": None, "count": 1}
    assert names(api.get("/leaderboard?limit=1").data) == ["B"]


def test_unknown_cursor_finds_nothing(api: Api) -> None:
    player(20)

    assert api.get("/leaderboard?cursor=12345").data["entries"] == []


@pytest.mark.parametrize(
    "query", ["period=day", "metric=pnl", "limit=0", "limit=x", "cursor=-1", "cursor=99999999999999999999"]
)
def test_board_that_is_not_kept_is_refused(query: str, api: Api) -> None:
    assert api.get(f"/leaderboard?{query}").error == (400, 1001)


def test_board_shows_no_ids_and_takes_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    bob = player(20, name="Bob")
    api = person(bob)
    api.get("/progress")  # the caller's row id is known by now

    with django_assert_num_queries(2):
        answer = api.get("/leaderboard")

    assert str(bob.uuid) not in str(answer.content)
    assert set(answer.data["entries"][0]) == {"rank", "display_name", "score"}


def test_closed_user_leaves_the_board(api: Api) -> None:
    leaver = player(120, name="Ada")
    player(20, name="Bob")

    user_closing.send(sender=User, user_id=leaver.pk)

    assert api.get("/leaderboard").data["entries"] == [{"rank": 1, "display_name": "Bob", "score": 20}]
    assert person(leaver).get("/leaderboard").data["me"] is None


def test_leaving_the_boards_twice_is_as_once() -> None:
    user = player(20)

    leave_boards(user_id=user.pk)
    leave_boards(user_id=user.pk)

    assert xp_board(cursor=None, limit=5).rows == []


def test_board_finds_ranks_in_a_crowd() -> None:
    first = UserFactory.create()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (uuid, password, is_superuser, email_verified, display_name, time_zone, tier,"
            " state, is_staff, total_volume, total_trades, total_realized_pnl, created_at)"
            " SELECT gen_random_uuid(), '', false, false, 'n' || n, 'UTC', 'standard', 'active', false, 0, 0, 0, now()"
            " FROM generate_series(1, 5000) n"
        )
        cursor.execute(
            "INSERT INTO gamification_progress (user_id, xp, entry_count, precedence, is_listed, updated_at)"
            " SELECT id, 20 * (id %% 50), 1, id, true, now() FROM accounts_user WHERE id > %s",
            [first.pk],
        )
    XpEntry.objects.create(
        user=first,
        number=1,
        amount=1,
        total_xp=500,
        reason="mission",
        source="x",
        description="",
        precedence=7,
        at=AT,
    )

    page = xp_board(cursor=7, limit=3)

    assert [row.score for row in page.rows] == [480, 480, 480]
    assert page.rows[0].rank == Progress.objects.filter(xp__gte=500).count() + 1
