"""Unrealised PnL on account sockets, end to end: as marks move, once for all, and only where there is something."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.tests.factories import signed_in
from astrade.core.sockets.closing import TOO_SLOW
from astrade.core.sockets.outbox import MAX_FRAMES, Outbox
from astrade.core.sockets.protocol import Frame
from astrade.core.tests.live import Client, LiveServer
from trading.domain.lifecycle import Side
from trading.models import TradingAccount
from trading.profits import ProfitPulse, ProfitView, _states_of
from trading.tests.conftest import Feed
from trading.tests.factories import open_account, place
from trading.tests.socket_clients import APPLICATION

HIGHER = {"bids": (("119", "1000"),), "asks": (("121", "1000"),), "sequence": 2}


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    """Tells of PnL twenty times as often."""
    settings.WS_PNL_EVERY_S = 0.05
    with LiveServer(APPLICATION) as running:
        yield running


def joined(server: LiveServer, account: TradingAccount) -> Client:
    """A socket of the account's user."""
    token = signed_in(account.user).access_token
    return server.connect(f"/ws/accounts/{account.uuid}", headers={"Authorization": f"Bearer {token}"})


def quiet(client: Client, *, for_s: float = 0.3) -> None:
    """Nothing of PnL comes for a while."""
    with pytest.raises(TimeoutError):
        client.recv_until(lambda frame: frame["type"] == "pnl_update", wait_s=for_s)


def test_frames_follow_the_marks_and_end_with_the_position(server: LiveServer, feed: Feed) -> None:
    account = open_account()
    with joined(server, account) as client, joined(server, account) as other:
        client.of("connected"), other.of("connected")
        quiet(client)
        place(account, "2")  # 1 at 101 and 1 at 102, fees 0.101 and 0.102
        first = client.of("pnl_update")
        feed(**HIGHER)
        frames = [each.recv_until(lambda frame: is_at(frame, "120")) for each in (client, other)]
        place(account, "2", side=Side.SELL)
        client.of("position_update")
        feed(bids=(("129", "1000"),), asks=(("131", "1000"),), sequence=3)
        quiet(client)

    assert set(first) == {"type", "at", "data"}
    assert frames[0] == frames[1]
    [position] = frames[0]["data"].pop("positions")
    assert frames[0]["data"] == {
        "balance": "9999.797",
        "equity": "10036.797",
        "unrealized_pnl": "37",
        "margin_ratio": "0.000239",
    }
    assert position.pop("id")
    assert position == {
        "symbol": "BTC-USD",
        "mark_price": "120",
        "unrealized_pnl": "37",
        "pnl_percentage": "18.22660099",
    }


def is_at(frame: dict[str, Any], mark: str) -> bool:
    """Whether it is the PnL at this mark."""
    return frame["type"] == "pnl_update" and str(frame["data"]["positions"][0]["mark_price"]) == mark


def test_marks_that_stand_still_say_nothing_but_to_whom_comes_later(server: LiveServer, feed: Feed) -> None:
    account = open_account()
    place(account)
    with joined(server, account) as client:
        frame = client.of("pnl_update")
        quiet(client)
        with joined(server, account) as later:
            assert later.of("pnl_update") == frame


def test_accounts_without_positions_cost_one_query(feed: Feed, db: None) -> None:
    idle, busy = open_account(), open_account()
    place(busy)

    with CaptureQueriesContext(connection) as queries:
        states = _states_of([idle.pk])
        assert (states, len(queries)) == ({}, 1)
    assert list(_states_of([idle.pk, busy.pk])) == [busy.pk]


async def test_a_slow_reader_gets_the_newest_frame_and_is_never_closed_for_them() -> None:
    sent: list[str] = []
    closed: list[int] = []
    outbox = Outbox(on_overflow=lambda: closed.append(TOO_SLOW))
    view = ProfitView(outbox=outbox, active=lambda: None)
    for number in range(2 * MAX_FRAMES):
        view.show(Frame(str(number)))

    async def send(text: str) -> None:
        sent.append(text)

    async def close(code: int, reason: str) -> None:
        closed.append(code)

    writer = asyncio.create_task(outbox.run(send, close))
    await asyncio.sleep(0.01)
    view.show(Frame("left"))
    view.end()
    await asyncio.sleep(0.01)
    writer.cancel()

    assert (sent, closed) == ([str(2 * MAX_FRAMES - 1)], [])


async def test_the_pulse_rests_when_the_last_view_leaves() -> None:
    before, pulse = asyncio.all_tasks(), ProfitPulse()
    view = ProfitView(outbox=Outbox(on_overflow=lambda: None), active=lambda: None)

    pulse.leave(1, view)
    assert asyncio.all_tasks() == before
    pulse.join(1, view)
    assert len(asyncio.all_tasks() - before) == 1
    pulse.leave(1, view)
    pulse.join(1, view)
    pulse.leave(1, view)
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
