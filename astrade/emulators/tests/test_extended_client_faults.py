"""What each fault of the exchange looks like to a caller of our client, and what the exchange then holds."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from astrade.core.clock import system_clock
from astrade.emulators.faults import AFTER, BEFORE
from astrade.emulators.tests.extended_client import Caller, access_to, calling, profile_at
from astrade.emulators.tests.harness import BTC, Harness, running
from astrade.venues.budget import Budget
from astrade.venues.errors import AlreadyThere, Refused, Throttled, TimedOut, Unavailable, Unknown, VenueError
from astrade.venues.extended import account_calls, order_calls, public_calls
from astrade.venues.extended.aio import AsyncClient
from astrade.venues.extended.calls import Access, Call
from astrade.venues.extended.client import Client
from astrade.venues.extended.profiles import Network, Profile
from astrade.venues.extended.sending import clock_offset_ms
from astrade.venues.sending import offset_at

NOBODY_LISTENS = Profile(network=Network.TESTNET, rest_url="http://127.0.0.1:1/api/v1")
NO_SUCH_HOST = Profile(network=Network.TESTNET, rest_url="http://exchange.invalid/api/v1")
UNREADABLE = ("truncated_json", "wrong_content_type", "empty_answer")


class MovedClock:
    """The machine's clock, and what a pause moves it by."""

    def __init__(self) -> None:
        self.ahead_s, self.pauses = 0.0, list[float]()
        self.at_pause: Any = lambda: None

    def __call__(self):
        return system_clock() + timedelta(seconds=self.ahead_s)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.ahead_s += seconds
        self.at_pause()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def caller(harness: Harness, clock: MovedClock) -> AsyncIterator[Caller]:
    async with calling(harness, clock=clock, pause=clock.pause) as made:
        yield made


async def failure(caller: Caller, call: Any) -> VenueError:
    """What a call ends in, the same for both clients."""
    with pytest.raises(VenueError) as ended:
        await caller.send(call)
    return ended.value


BROKEN_WRITES = [
    ("reset_before_accept", "broken_connection", False),
    ("reset_after_accept", "broken_connection", True),
    *((name, f"http_{status}", False) for name, status in BEFORE.items()),
    *((name, f"http_{status}", True) for name, status in AFTER.items()),
    *((name, "unreadable_answer", True) for name in UNREADABLE),
]


@pytest.mark.parametrize(("fault", "cause", "is_there"), BROKEN_WRITES)
async def test_a_write_without_a_readable_answer_is_unknown_and_sent_once(
    caller: Caller, clock: MovedClock, fault: str, cause: str, is_there: bool
):
    await caller.switch(fault)
    ended = await failure(caller, caller.place(external_id="mine"))
    assert isinstance(ended, Unknown) and (ended.cause, ended.code, ended.status) == (cause, 5005, 202)
    assert await caller.orders_there() == (["mine"] if is_there else [])
    assert clock.pauses == []


@pytest.mark.parametrize(
    ("fault", "cause"), [("reset_after_accept", "broken_connection"), ("truncated_json", "unreadable_answer")]
)
async def test_a_cancel_whose_answer_is_lost_is_unknown_too(caller: Caller, fault: str, cause: str):
    await caller.send(caller.place(external_id="mine"))
    await caller.switch(fault)
    ended = await failure(caller, order_calls.cancel_by_external_id("mine"))
    assert isinstance(ended, Unknown) and ended.cause == cause


async def test_a_write_that_is_carried_out_and_not_answered_is_unknown(settings: Any):
    settings.VENUE_WRITE_TIMEOUT_S = 1.0
    async with running(hang_s=60) as harness, calling(harness) as caller:
        await caller.switch("accept_then_timeout")
        ended = await failure(caller, caller.place(external_id="mine"))
        assert isinstance(ended, Unknown) and ended.cause == "timeout"
        assert await caller.orders_there() == ["mine"]
        client = AsyncClient(profile_at(harness.url), budget=caller.client.budget)
        with pytest.raises(Unknown) as lost:
            await client.send(caller.place(external_id="other"), caller.access)
        assert lost.value.cause == "timeout"
        await client.close()
        assert await caller.orders_there() == ["mine", "other"]


