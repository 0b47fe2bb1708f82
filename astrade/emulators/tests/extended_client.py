"""Our own client against an emulated exchange: the harness's loop serves, a thread sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

from astrade.core.clock import Clock, system_clock, to_ms
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.server import BASE, STREAMS
from astrade.emulators.tests.harness import BTC, FEE, HOUR_MS, Harness
from astrade.venues.budget import Budget
from astrade.venues.extended import order_calls
from astrade.venues.extended.account_wire import PlacedOrder
from astrade.venues.extended.calls import Access, Call
from astrade.venues.extended.client import Client
from astrade.venues.extended.orders import market_price, unsigned_order
from astrade.venues.extended.profiles import Network, Profile
from astrade.venues.extended.signing import TESTNET, sign
from astrade.venues.extended.tickets import LegTicket, Signer, Terms, Ticket
from astrade.venues.extended.wire import OrderType, PriceType, Side, TimeInForce, TpslType, TriggerPriceType

T = TypeVar("T")


def profile_at(url: str) -> Profile:
    """The testnet, found at an emulator."""
    streams = url.replace("http", "ws", 1) + STREAMS + "/v1"
    return Profile(network=Network.TESTNET, rest_url=url + BASE, stream_url=streams)


def access_to(account: Account, *, owner: int = 1) -> Access:
    return Access(account.api_key, owner)


def ticket(harness: Harness, **changes: Any) -> Ticket:
    """A resting buy of 0.01 BTC by the first account."""
    instrument, account = harness.exchange.instruments[BTC], harness.account
    wanted: dict[str, Any] = {
        "terms": Terms(BTC, instrument.l2, instrument.rules.step_size, instrument.max_position_value),
        "signer": Signer(account.vault, account.public_key, TESTNET),
        "type": OrderType.LIMIT,
        "side": Side.BUY,
        "quantity": Decimal("0.01"),
        "price": Decimal(round(harness.quote.mark * Decimal("0.98"))),
        "fee_rate": Decimal(FEE),
        "expires_ms": to_ms(harness.clock()) + HOUR_MS,
        "nonce": 17,
    }
    return Ticket(**(wanted | changes))


class Caller:
    """Sends calls for the harness's first account unless told otherwise."""

    def __init__(self, harness: Harness, client: Client) -> None:
        self.harness, self.client = harness, client
        self.access = access_to(harness.account)
        self._nonces = count(1_000)

    async def send(self, call: Call[T], access: Access | None = None) -> T:
        return await asyncio.to_thread(self.client.send, call, access or self.access)

    def place(self, **changes: Any) -> Call[PlacedOrder]:
        """Place what `ticket` makes, signed as the server would."""
        unsigned = unsigned_order(ticket(self.harness, **({"nonce": next(self._nonces)} | changes)))
        key = self.harness.account.private_key
        assert key is not None
        return order_calls.place_order(unsigned.body([sign(key, digest) for digest in unsigned.hashes]))

    def take(self, *, legs_at: Decimal | None = None, **changes: Any) -> Call[PlacedOrder]:
        """Buy at market, with a take profit and a stop loss a tenth from `legs_at` if it is given."""
        price = market_price(self.harness.quote.ask, Side.BUY, tick_size=Decimal(1))
        wanted: dict[str, Any] = {"type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "price": price}
        if legs_at is not None:
            up, down = (Decimal(round(legs_at * factor)) for factor in (Decimal("1.1"), Decimal("0.9")))
            wanted |= {"legs_close": TpslType.ORDER, "take_profit": _leg(up), "stop_loss": _leg(down)}
        return self.place(**(wanted | changes))

    async def switch(self, scenario: str) -> None:
        """Switch faults on by the emulator's own endpoint."""
        response = await self.harness.http.post("/emulator/faults", json={"faults": scenario})
        assert response.status_code == 200, response.text

    async def orders_there(self) -> list[str]:
        """External ids of the orders that the exchange has taken."""
        state = (await self.harness.http.get("/emulator/state")).json()
        return list(state[str(self.harness.account.id)]["orders"])


@asynccontextmanager
async def calling(harness: Harness, *, clock: Clock = system_clock, **sources: Any) -> AsyncIterator[Caller]:
    """A client with a budget of its own."""
    profile = profile_at(harness.url)
    budget = Budget(f"{profile.host}/{uuid4()}", per_minute=10_000, clock=clock)
    client = Client(profile, budget=budget, clock=clock, **sources)
    yield Caller(harness, client)
    client.close()


def _leg(price: Decimal) -> LegTicket:
    return LegTicket(trigger_price=price, by=TriggerPriceType.LAST, price=price, execution=PriceType.LIMIT)
