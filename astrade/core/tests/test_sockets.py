"""The parts under the consumers, each by itself; Redis is real. End to end: the apps' `test_consumers.py`."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
import redis.asyncio
from channels.routing import ProtocolTypeRouter
from websockets import frames
from websockets.exceptions import InvalidStatus

from astrade.core.errors import Malformed, NotAuthenticated, NotFound, NotPermitted, TokenExpired, TooLarge, UserFrozen
from astrade.core.lifespan import lifespan
from astrade.core.permissions import Caller
from astrade.core.redis import async_client, sync_client
from astrade.core.sockets import outbox
from astrade.core.sockets.closing import close_code_of
from astrade.core.sockets.consumers import NoSuchSocket
from astrade.core.sockets.hub import AUTH_CHANNEL, FrameHub
from astrade.core.sockets.identity import Credential, client_ip_of, credential_of
from astrade.core.sockets.limits import LEASE_S, OPEN, PROCESS, ConnectionCounter, Pace
from astrade.core.sockets.outbox import Outbox
from astrade.core.sockets.protocol import Frame, error_frame, heartbeat, id_of, parse, reply
from astrade.core.sockets.subscriptions import PENDING_MAX, BookSubscription, Subscription
from astrade.core.tests.live import LiveServer

# Frames


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "1", '"x"', "null", "{", "[" * 10_000, '{"a":' * 9 + "1" + "}" * 9, '{"a":\ud800}']
)
def test_what_is_no_frame_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse({"text": text})


def test_frames_are_text_of_limited_size() -> None:
    assert parse({"text": '{"a":1}', "bytes": None}) == {"a": 1}
    with pytest.raises(Malformed):
        parse({"bytes": b"{}"})
    with pytest.raises(TooLarge):
        parse({"text": '"' + "x" * 65_536 + '"'})
    with pytest.raises(TooLarge):
        parse({"text": '"' + "é" * 40_000 + '"'})


def test_ids_are_echoed_if_sane() -> None:
    assert [id_of({}), id_of({"id": 5}), id_of({"id": "x"})] == [None, 5, "x"]
    bad_ids: list[Any] = [True, 1.5, [], {}, "x" * 129]
    for bad in bad_ids:
        with pytest.raises(Malformed):
            id_of({"id": bad})


def test_error_frame_and_head() -> None:
    frame = error_frame(NotFound("No such thing", details={"symbol": "X"}), message_id=7)

    assert json.loads(frame.text) == {
        "type": "error", "code": 1002, "message": "No such thing", "details": {"symbol": "X"}, "id": 7,
    }  # fmt: skip
    assert Frame(b'{"type":"orderbook_delta","sequence":5,"first_sequence":4,"bids":[]}').head.first_sequence == 4
    assert Frame(b"no json").head.sequence == 0
    assert heartbeat(5) is heartbeat(5)


def test_close_codes_of_refusals() -> None:
    refusals = [NotAuthenticated(), TokenExpired(), UserFrozen(), NotPermitted(), NotFound(), Malformed()]

    assert [close_code_of(error) for error in refusals] == [4401, 4401, 4403, 4403, 4404, 1011]


# Who is calling


def scope_of(query: str = "", **headers: str) -> dict[str, Any]:
    """An upgrade request."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"headers": pairs, "query_string": query.encode(), "client": ("10.0.0.1", 5)}


def test_credentials_are_read_from_header_key_and_ticket_and_never_from_cookies() -> None:
    assert credential_of(scope_of(authorization="bearer abc ")) == Credential("token", "abc")
    assert credential_of(scope_of("ticket=t", x_api_key="ak_1")) == Credential("token", "ak_1")
    assert credential_of(scope_of("a=1&ticket=t%2F")) == Credential("ticket", "t/")
    assert credential_of(scope_of("token=t", authorization="Basic abc", cookie="sessionid=1")) is None


def test_address_comes_from_trusted_proxies_only(settings: Any) -> None:
    forwarded = scope_of(x_forwarded_for="8.8.8.8, 203.0.113.7")

    settings.TRUSTED_PROXIES = []
    assert client_ip_of(forwarded) == "10.0.0.1"
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_ip_of(forwarded) == "203.0.113.7"


# How many, how fast


@pytest.fixture
async def subject() -> AsyncIterator[str]:
    """A caller no other test counts."""
    name = f"u:{uuid.uuid4()}"
    yield name
    await async_client().delete(OPEN + name)
    await async_client().aclose()


