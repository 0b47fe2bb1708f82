"""Whatever the venue and the way to it do: after a quiet period both sides know the same, nothing was done twice."""

import os
from contextlib import suppress
from decimal import Decimal
from random import Random

import pytest

from astrade.core.money import plain
from astrade.emulators.extended.faults import CATALOGUE
from astrade.emulators.tests.harness import Harness
from astrade.tests.live.trader import Trader
from astrade.venues.errors import VenueError
from trading.models import Order, Position

STREAMS_ONLY = {name for name in CATALOGUE if name.startswith(("stream_", "disconnect_", "heartbeat", "sequence_gap"))}
FAULTS = sorted(set(CATALOGUE) - STREAMS_ONLY)
SEEDS = range(20) if os.environ.get("CAMPAIGN") else range(1)
STEPS = 8 if os.environ.get("CAMPAIGN") else 5
EVERY_WHICH = ("0.5", "1")


def act(trader: Trader, dice: Random, number: int) -> None:
    """One thing that a user does, whatever comes of it."""
    living = list(Order.objects.filter(account=trader.account, status__in=["open", "unknown", "partially_filled"]))
    held = Position.objects.filter(account=trader.account).exclude(quantity=0).first()
    match dice.choice(["rest", "rest", "buy", "sell", "stop", "change", "protect", "cancel", "sync"]):
        case "rest":
            trader.place(client_order_id=f"o{number}", price=trader.price(dice.choice(["0.98", "0.999"])))
        case "buy":
            trader.take(client_order_id=f"o{number}", quantity=plain(Decimal(dice.randint(1, 20)) / 1000))
        case "sell":
            trader.take(client_order_id=f"o{number}", side="sell")
        case "stop":
            price = trader.price(dice.choice(["1.0005", "1.02"]))
            trader.place(client_order_id=f"o{number}", type="stop", trigger_price=price, price=None, time_in_force=None)
        case "change" if living:
            trader.call("PATCH", f"/orders/{dice.choice(living).uuid}", {"price": trader.price("0.975")})
        case "protect" if held is not None:
            path = f"/accounts/{trader.account.uuid}/positions/{held.uuid}"
            trader.call("PATCH", path, {"stop_loss": trader.price("0.95" if held.quantity > 0 else "1.05")})
        case "cancel" if living:
            trader.call("DELETE", f"/orders/{dice.choice(living).uuid}")
        case _:
            with suppress(VenueError):
                trader.sync()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_both_sides_agree_after_a_quiet_period(trader: Trader, venue: Harness, fault: str, seed: int) -> None:
    dice = Random(f"{fault}:{seed}")
    venue.exchange.switch_faults(f"{fault}:{EVERY_WHICH[seed % 2]}")

    for number in range(STEPS):
        act(trader, dice, number)
        venue.advance(500)
        trader.prices()
    venue.exchange.switch_faults("")
    venue.advance(1_000, steps=3)
    trader.settle()

    assert trader.differences() == []
    assert not Order.objects.filter(status__in=["submitted", "unknown"]).exists()
    names = [order.external_id for order in trader.there.orders.values()]
    assert len(names) == len(set(names))
