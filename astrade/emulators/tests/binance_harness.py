"""An emulated Binance behind a real socket, moved by hand, and requests signed for it."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from websockets.asyncio.client import ClientConnection, connect

from astrade.core.clock import to_ms
from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.exchange import Exchange
from astrade.emulators.binance.limits import Limits
from astrade.emulators.binance.prices import Market
from astrade.emulators.binance.server import BASE, Server, served
from astrade.emulators.binance.sockets import HEARTBEAT, LIFETIME_S
from astrade.emulators.connections import Heartbeat
from astrade.emulators.tests.clocks import ManualClock

BTC = "BTCUSDT"
TICK = Decimal("0.01")


class BinanceHarness:
    """What a test talks to: `exchange` to look into, HTTP and sockets to use it."""

    def __init__(self, exchange: Exchange, clock: ManualClock, url: str, http: httpx.AsyncClient) -> None:
        self.exchange, self.clock, self.url, self.http = exchange, clock, url, http
        self.account, self.second, self.third = exchange.accounts.values()
        self._ids = count(1)

    @property
    def market(self) -> Market:
        return self.exchange.market(BTC)

    @property
    def book(self) -> Any:
        return self.market.view.book

    @property
    def now_ms(self) -> int:
        return to_ms(self.clock())

    def advance(self, ms: int = 100, *, steps: int = 1) -> None:
        """Move the clock and the prices."""
        for _ in range(steps):
            self.clock.move(ms)
            self.exchange.step()

    async def get(self, path: str, **params: Any) -> Any:
        """The body of a successful public read."""
        response = await self.http.get(BASE + path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    async def call(self, method: str, path: str, *, account: Account | None = None, **params: Any) -> httpx.Response:
        """A signed call, of the first account unless told otherwise."""
        account = account or self.account
        query = signed_query(account.api_secret, {**params, "timestamp": params.get("timestamp", self.now_ms)})
        headers = {"X-MBX-APIKEY": account.api_key}
        return await self.http.request(method, f"{BASE}{path}?{query}", headers=headers)

    async def read(self, path: str, **params: Any) -> Any:
        """The body of a successful signed read."""
        response = await self.call("GET", path, **params)
        assert response.status_code == 200, response.text
        return response.json()

    async def place(self, **changes: Any) -> httpx.Response:
        """Place an order; see `order`."""
        return await self.call("POST", "/order", **self.order(**changes))

    async def placed(self, **changes: Any) -> Any:
        """Place an order that is accepted; its answer."""
        response = await self.place(**changes)
        assert response.status_code == 200, response.text
        return response.json()

    def order(self, **changes: Any) -> dict[str, Any]:
        """A resting buy of 0.01 BTC, unless changed; what is None is left out."""
        order = {
            "symbol": BTC,
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
            "price": self.near("0.98"),
            "newClientOrderId": f"order-{next(self._ids)}",
        } | changes
        return {name: value for name, value in order.items() if value is not None}

    def near(self, factor: str) -> str:
        """A price on the tick, so far from the last one."""
        return str((self.market.last_price * Decimal(factor)).quantize(TICK))

    async def take(self, side: str = "BUY", quantity: str = "0.01", **changes: Any) -> Any:
        """Trade at once."""
        return await self.placed(side=side, type="MARKET", quantity=quantity, timeInForce=None, price=None, **changes)

    def balance(self, asset: str, account: Account | None = None) -> tuple[Decimal, Decimal]:
        """Free and locked."""
        balance = (account or self.account).balance(asset)
        return balance.free, balance.locked

    async def switch(self, scenario: str) -> None:
        """By the emulator's own endpoint."""
        response = await self.http.post("/emulator/faults", json={"faults": scenario})
        assert response.status_code == 200, response.text

    def stream(self, path: str) -> connect:
        """A WebSocket."""
        return connect(self.url.replace("http", "ws", 1) + path)

    def rpc_params(self, account: Account | None = None, **params: Any) -> dict[str, Any]:
        """Signed parameters for the WebSocket API."""
        account = account or self.account
        params = {"apiKey": account.api_key, "timestamp": self.now_ms, **params}
        return params | {"signature": hmac_of(account.api_secret, sorted_payload(params))}


def hmac_of(secret: str, payload: str) -> str:
    """The HMAC-SHA256, hexadecimal."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def ed25519_of(private_key: str, payload: str) -> str:
    """The Ed25519 signature, base64."""
    key: Any = load_pem_private_key(private_key.encode(), password=None)
    return base64.b64encode(key.sign(payload.encode())).decode()


def signed_query(secret: str, params: Mapping[str, Any]) -> str:
    """Percent-encoded, with its signature at the end."""
    query = urlencode(params)
    return f"{query}&signature={hmac_of(secret, query)}"


def sorted_payload(params: Mapping[str, Any]) -> str:
    """What is signed of parameters of the WebSocket API."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))


def code_of(response: httpx.Response) -> int:
    """The number an error carries."""
    code: int = response.json()["code"]
    return code


async def received(socket: ClientConnection) -> Any:
    """The next message."""
    return orjson.loads(await socket.recv())


async def ask(socket: ClientConnection, method: str, **params: Any) -> Any:
    """A request to the WebSocket API and its answer."""
    await socket.send(orjson.dumps({"id": method, "method": method, "params": params}).decode())
    answer = await received(socket)
    assert answer["id"] == method, answer
    return answer


@asynccontextmanager
async def running(
    *,
    seed: int = 1,
    names: tuple[str, ...] = (BTC,),
    faults: str = "",
    heartbeat: Heartbeat = HEARTBEAT,
    lifetime_s: float = LIFETIME_S,
    limits: Limits | None = None,
) -> AsyncIterator[BinanceHarness]:
    """An exchange of its own."""
    clock = ManualClock()
    exchange = Exchange(seed=seed, clock=clock, names=names, faults=faults, limits=limits)
    server = Server(exchange, hang_s=0.3, byte_every_s=0.002)
    async with (
        served(exchange, server=server, heartbeat=heartbeat, lifetime_s=lifetime_s) as url,
        httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as http,
    ):
        yield BinanceHarness(exchange, clock, url, http)