async def test_sockets_are_counted_over_all_processes(subject: str) -> None:
    one, two = ConnectionCounter(), ConnectionCounter()

    assert [await one.take(subject, limit=3), await two.take(subject, limit=3)] == [True, True]
    assert [await one.take(subject, limit=3), await two.take(subject, limit=3)] == [True, False]
    await one.release(subject)
    assert [await two.take(subject, limit=3), await one.take(subject, limit=3)] == [True, False]


async def test_twenty_at_once_get_no_more_than_there_is(subject: str) -> None:
    counters = [ConnectionCounter() for _ in range(4)]

    taken = await asyncio.gather(*(counters[number % 4].take(subject, limit=7) for number in range(20)))

    assert sum(taken) == 7


async def test_what_a_killed_process_held_is_free_again(subject: str) -> None:
    dead, alive = ConnectionCounter(), ConnectionCounter()
    assert await dead.take(subject, limit=1)
    assert not await alive.take(subject, limit=1)
    assert 0 < sync_client().ttl(PROCESS + dead.process) <= LEASE_S

    sync_client().delete(PROCESS + dead.process)  # as when its lease ran out

    assert await alive.take(subject, limit=1)


async def test_renewal_heals_an_emptied_redis(subject: str) -> None:
    counter, other = ConnectionCounter(), ConnectionCounter()
    for _ in range(2):
        assert await counter.take(subject, limit=2)
    sync_client().delete(OPEN + subject, PROCESS + counter.process)

    await counter.renew(now=1000)

    assert not await other.take(subject, limit=2)
    await counter.forget_process()
    assert await other.take(subject, limit=2)


async def test_without_redis_each_process_limits_what_it_sees(subject: str) -> None:
    away = redis.asyncio.Redis.from_url("redis://127.0.0.1:1/0")
    clients = [away] * 5
    counter = ConnectionCounter(client=lambda: clients.pop() if clients else async_client())

    assert [await counter.take(subject, limit=2) for _ in range(3)] == [True, True, False]
    await counter.release(subject)
    await counter.renew(now=1000)
    clients.clear()
    await counter.renew(now=2000)

    assert sync_client().hget(OPEN + subject, counter.process) == b"1"
    await away.aclose()


def test_pace_lets_bursts_pass_and_slows_what_goes_on() -> None:
    pace = Pace(now=0.0)

    assert [pace.delay_s(cost=1, now=0.0) for _ in range(200)] == [0.0] * 200
    assert pace.delay_s(cost=50, now=0.0) == 1.0
    assert pace.delay_s(cost=1, now=10.0) == 0.0
    assert pace.delay_s(cost=10_000, now=10.0) == Pace.WAIT_S_MAX


# What waits


class Peer:
    """Takes what an outbox sends or writes directly; may be held up."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.closed: tuple[int, str] | None = None
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, text: str) -> None:
        """One frame."""
        await self.reads.wait()
        self.got.append(text)

    def write(self, wire: bytes) -> bool:
        """One short frame, unless held up."""
        if self.reads.is_set():
            self.got.append(f"direct {wire[2:].decode()}")
        return self.reads.is_set()

    async def close(self, code: int, reason: str) -> None:
        """The end."""
        self.closed = (code, reason)


def nothing() -> None:
    """No reaction."""


async def settle(condition: Callable[[], bool]) -> None:
    """Let other tasks work until `condition`."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_outbox_keeps_order_and_closes_after_what_is_queued() -> None:
    peer, box = Peer(), Outbox(on_overflow=nothing)
    for number in range(3):
        assert box.put(Frame(str(number)))
    box.finish(code=4403, reason="gone")
    box.finish(code=1000, reason="late")
    assert not box.put(Frame("after"))

    await box.run(peer.send, peer.close)

    assert (peer.got, peer.closed) == (["0", "1", "2"], (4403, "gone"))


