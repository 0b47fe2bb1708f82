import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from astrade.core import leases
from astrade.core.leases import LeaseLost, acquire, hold, holder_name, release, renew, require
from astrade.core.models import Lease

SHORT_S = 0.05


@pytest.fixture
def name() -> Any:
    return f"test:{secrets.token_hex(4)}"


def expire(name: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_lease SET expires_at = clock_timestamp() - interval '1 ms' WHERE name = %s", [name])


@pytest.mark.django_db
def test_one_holder_at_a_time(name: Any) -> None:
    token = acquire(name, holder="a")

    assert token == 1
    assert acquire(name, holder="b") is None
    assert renew(name, holder="a", token=token)
    assert not renew(name, holder="b", token=token)


@pytest.mark.django_db
def test_expired_lease_passes_on_with_a_higher_token(name: Any) -> None:
    first = acquire(name, holder="a")
    assert first
    expire(name)

    assert not renew(name, holder="a", token=first)
    second = acquire(name, holder="b")

    assert second == first + 1
    assert not release(name, holder="a", token=first)
    assert Lease.objects.get(name=name).holder == "b"


@pytest.mark.django_db
def test_released_lease_is_free_at_once(name: Any) -> None:
    token = acquire(name, holder="a")
    assert token
    assert release(name, holder="a", token=token)
    assert acquire(name, holder="b") == token + 1


@pytest.mark.django_db
def test_require_refuses_an_old_token(name: Any) -> None:
    token = acquire(name, holder="a")
    assert token
    with transaction.atomic():
        require(name, token=token)
    expire(name)
    with pytest.raises(LeaseLost), transaction.atomic():
        require(name, token=token)


def test_holder_names_never_repeat() -> None:
    assert len({holder_name() for _ in range(100)}) == 100


@pytest.mark.django_db(transaction=True)
def test_of_many_that_ask_at_once_one_gets_it(name: Any) -> None:
    def ask(n: Any) -> Any:
        try:
            return acquire(name, holder=f"holder-{n}")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(ask, range(8)))

    assert sorted(token for token in tokens if token is not None) == [1]


@pytest.fixture
def quick(monkeypatch: Any) -> None:
    """The same rules at a tenth of the time and less."""
    monkeypatch.setattr(leases, "VALID_S", 0.9)
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.2)
    monkeypatch.setattr(leases, "MARGIN_S", 0.1)
    monkeypatch.setattr(leases.acquire, "__kwdefaults__", {"valid_s": 0.9})
    monkeypatch.setattr(leases.renew, "__kwdefaults__", {"valid_s": 0.9})


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick")
async def test_hold_moves_on_when_the_holder_stops(name: Any) -> None:
    running: list[str] = []
    stops = {who: asyncio.Event() for who in "ab"}

    def work_of(who: Any) -> Any:
        async def work(token: int, end: asyncio.Event) -> None:
            running.append(f"{who}{token}")
            await end.wait()

        return work

    tasks = {who: asyncio.create_task(hold(name, work_of(who), stop=stops[who], holder=who)) for who in "ab"}
    await asyncio.sleep(1.5)
    assert len(running) == 1  # renewed beyond its first validity, and nobody else got it
    first = running[0][0]
    second = "b" if first == "a" else "a"
    stops[first].set()
    await asyncio.wait_for(tasks[first], 5)
    await asyncio.sleep(0.6)
    assert running == [f"{first}1", f"{second}2"]
    stops[second].set()
    await asyncio.wait_for(tasks[second], 5)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick")
async def test_holder_that_lost_its_lease_ends_its_work(name: Any) -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def stubborn(token: int, end: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()  # doesn't look at `end`
        finally:
            ended.set()

    task = asyncio.create_task(hold(name, stubborn, stop=stop, holder="a"))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(take_over, name)
    await asyncio.wait_for(ended.wait(), 3)
    stop.set()
    await asyncio.wait_for(task, 5)


def take_over(name: Any) -> None:
    expire(name)
    acquire(name, holder="b")
    connection.close()


@pytest.mark.django_db(transaction=True)
async def test_failing_work_releases_the_lease_and_is_raised(name: Any) -> None:
    async def broken(token: int, end: asyncio.Event) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await hold(name, broken, stop=asyncio.Event(), holder="a")

    assert await asyncio.to_thread(holder_of, name) == ""


def holder_of(name: str) -> str:
    try:
        return Lease.objects.get(name=name).holder
    finally:
        connection.close()
