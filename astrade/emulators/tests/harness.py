"""An emulated exchange behind a real socket, moved by hand, and orders signed for it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect

from astrade.core.clock import to_ms
from astrade.emulators.connections import Heartbeat
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.server import BASE, STREAMS, Server, served
from astrade.emulators.extended.sockets import HEARTBEAT
from astrade.emulators.tests.clocks import START, ManualClock
from astrade.venues.extended.signing import (
    TESTNET,
    Message,
    hash_of,
    order_message,
    position_leg_quantity,
    sign,
)

BTC = "BTC-USD"
FEE = "0.0005"
HOUR_MS = 3_600_000


class Harness:
    """What a test talks to: `exchange` to look into, HTTP and sockets to use it. Where it serves in the background,
    `wait` runs a coroutine of it to its end.
    """

    wait: Callable[[Coroutine[Any, Any, Any]], Any]

    def __init__(self, exchange: Exchange, clock: ManualClock, url: str, http: httpx.AsyncClient) -> None:
        self.exchange, self.clock, self.url, self.http = exchange, clock, url, http
        self.account, self.second, self.stranger = exchange.accounts.values()
        self.names = (f"order-{number}" for number in count(1))

    @property
    def quote(self) -> Any:
        return self.exchange.market(BTC).view.quote

    @property
    def book(self) -> Any:
        return self.exchange.market(BTC).view.book

    def advance(self, ms: int = 100, *, steps: int = 1) -> None:
        """Move the clock and the prices."""
        for _ in range(steps):
            self.clock.move(ms)
            self.exchange.step()

    def advance_until(self, done: Callable[[], bool], *, steps: int = 3_000) -> None:
        """The same until something is so."""
        for _ in range(steps):
            if done():
                return
            self.advance(1_000)
        raise AssertionError("it did not come to that")

    async def call(self, method: str, path: str, *, account: Account | None = None, **options: Any) -> httpx.Response:
        """A private call, of the first account unless told otherwise."""
        headers = {"X-Api-Key": (account or self.account).api_key, **options.pop("headers", {})}
        return await self.http.request(method, BASE + path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> Any:
        """The data of a successful read."""
        response = await self.call("GET", path, **options)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    async def place(self, **changes: Any) -> httpx.Response:
        """Place a signed order; see `order_body`."""
        account = changes.pop("account", self.account)
        return await self.call("POST", "/user/order", account=account, json=self.order_body(account, **changes))

    async def placed(self, **changes: Any) -> Any:
        """Place an order that is accepted; what became of it."""
        response = await self.place(**changes)
        assert response.status_code == 200, response.text
        account = changes.get("account", self.account)
        return await self.get(f"/user/orders/{response.json()['data']['id']}", account=account)

    def order_body(self, account: Account | None = None, **changes: Any) -> dict[str, Any]:
        """The body of a resting buy of 0.01 BTC; what is changed is signed, but for what `unsigned` changes after."""
        account = account or self.account
        unsigned = changes.pop("unsigned", {})
        body: dict[str, Any] = {
            "id": next(self.names),
            "market": BTC,
            "type": "LIMIT",
            "side": "BUY",
            "qty": "0.01",
            "price": str(round(self.quote.mark * Decimal("0.98"))),
            "timeInForce": "GTT",
            "expiryEpochMillis": to_ms(self.clock()) + HOUR_MS,
            "fee": FEE,
            "nonce": "17",
            "selfTradeProtectionLevel": "ACCOUNT",
            "reduceOnly": False,
            "postOnly": False,
        } | changes
        body |= self._signatures(account, body)
        return {name: value for name, value in (body | unsigned).items() if value is not None}

    async def take(self, side: str = "BUY", qty: str = "0.01", **changes: Any) -> Any:
        """Trade at once."""
        factor = Decimal("1.01") if side == "BUY" else Decimal("0.99")
        price = str(round(self.quote.mark * factor))
        return await self.placed(side=side, qty=qty, price=price, timeInForce="IOC", **changes)

    def leg(self, trigger: str, price: str | None = None, **changes: Any) -> dict[str, Any]:
        """A take profit or stop loss, to be signed by `order_body`."""
        leg = {"triggerPrice": trigger, "triggerPriceType": "LAST", "price": price or trigger, "priceType": "LIMIT"}
        return leg | changes

    def stream(self, path: str, *, account: Account | None = None, version: str = "v1") -> connect:
        """A WebSocket; `account` gives its key."""
        headers = {"X-Api-Key": account.api_key} if account else {}
        url = self.url.replace("http", "ws", 1) + f"{STREAMS}/{version}{path}"
        return connect(url, additional_headers=headers)

    def _signatures(self, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        instrument, is_tpsl = self.exchange.instruments[BTC], body["type"] == "TPSL"
        opposite = {"BUY": "SELL", "SELL": "BUY"}

        def settlement(side: str, quantity: Decimal, price: str) -> dict[str, Any]:
            message = order_message(
                l2=instrument.l2,
                buys=side == "BUY",
                quantity=quantity,
                price=Decimal(price),
                fee_rate=Decimal(body["fee"]) + Decimal(body.get("builderFee") or 0),
                vault=account.vault,
                nonce=int(body["nonce"]),
                expires_ms=body["expiryEpochMillis"],
            )
            return {
                "signature": signature(account, message),
                "starkKey": hex(account.public_key),
                "collateralPosition": str(account.vault),
            }

        signed: dict[str, Any] = {}
        if not is_tpsl:
            signed["settlement"] = settlement(body["side"], Decimal(body["qty"]), body["price"] or "1")
        for name in ("takeProfit", "stopLoss"):
            if (leg := body.get(name)) is None:
                continue
            quantity = Decimal(body["qty"])
            if body.get("tpSlType") == "POSITION":
                quantity = position_leg_quantity(
                    max_position_value=instrument.max_position_value,
                    price=Decimal(leg["price"]),
                    step=instrument.rules.step_size,
                )
            side = body["side"] if is_tpsl else opposite[body["side"]]
            signed[name] = leg | {"settlement": settlement(side, quantity, leg["price"])}
        return signed


def signature(account: Account, message: Message) -> dict[str, str]:
    """The account's signature of a message, as the wire has it."""
    assert account.private_key is not None
    digest = hash_of(message, public_key=account.public_key, domain=TESTNET)
    signed = sign(account.private_key, digest)
    return {"r": hex(signed.r), "s": hex(signed.s)}


def code_of(response: httpx.Response) -> int:
    """The number an error carries."""
    assert response.json()["status"] == "ERROR", response.text
    code: int = response.json()["error"]["code"]
    return code


async def received(socket: ClientConnection) -> Any:
    """The next message."""
    return orjson.loads(await socket.recv())


async def received_until(socket: ClientConnection, kind: str) -> Any:
    """The next message of that type."""
    while (message := await received(socket))["type"] != kind:
        pass
    return message


@asynccontextmanager
async def running(
    *,
    seed: int = 1,
    symbols: tuple[str, ...] = (BTC,),
    faults: str = "",
    heartbeat: Heartbeat = HEARTBEAT,
    hang_s: float = 0.3,
    start: datetime = START,
) -> AsyncIterator[Harness]:
    """An exchange of its own."""
    clock = ManualClock(start)
    exchange = Exchange(seed=seed, clock=clock, symbols=symbols, faults=faults)
    server = Server(exchange, hang_s=hang_s, byte_every_s=0.002)
    async with (
        served(exchange, server=server, heartbeat=heartbeat) as url,
        httpx.AsyncClient(base_url=url, timeout=5, verify=False, trust_env=False) as http,
    ):
        yield Harness(exchange, clock, url, http)
