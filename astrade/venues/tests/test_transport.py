"""Sending over real sockets, waiting, and the hosts of both networks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web

from astrade.core.randomness import seeded
from astrade.venues.errors import Throttled, TimedOut, Unavailable, Unknown
from astrade.venues.extended import signing
from astrade.venues.extended.profiles import Network, Profile, profile_of
from astrade.venues.offsets import ClockOffset
from astrade.venues.reconnecting import reconnect_wait_s
from astrade.venues.transport import (
    RETRY_AFTER_MAX_S,
    Request,
    failure_of,
    fetch,
    fetch_async,
    new_async_http,
    new_http,
    retry_after_s,
    wait_before,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, 400_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("17", 17),
        (" 17 ", 17),
        ("99999999999", RETRY_AFTER_MAX_S),
        ("Sat, 21 Nov 2026 12:00:05 GMT", 5),  # 4.6 s, rounded up
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 21 Nov 2036 12:00:05 GMT", RETRY_AFTER_MAX_S),
        ("-3", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(text: str, seconds: int | None) -> None:
    assert retry_after_s({"Retry-After": text}, now=NOW) == seconds


def test_without_the_header_there_is_none() -> None:
    assert retry_after_s({}, now=NOW) is None


def test_waits_grow_and_end_with_the_tries_and_with_the_time() -> None:
    broken, dice = Unavailable("x"), seeded(1)
    firsts = [wait_before(1, broken, randomness=dice, left_s=9) or 0 for _ in range(200)]
    seconds = [wait_before(2, broken, randomness=dice, left_s=9) or 0 for _ in range(200)]
    assert 0.1 <= min(firsts) < 0.11 and 0.19 < max(firsts) <= 0.2  # spread over its half
    assert min(seconds) >= 0.2 and max(seconds) <= 0.4
    assert wait_before(3, broken, randomness=dice, left_s=9) is None
    assert wait_before(1, broken, randomness=dice, left_s=0.05) is None
    limited = Throttled("venue_limit", retry_after_s=3)
    assert 3.1 <= (wait_before(1, limited, randomness=dice, left_s=9) or 0) <= 3.2
    assert wait_before(1, limited, randomness=dice, left_s=3) is None


def test_reconnecting_waits_double_up_to_half_a_minute() -> None:
    dice = seeded(1)
    for failures, base in ((1, 1), (2, 2), (3, 4), (5, 16), (6, 20), (60, 20)):
        waits = [reconnect_wait_s(failures, randomness=dice) for _ in range(100)]
        assert base <= min(waits) and max(waits) <= base * 1.5 and max(waits) > min(waits)


REQUEST = httpx.Request("POST", "https://exchange.test")
CERTAIN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
DOUBTFUL = (httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


@pytest.mark.parametrize("kind", CERTAIN)
def test_only_what_certainly_never_left_is_unavailable_for_a_write(kind: type[httpx.HTTPError]) -> None:
    assert type(failure_of(kind("", request=REQUEST), is_write=True)) is Unavailable  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_whatever_breaks_later_is_unknown_for_a_write(kind: type[httpx.HTTPError]) -> None:
    broken = kind("", request=REQUEST)  # type: ignore[call-arg]
    assert type(failure_of(broken, is_write=True)) is Unknown
    expected = TimedOut if issubclass(kind, httpx.TimeoutException) else Unavailable
    assert type(failure_of(broken, is_write=False)) is expected


@asynccontextmanager
async def serving(handle: Any) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_redirects_are_not_followed_and_the_client_says_who_it_is() -> None:
    seen: list[tuple[str, str]] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["User-Agent"]))
        return web.Response(status=307, headers={"Location": "/other"})

    async with serving(elsewhere) as url, new_async_http() as http:
        request = Request(method="POST", url=f"{url}/user/order", headers={}, body=b"{}")
        answer = await fetch_async(http, request, timeout_s=5)
    assert answer.status == 307
    assert seen == [("/user/order", "AsTrade/1.0.0")]


async def test_queries_are_encoded_and_repeated() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=request.raw_path)

    async with serving(echo) as url, new_async_http() as http:
        query = [("market", "BTC-USD"), ("market", "A&B"), ("externalId", "x y")]
        answer = await fetch_async(http, Request(method="GET", url=f"{url}/p", headers={}, query=query), timeout_s=5)
    assert answer.body == b"/p?market=BTC-USD&market=A%26B&externalId=x+y"


def test_a_connection_refused_is_one_error_for_both_clients() -> None:
    with new_http() as http, pytest.raises(httpx.ConnectError):
        fetch(http, Request(method="GET", url="http://127.0.0.1:1/", headers={}), timeout_s=1)


def test_the_clocks_offset_is_the_median_of_the_latest() -> None:
    offset, date = ClockOffset("test"), "Sat, 21 Nov 2026 12:00:10 GMT"
    assert offset.ms() is None
    offset.note_headers({}, sent=NOW, received=NOW)
    offset.note_headers({"Date": "no date"}, sent=NOW, received=NOW)
    assert offset.ms() is None
    offset.note_headers({"Date": date}, sent=NOW, received=NOW + timedelta(seconds=1))
    assert offset.ms() == 10_500 - 900  # the middle of the second, against the middle of the way
    for _ in range(2):
        offset.note(100)
    assert offset.ms() == 100
    for _ in range(40):
        offset.note(-7)
    assert offset.ms() == -7


def test_each_network_has_its_own_hosts_and_domains() -> None:
    test, main = profile_of(Network.TESTNET), profile_of(Network.MAINNET)
    assert test.rest_url == test.orders_url == "https://api.starknet.sepolia.extended.exchange/api/v1"
    assert test.stream_url == "wss://api.starknet.sepolia.extended.exchange/stream.extended.exchange/v1"
    assert main.onboarding_url == "https://api.starknet.extended.exchange"
    assert main.stream_url == "wss://api.starknet.extended.exchange/stream.extended.exchange/v1"
    assert (test.domain, main.domain) == (signing.TESTNET, signing.MAINNET)
    assert (test.signing_domain, main.signing_domain) == ("starknet.sepolia.extended.exchange", "extended.exchange")
    assert (test.order_lasts_ms_max, main.order_lasts_ms_max) == (28 * 86_400_000, 90 * 86_400_000)
    assert test.host != main.host


def test_the_old_setting_replaces_one_networks_rest_base_and_what_is_derived(settings: Any) -> None:
    profile_of.cache_clear()
    settings.EXTENDED_API_URL, settings.STARKNET_NETWORK = "http://127.0.0.1:8600/api/v1/", "mainnet"
    settings.EXTENDED_MAINNET_ORDERS_URL = "https://orders.test/v1"
    main, test = profile_of(Network.MAINNET), profile_of(Network.TESTNET)
    profile_of.cache_clear()
    assert main == Profile(
        network=Network.MAINNET, rest_url="http://127.0.0.1:8600/api/v1", orders_url="https://orders.test/v1"
    )
    assert main.stream_url == "ws://127.0.0.1:8600/stream.extended.exchange/v1"
    assert test.host == "api.starknet.sepolia.extended.exchange"
