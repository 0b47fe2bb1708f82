import multiprocessing
import secrets
import time
from dataclasses import replace
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from astrade.core import throttling
from astrade.core.errors import RateLimited
from astrade.core.tests.http import call, error_of, some_address
from astrade.core.throttling import LIMITS, Limit, forget, hit, peek, refuse

views = pytest.mark.urls("astrade.core.tests.views")
DAY = 86_400
TRIES, PROCESSES, ALLOWED = 60, 4, 100


@pytest.fixture
def no_redis(monkeypatch: Any) -> None:
    """A Redis that isn't there."""
    away = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), retries=0))
    monkeypatch.setattr(throttling._storage(), "storage", away)
    monkeypatch.setattr(throttling._storage(), "lua_incr_expire", away.register_script("return 1"))


def admitted(limit: Limit, identity: str, results: "multiprocessing.SimpleQueue[int]") -> None:
    """How many of this process's tries got through."""
    results.put(sum(hit(limit, identity).admitted for _ in range(TRIES)))


def test_processes_share_one_count_exactly() -> None:
    limit, identity = Limit("test", ALLOWED, DAY), secrets.token_hex(8)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    workers = [context.Process(target=admitted, args=(limit, identity, results)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert sum(results.get() for _ in workers) == ALLOWED
    assert not hit(limit, identity).admitted


def test_verdict_counts_down_and_says_when_it_starts_over() -> None:
    limit, identity = Limit("test", 3, DAY), secrets.token_hex(8)

    verdicts = [hit(limit, identity) for _ in range(4)]

    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0]
    assert [verdict.admitted for verdict in verdicts] == [True, True, True, False]
    assert all(0 < verdict.reset_s <= DAY for verdict in verdicts)
    with pytest.raises(RateLimited) as refused:
        refuse(verdicts[-1])
    assert refused.value.retry_after_s == verdicts[-1].reset_s


def test_peek_counts_nothing_and_forget_starts_over() -> None:
    limit, identity = Limit("test", 1, DAY), secrets.token_hex(8)
    assert peek(limit, identity).admitted
    assert hit(limit, identity).admitted
    assert not peek(limit, identity).admitted
    forget(limit, identity)
    assert hit(limit, identity).admitted


def test_window_ends(monkeypatch: Any) -> None:
    limit, identity = Limit("test", 1, 60), secrets.token_hex(8)
    monkeypatch.setattr(time, "time", lambda: 1_000_000_020.0)
    assert hit(limit, identity).admitted
    assert not hit(limit, identity).admitted
    monkeypatch.setattr(time, "time", lambda: 1_000_000_080.0)
    assert hit(limit, identity).admitted


def test_factor_scales_every_limit(settings: Any) -> None:
    settings.RATE_LIMIT_FACTOR = 5.0
    assert hit(Limit("test", 2, DAY), secrets.token_hex(8)).limit == 10


def test_contract_of_limits() -> None:
    assert {name: (limit.amount, limit.window_s) for name, limit in LIMITS.items()} == {
        "standard": (1_000, 60),
        "market_maker": (60_000, 300),
        "anonymous": (120, 60),
        "sign_in": (60, 60),
        "sign_in_failures": (10, 900),
        "sign_up": (60, 600),
        "provision": (10, 3_600),
    }


@views
def test_every_answer_carries_the_limit_of_its_caller() -> None:
    address = some_address()
    anonymous = call("POST", "/echo", {}, address=address)
    assert anonymous["RateLimit-Limit"] == "120"
    assert anonymous["RateLimit-Remaining"] == "119"
    assert 0 < int(anonymous["RateLimit-Reset"]) <= 60
    user = str(secrets.randbelow(10**9))
    assert call("GET", "/who", headers={"X-Test-User": user})["RateLimit-Limit"] == "1000"
    assert call("GET", "/who", headers={"X-Test-User": f"{user}:market_maker"})["RateLimit-Limit"] == "60000"
    assert call("POST", "/echo", {"amount": "x"}, address=address)["RateLimit-Remaining"] == "118"  # a 400 counts
    assert call("GET", "/nowhere", address=address)["RateLimit-Remaining"] == "117"  # so does a 404
    assert "RateLimit-Limit" not in call("GET", "/health/live", address=address)


@views
def test_over_the_limit_is_a_429_with_retry_after(monkeypatch: Any) -> None:
    monkeypatch.setitem(throttling.LIMITS, "anonymous", replace(LIMITS["anonymous"], amount=2, window_s=DAY))
    address = some_address()
    answers = [call("POST", "/echo", {}, address=address) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error_of(answers[-1]) == (429, 1200)
    assert answers[-1]["Retry-After"] == answers[-1]["RateLimit-Reset"]


@views
def test_bad_credentials_count_against_the_address(monkeypatch: Any) -> None:
    monkeypatch.setitem(throttling.LIMITS, "anonymous", replace(LIMITS["anonymous"], amount=2, window_s=DAY))
    address = some_address()
    statuses = [call("GET", "/who", headers={"X-Test-User": "bad"}, address=address).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


@views
def test_scope_of_a_view_counts_apart() -> None:
    address = some_address()
    assert call("POST", "/sign-in", {}, address=address)["RateLimit-Limit"] == "60"
    assert call("POST", "/echo", {}, address=address)["RateLimit-Remaining"] == "119"


@views
@pytest.mark.usefixtures("no_redis")
def test_without_redis_only_sign_in_is_refused() -> None:
    assert call("POST", "/echo", {}).status_code == 200
    refused = call("POST", "/sign-in", {})
    assert error_of(refused) == (429, 1200)
    assert refused["Retry-After"] == "5"