async def test_full_outbox_tells_its_socket_once_and_drops() -> None:
    overflows: list[str] = []

    def overflowed() -> None:
        overflows.append("full")
        box.finish(code=4408, reason="")

    box = Outbox(on_overflow=overflowed)
    big = Frame("x" * (outbox.MAX_BYTES // 4))

    assert [box.put(big) for _ in range(6)] == [True, True, True, True, False, False]
    assert overflows == ["full"]
    many = Outbox(on_overflow=lambda: overflows.append("many"))
    assert sum(many.put(reply("x")) for _ in range(outbox.MAX_FRAMES + 1)) == outbox.MAX_FRAMES


async def test_those_who_read_ahead_wait_for_room() -> None:
    peer, box = Peer(), Outbox(on_overflow=nothing)
    peer.reads.clear()
    writer = asyncio.create_task(box.run(peer.send, peer.close))
    for _ in range(outbox.MAX_FRAMES // 2 + 2):
        box.put(reply("x"))
    waiting = asyncio.create_task(box.drained())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done

    peer.reads.set()

    await asyncio.wait_for(waiting, 5)
    writer.cancel()


async def test_what_nothing_stands_before_is_written_at_once_and_nothing_overtakes() -> None:
    peer = Peer()
    box = Outbox(on_overflow=nothing, write=peer.write)
    box.put(Frame("0"))
    writer = asyncio.create_task(box.run(peer.send, peer.close))
    assert peer.got == []  # nobody writes yet
    await settle(lambda: peer.got == ["0"])

    box.put(Frame("1"))
    assert peer.got == ["0", "direct 1"]
    peer.reads.clear()
    for number in "234":
        box.put(Frame(number))
    await asyncio.sleep(0)  # the writer holds 2 now
    peer.reads.set()
    box.put(Frame("5"))
    await settle(lambda: len(peer.got) == 6)
    box.put(Frame("6"))

    assert peer.got == ["0", "direct 1", "2", "3", "4", "5", "direct 6"]
    box.finish(code=1000, reason="")
    assert not box.write(Frame("7"))
    await writer


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
async def test_a_frame_has_the_same_bytes_as_the_library_gives_it(size: int) -> None:
    text = "é" * (size // 2) + "x" * (size % 2)

    assert Frame(text).wire == frames.Frame(frames.Opcode.TEXT, text.encode()).serialize(mask=False)


async def test_a_book_is_written_at_once_only_where_it_goes_on() -> None:
    peer = Peer()
    box, snapshots = Outbox(on_overflow=nothing, write=peer.write), iter([5, 9])

    async def load() -> list[Frame]:
        return [reply("orderbook", sequence=next(snapshots))]

    book = BookSubscription(outbox=box, load=load, active=nothing)
    writer = asyncio.create_task(box.run(peer.send, peer.close))
    book.deliver("c", delta(4, 5))
    book.start()
    await settle(lambda: len(peer.got) == 1)
    for first, last in ((6, 6), (7, 8), (8, 9)):
        book.deliver("c", delta(first, last))
    assert [text.startswith("direct") for text in peer.got] == [False, True, True, True]

    book.deliver("c", delta(8, 9))  # late
    book.deliver("c", delta(11, 11))  # a gap
    await settle(lambda: len(peer.got) == 5)

    assert json.loads(peer.got[-1]) == {"type": "orderbook", "sequence": 9}
    writer.cancel()


def delta(first: int, last: int) -> Frame:
    """A change of a book."""
    return reply("orderbook_delta", first_sequence=first, sequence=last)


async def test_slow_reader_gets_the_latest_and_a_book_begins_anew() -> None:
    peer, box = Peer(), Outbox(on_overflow=nothing)
    at = 1

    async def load_book() -> list[Frame]:
        return [reply("orderbook_snapshot", sequence=at)]

    async def load_nothing() -> list[Frame]:
        return []

    book = BookSubscription(outbox=box, load=load_book, active=nothing)
    ticks = Subscription(outbox=box, load=load_nothing, active=nothing)
    writer = asyncio.create_task(box.run(peer.send, peer.close))
    book.start()
    ticks.start()
    await settle(lambda: len(peer.got) == 1)
    peer.reads.clear()
    for at in range(2, 2 + PENDING_MAX * 2):
        book.deliver("b", delta(at, at))
        ticks.deliver("t", reply("tick", n=at))
    peer.reads.set()
    await settle(lambda: f'"sequence":{at}' in peer.got[-1] and f'"n":{at}' in "".join(peer.got))
    writer.cancel()

    books = [frame for text in peer.got if (frame := json.loads(text))["type"] != "tick"]
    for before, frame in pairwise(books):
        assert frame["type"] == "orderbook_snapshot" or frame["first_sequence"] == before["sequence"] + 1
    assert len(peer.got) < PENDING_MAX * 3


# The hub


class Listener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.resyncs = 0

    def deliver(self, channel: str, frame: Frame) -> None:
        """A frame."""
        self.got.append(frame.text)

    def resync(self, channel: str) -> None:
        """Frames may be lost."""
        self.resyncs += 1


class Socket:
    """An enrolled socket of one caller."""

    def __init__(self, **fields: Any) -> None:
        user_id = fields.pop("user_id", 1)
        self.caller: Caller | None = Caller(user_id=user_id, user_uuid=uuid.uuid4(), scopes=frozenset(), **fields)
        self.beats: list[int] = []
        self.is_revoked = False

    def tick(self, now: float) -> None:
        """Nothing to do."""

    def beat(self, at_ms: int) -> None:
        """A heartbeat."""
        self.beats.append(at_ms)

    def revoke(self) -> None:
        """No longer welcome."""
        self.is_revoked = True


@pytest.fixture
async def running() -> AsyncIterator[FrameHub]:
    hub = FrameHub()
    yield hub
    await hub.stop()
    await async_client().aclose()


async def test_hub_hands_the_same_frame_to_all_and_forgets_who_left(running: FrameHub) -> None:
    channel = f"test:{uuid.uuid4()}"
    one, two, late = Listener(), Listener(), Listener()
    await running.join(channel, one)
    await running.join(channel, two)
    sync_client().publish(channel, "first")
    await settle(lambda: bool(one.got and two.got))
    running.leave(channel, one)
    running.leave(channel, two)
    await running.join(channel, late)  # the channel was dropped and is wanted again at once
    sync_client().publish(channel, "second")
    await settle(lambda: bool(late.got))

    assert one.got[0] is two.got[0]
    assert (one.got, late.got) == (["first"], ["second"])
    running.leave(channel, late)
    running.leave(channel, late)
    await settle(lambda: sync_client().pubsub_numsub(channel)[0][1] == 0)


async def test_hub_tells_its_listeners_after_a_lost_connection(running: FrameHub) -> None:
    channel, listener = f"test:{uuid.uuid4()}", Listener()
    await running.join(channel, listener)
    database = str(sync_client().connection_pool.connection_kwargs.get("db", 0))
    for entry in sync_client().client_list(_type="pubsub"):
        if entry["db"] == database:
            sync_client().client_kill_filter(_id=entry["id"])
    await settle(lambda: listener.resyncs == 1)

    sync_client().publish(channel, "after")
    await settle(lambda: bool(listener.got))
    assert (listener.got, listener.resyncs) == (["after"], 1)


async def test_join_without_redis_returns_and_heals(settings: Any) -> None:
    right, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    hub, listener = FrameHub(join_wait_s=0.1), Listener()
    await hub.join("test:away", listener)
    assert listener.resyncs == 0

    settings.REDIS_URL = right
    await settle(lambda: listener.resyncs == 1)
    await hub.stop()
    await async_client().aclose()


async def test_revocations_close_exactly_whom_they_name(running: FrameHub) -> None:
    sockets = {
        "user": Socket(user_id=7), "family": Socket(family_id="f1"), "key": Socket(api_key_id=9), "other": Socket(),
    }  # fmt: skip
    for socket in sockets.values():
        running.enrol(socket)
    await running.join("test:ready", Listener())
    for message in ('{"user":7}', '{"family":"f1"}', '{"api_key":9}', "nonsense", "[]", "{}", '{"user":null}'):
        sync_client().publish(AUTH_CHANNEL, message)
    await settle(lambda: all(sockets[name].is_revoked for name in ("user", "family", "key")))

    assert not sockets["other"].is_revoked
    running.dismiss(sockets["other"])


async def test_one_pulse_serves_all_heartbeats(settings: Any) -> None:
    settings.WS_HEARTBEAT_S = 0.05

    class Pulse:
        runs = 0

        async def run(self) -> None:
            """Fails every other time, as with a database that is away."""
            self.runs += 1
            if self.runs % 2:
                raise RuntimeError("away")

    hub, sockets = FrameHub(), [Socket(), Socket()]
    for socket in sockets:
        hub.enrol(socket)
    pulse = hub.pulse(Pulse)
    assert hub.pulse(Pulse) is pulse
    await settle(lambda: len(sockets[0].beats) >= 4)
    await hub.stop()
    await async_client().aclose()

    assert abs(pulse.runs - len(sockets[0].beats)) <= 1
    assert sockets[0].beats == sockets[1].beats


def test_unknown_path_is_a_404_before_the_upgrade() -> None:
    application = ProtocolTypeRouter({"websocket": NoSuchSocket.as_asgi(), "lifespan": lifespan})
    with LiveServer(application) as server, pytest.raises(InvalidStatus) as refusal:
        server.connect("/ws/nothing")

    assert refusal.value.response.status_code == 404
    assert json.loads(refusal.value.response.body or b"")["error"]["code"] == 1002
