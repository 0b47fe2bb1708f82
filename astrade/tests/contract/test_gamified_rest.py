"""Requirement document 2: its calls that are offered, at the root as it prints them."""

from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client

from accounts.tests.client import Api, some_address
from gamification.domain.levels import level_of
from trading.tests.api.client import Trader

NEW = {"email": "player@example.com", "password": "Practice1"}


@pytest.fixture
def player(trader: Trader) -> Trader:
    """A trader at the root that the document prints."""
    trader.api.root = ""
    return trader


@pytest.fixture
def visitor(db: None) -> Api:
    """Nobody in particular at that root."""
    return Api(root="")


def test_register_and_login(visitor: Api) -> None:
    registered = visitor.post("/register", NEW)
    again = visitor.post("/login", NEW)

    assert (registered.status, again.status) == (201, 200)
    assert registered.data["user"]["id"] == again.data["user"]["id"]
    assert {"access_token", "refresh_token", "token_type", "expires_in", "user"} == set(again.data)


def test_get_users_me(player: Trader) -> None:
    me = player.api.get("/users/me").data

    assert (me["id"], me["email"]) == (str(player.user.uuid), player.user.email)
    assert Api(root="").get("/users/me").error == (401, 1100)


def test_get_trades(player: Trader) -> None:
    player.place()
    (trade,) = player.api.get("/trades").data

    assert (trade["symbol"], trade["price"], trade["quantity"]) == ("BTC-USD", "101", "1")


def test_get_portfolio_balance(player: Trader) -> None:
    player.place()
    portfolio = player.api.get("/portfolio/balance").data

    assert (portfolio["total_balance"], portfolio["total_equity"], portfolio["unrealized_pnl"]) == (
        "9999.899", "9998.899", "-1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/portfolio/history", {"points", "pnl", "time_weighted_return"}),
        ("/portfolio/risk", {"gross_exposure", "volatility", "max_drawdown", "sharpe_ratio", "win_rate"}),
    ],
)
def test_portfolio_history_and_risk_metrics(player: Trader, path: str, fields: set[str]) -> None:
    assert fields <= set(player.api.get(path).data)


@pytest.mark.parametrize(("path", "interval"), [("/portfolio/history", "1d"), ("/portfolio/risk", "1h")])
def test_portfolio_intervals_unless_said(player: Trader, path: str, interval: str) -> None:
    assert player.api.get(path).data["interval"] == interval
    assert player.api.get(f"{path}?interval=15m").data["interval"] == "15m"
    assert player.api.get(f"{path}?interval=1M").error == (400, 1001)


def test_get_leaderboard_without_credentials(visitor: Api) -> None:
    board = visitor.get("/leaderboard").data

    assert (board["period"], board["metric"], board["me"]) == ("all", "xp", None)
    assert visitor.get("/leaderboard?period=ALL&metric=XP").data == board
    assert visitor.get("/leaderboard?period=decade").error == (400, 1001)


@pytest.mark.parametrize(("xp", "level"), [(0, 1), (99, 1), (100, 2), (199, 2), (200, 3)])
def test_level_is_one_and_a_hundredth_of_the_xp(xp: int, level: int) -> None:
    assert level_of(xp) == level


def test_a_new_players_progress(player: Trader) -> None:
    assert player.api.get("/progress").data == {
        "total_xp": 0, "level": 1, "xp_to_next": 100, "current_planet": 1, "unlocked_planets": [1],
        "completed_missions": [], "achievements": [], "streak": 0, "freezes": 0, "multiplier": 1,
    }  # fmt: skip


def test_get_health(visitor: Api) -> None:
    answer = visitor.get("/health")
    assert (answer.status, set(answer.data)) == (200, {"state", "version"})


@pytest.mark.django_db
def test_get_metrics_for_prometheus_from_within() -> None:
    response = Client(REMOTE_ADDR="127.0.0.1").get("/metrics")

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    assert b"# TYPE" in response.content


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_documentation_pages(path: str) -> None:
    response = Client(REMOTE_ADDR=some_address()).get(path)
    assert (response.status_code, response["Content-Type"].partition(";")[0]) == (200, "text/html")


def test_access_tokens_live_as_configured() -> None:
    assert configured.ACCESS_TOKEN_EXPIRE_MINUTES == 30


def test_security_headers_are_on_every_answer(visitor: Api) -> None:
    headers: Any = visitor.get("/leaderboard").headers

    assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_origins_are_allowed_by_name(visitor: Api, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]

    known = visitor.get("/leaderboard", Origin="https://app.example.com").headers
    assert known["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "Access-Control-Allow-Origin" not in visitor.get("/leaderboard", Origin="https://evil.example.com").headers