async def test_an_answer_that_trickles_is_cut_at_the_deadline(harness: Harness, settings: Any):
    settings.VENUE_WRITE_TIMEOUT_S = settings.VENUE_READ_TIMEOUT_S = 0.5
    async with calling(harness) as caller:
        client = AsyncClient(profile_at(harness.url), budget=caller.client.budget)
        await caller.switch("slow_loris")  # 2 ms a byte: some 3 s for a market
        with pytest.raises(TimedOut):
            await client.send(public_calls.markets())
        assert isinstance(await failure(caller, public_calls.markets()), TimedOut)
        await client.close()


async def test_a_slow_answer_that_comes_in_time_is_read(caller: Caller):
    await caller.switch("slow_loris")
    assert (await caller.send(caller.place(external_id="slow"))).external_id == "slow"


@pytest.mark.parametrize("profile", [NOBODY_LISTENS, NO_SUCH_HOST], ids=["refused", "no-such-name"])
async def test_what_never_left_is_unavailable_even_for_a_write(harness: Harness, profile: Profile):
    budget = Budget(profile.host, per_minute=10_000)
    client, other = Client(profile, budget=budget, pause=lambda _: None), AsyncClient(profile, budget=budget)
    access = access_to(harness.account)
    calls: list[Call[Any]] = [order_calls.place_order({}), order_calls.cancel_order(1), account_calls.balance()]
    for call in calls:
        with pytest.raises(Unavailable) as ended:
            await asyncio.to_thread(client.send, call, access)
        assert (ended.value.cause, ended.value.code, ended.value.status) == ("not_connected", 5004, 503)
    with pytest.raises(Unavailable, match="unavailable"):
        await other.send(order_calls.place_order({}), access)
    client.close()
    await other.close()


async def test_an_error_in_an_answer_with_200_is_a_refusal(caller: Caller):
    await caller.switch("error_in_200")
    ended = await failure(caller, caller.place())
    assert isinstance(ended, Refused) and (ended.code, ended.venue_code) == (5000, 1006)
    assert ended.details["venue_message"] == "Unhandled error"
    assert await caller.orders_there() == []


async def test_a_duplicate_that_nobody_sent_proves_that_the_order_is_there(caller: Caller):
    await caller.switch("duplicate_execution_refused")
    ended = await failure(caller, caller.place(external_id="mine"))
    assert isinstance(ended, AlreadyThere) and not isinstance(ended, Refused | Unknown | Unavailable)
    assert await caller.orders_there() == ["mine"]


async def test_maintenance_is_a_refusal_with_503(caller: Caller):
    await caller.switch("maintenance")
    ended = await failure(caller, caller.place())
    assert isinstance(ended, Refused) and (ended.code, ended.status, ended.venue_code) == (5004, 503, 1010)


@pytest.mark.parametrize(
    ("mode", "code"), [("market_disabled", 2001), ("reduce_only_mode", 3017), ("market_reduce_only", 3017)]
)
async def test_modes_of_the_exchange_are_told_in_our_words(caller: Caller, mode: str, code: int):
    await caller.switch(mode)
    assert (await failure(caller, caller.place())).code == code


@pytest.mark.parametrize(("fault", "after_s"), [("rate_limited", 5), ("rate_limited_retry_after", 1)])
async def test_a_write_over_the_limit_was_not_done_and_everybody_pauses(
    caller: Caller, clock: MovedClock, fault: str, after_s: int
):
    await caller.switch(fault)
    ended = await failure(caller, caller.place())
    assert isinstance(ended, Throttled) and ended.is_from_venue
    assert (ended.code, ended.status, ended.retry_after_s) == (1201, 429, after_s)
    assert await caller.orders_there() == []
    await caller.switch("")
    stopped = await failure(caller, caller.place())
    assert isinstance(stopped, Throttled) and not stopped.is_from_venue
    assert await caller.orders_there() == [] == clock.pauses


async def test_a_read_over_the_limit_waits_as_long_as_it_was_told(caller: Caller, clock: MovedClock):
    await caller.switch("rate_limited_retry_after")
    clock.at_pause = lambda: caller.harness.exchange.switch_faults("")
    assert await caller.send(account_calls.positions()) == []
    (waited,) = clock.pauses
    assert 1.1 <= waited <= 1.2


