"""What an exchange remembers: its successor goes on as if it had never ended."""

import pytest

from astrade.emulators.extended import memory
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.tests.harness import BTC, Harness


def successor_of(harness: Harness) -> Exchange:
    """An exchange of another seed and the same time, with its predecessor's memory."""
    exchange = Exchange(seed=2, clock=harness.clock, symbols=[BTC])
    memory.take_up(exchange, memory.remembered(harness.exchange))
    return exchange


async def test_accounts_go_on_where_they_were(harness: Harness):
    resting = await harness.placed()
    await harness.take("BUY", "0.02")
    await harness.take("SELL", "0.03")
    await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": "10"})
    old = harness.account
    opened = harness.exchange.open_account(f"0x{7:040x}", public_key=5, index=0, description="")

    exchange = successor_of(harness)

    new = exchange.account_of(old.api_key)
    assert new is not None and new is not old
    assert new == old and list(exchange.accounts) == list(harness.exchange.accounts)
    assert memory.remembered(exchange) == memory.remembered(harness.exchange)
    assert exchange.wallets == {f"0x{7:040x}": [exchange.accounts[opened.id]]}
    order = new.orders[resting["id"]]
    assert new.live == {order.id: order} and new.by_external_id[order.external_id] is order
    assert all(trade.order is new.orders[trade.order.id] for trade in new.trades)

    exchange.engine.cancel(new, order)
    assert new.live == {} and not new.by_external_id[order.external_id].status.is_open


async def test_what_was_accepted_is_decided_and_what_was_begun_completes(harness: Harness):
    placed = await harness.placed()
    harness.account.orders[placed["id"]].is_acknowledged = False  # as between its acceptance and the engine
    claimed = await harness.call("POST", "/user/claim", json={})
    assert claimed.status_code == 200, claimed.text
    before = harness.account.balance

    exchange = successor_of(harness)

    account = exchange.accounts[harness.account.id]
    assert [order.id for order in account.open_orders()] == [placed["id"]]
    harness.clock.move(2_000)
    exchange.step()
    assert account.balance > before
    assert {operation.status for operation in account.operations} == {"COMPLETED"}


@pytest.mark.parametrize("text", ["", "{}", '{"accounts": [{"id": 1}], "settled": []}'])
def test_what_cannot_be_read_changes_nothing(text: str):
    exchange = Exchange(seed=1, symbols=[BTC])
    before = memory.remembered(exchange)
    with pytest.raises(ValueError):
        memory.take_up(exchange, text)
    assert memory.remembered(exchange) == before


async def test_every_change_is_counted(harness: Harness):
    counts = [harness.exchange.changes]
    for act in (harness.placed(), harness.take(), harness.call("POST", "/user/deadmanswitch?countdownTime=60")):
        await act
        counts.append(harness.exchange.changes)
    assert harness.account.switch_fires_ms is not None
    assert counts == sorted(set(counts))
    await harness.get("/user/balance")
    assert harness.exchange.changes == counts[-1]