async def test_a_read_over_the_limit_that_would_wait_too_long_says_so(caller: Caller, clock: MovedClock):
    await caller.switch("rate_limited")
    ended = await failure(caller, account_calls.positions())
    assert isinstance(ended, Throttled) and clock.pauses == []


@pytest.mark.parametrize("fault", UNREADABLE)
async def test_a_read_is_tried_three_times_with_growing_waits(caller: Caller, clock: MovedClock, fault: str):
    await caller.switch(fault)
    ended = await failure(caller, account_calls.positions())
    assert isinstance(ended, Unavailable) and (ended.cause, ended.code) == ("unreadable_answer", 5004)
    first, second = clock.pauses
    assert 0.1 <= first <= 0.2 <= second <= 0.4


async def test_a_read_that_goes_well_the_second_time_is_answered(caller: Caller, clock: MovedClock):
    await caller.switch("truncated_json")
    clock.at_pause = lambda: caller.harness.exchange.switch_faults("")
    assert await caller.send(account_calls.positions()) == []
    assert len(clock.pauses) == 1


async def test_a_read_that_is_refused_is_not_tried_again(caller: Caller, clock: MovedClock):
    with pytest.raises(Refused) as refused:
        await caller.send(public_calls.stats("NOTHING-USD"))
    assert (refused.value.code, refused.value.venue_code) == (2000, 1001)
    assert isinstance(await failure(caller, public_calls.markets("X")), Refused)
    assert clock.pauses == []


async def test_an_answer_has_a_largest_size(caller: Caller, settings: Any):
    settings.VENUE_ANSWER_BYTES_MAX = 40
    read = await failure(caller, public_calls.markets())
    write = await failure(caller, caller.place(external_id="mine"))
    assert isinstance(read, Unavailable) and isinstance(write, Unknown)
    assert (read.cause, write.cause) == ("answer_too_large", "answer_too_large")


async def test_the_exchanges_clock_is_measured(caller: Caller):
    offset_at.cache_clear()
    profile = caller.client.profile
    assert clock_offset_ms(profile) is None
    caller.harness.clock.now = system_clock()
    await caller.switch("clock_skew")
    for _ in range(3):
        await caller.send(public_calls.stats(BTC))
    measured = clock_offset_ms(profile)
    assert measured is not None and 80_000 < measured < 100_000


async def test_calls_and_failures_are_counted_by_name_not_by_path(caller: Caller):
    labels = {"venue": "extended", "call": "cancel_order"}
    count, failures = "astrade_venue_request_seconds_count", "astrade_venue_failures_total"
    kind = labels | {"kind": "Refused"}
    before = [REGISTRY.get_sample_value(count, labels) or 0, REGISTRY.get_sample_value(failures, kind) or 0]
    await failure(caller, order_calls.cancel_order(123456789))
    after = [REGISTRY.get_sample_value(count, labels), REGISTRY.get_sample_value(failures, kind)]
    assert after == [before[0] + 1, before[1] + 1]
    told = {str(sample.labels) for metric in REGISTRY.collect() for sample in metric.samples}
    assert not any("123456789" in labels for labels in told)


async def test_one_owner_over_the_budget_is_stopped_before_anything_is_sent(harness: Harness):
    profile = profile_at(harness.url)
    budget = Budget(f"{profile.host}/small", per_minute=10)  # three at a time
    client = Client(profile, budget=budget, clock=harness.clock)
    one, other = Access(harness.account.api_key, 1), Access(harness.account.api_key, 2)
    await asyncio.to_thread(client.send, account_calls.positions(), one)
    await harness.http.post("/emulator/faults", json={"faults": "reset_before_accept"})
    with pytest.raises(Throttled) as denied:
        await asyncio.to_thread(client.send, order_calls.place_order({}), one)
    assert not denied.value.is_from_venue and (denied.value.retry_after_s or 0) > 0
    with pytest.raises(Unknown):  # the other owner's is sent, into the fault
        await asyncio.to_thread(client.send, order_calls.place_order({}), other)
    client.close()
