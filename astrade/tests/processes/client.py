"""Good clients of a server that may be gone at any moment: they ask again by the same name, and resume by sequence."""

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from astrade.tests.processes.system import EVENTUALLY_S, HIGH, LOW, eventually

SYMBOL, PASSWORD = "BTC-USD", "Plain-Sailing-8"
PAUSE_S = 0.1
PASSING = (1001, 3007, 3008)  # depend on the price at the moment: would trigger, would cross, is too far away
ENDED = ("filled", "cancelled", "expired", "rejected")


class Refused(Exception):
    """An answer that asking again won't change."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error}")
        self.status, self.code = status, error["code"]


def once_possible(call: Callable[[], Any]) -> Any:
    """Try again until the price at the moment allows what is asked for."""
    deadline = time.monotonic() + EVENTUALLY_S
    while True:
        try:
            return call()
        except Refused as refusal:
            if refusal.code not in PASSING or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)


class Trader:
    """One user's REST calls. What isn't answered, or with a 5xx, is asked again until it is."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=f"{base_url}/api/v1", timeout=10)
        self.email = f"{uuid.uuid4().hex}@example.com"
        self.account_id, self.token = "", ""
        self.asked_again = self.found_again = 0

    def sign_up(self) -> None:
        """Make the user; one that exists already was made by a call whose answer got lost."""
        form = {"email": self.email, "password": PASSWORD}
        try:
            pair = self.call("POST", "/auth/signup", form)
        except Refused as refusal:
            assert (refusal.status, refusal.code) == (409, 1109) and self.asked_again
            self.found_again += 1
            pair = self.call("POST", "/auth/login", form)
        self.token = pair["access_token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        (account,) = self.call("GET", "/accounts")
        self.account_id = account["id"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str = "") -> Any:
        """The `data` of the answer, however often it has to be asked for, under an idempotency key where one is given;
        raises Refused.
        """
        headers = {"Idempotency-Key": key} if key else {}
        deadline = time.monotonic() + EVENTUALLY_S
        while True:
            with suppress(httpx.TransportError):
                response = self.http.request(method, path, json=body, headers=headers)
                if response.status_code < 500:
                    return self._data_of(response)
            assert time.monotonic() < deadline, f"{method} {path} was not answered in {EVENTUALLY_S:.0f} s"
            self.asked_again += 1
            time.sleep(PAUSE_S)

    def _data_of(self, response: httpx.Response) -> Any:
        content = response.json()
        if not response.is_success:
            raise Refused(response.status_code, content["error"])
        self.found_again += response.headers.get("Idempotent-Replayed") == "true"
        return content["data"]

    def place(self, *, account_id: str = "", **form: Any) -> dict[str, Any]:
        """Place an order; the client order id makes asking again harmless."""
        named = {"symbol": SYMBOL, "quantity": "0.001", "client_order_id": uuid.uuid4().hex}
        path = f"/accounts/{account_id or self.account_id}/orders"
        order: dict[str, Any] = self.call("POST", path, named | form)
        return order

    def buy(self) -> dict[str, Any]:
        """Buy at the market."""
        return self.place(side="buy", type="market")

    def rest(self, *, price: int, **form: Any) -> dict[str, Any]:
        """Bid `price` at a moment when nobody sells for it, so that the order waits."""
        return self.place_once_possible(side="buy", type="limit", price=f"{price}", post_only=True, **form)

    def place_once_possible(self, **form: Any) -> dict[str, Any]:
        """Place an order at a moment when the price allows it."""
        order: dict[str, Any] = once_possible(lambda: self.place(**form))
        return order

    def cancel(self, order: dict[str, Any]) -> None:
        """Cancel an order; one that isn't open any more must be the work of a call whose answer got lost."""
        try:
            self.call("DELETE", f"/orders/{order['id']}")
        except Refused as refusal:
            assert refusal.code == 3010 and self.order(order)["status"] == "cancelled"
            self.found_again += 1

    def replace(self, order: dict[str, Any], **changes: Any) -> None:
        """Change an order to what it may already be."""
        self.call("PATCH", f"/orders/{order['id']}", changes)

    def until(self, order: dict[str, Any], status: str) -> None:
        """Wait until the order has this status."""
        eventually(f"an order is {status}", lambda: self.order(order)["status"] == status)

    def protect(self, position: dict[str, Any], **levels: int) -> None:
        """Set a position's stop loss and take profit at a moment when the price is between them."""
        path = f"/accounts/{self.account_id}/positions/{position['id']}"
        prices = {name: f"{price}" for name, price in levels.items()}
        once_possible(lambda: self.call("PATCH", path, prices))

    def position(self) -> dict[str, Any]:
        """The only open position."""
        (position,) = self.call("GET", f"/accounts/{self.account_id}/positions")
        return dict(position)

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """The order as it is now."""
        found: dict[str, Any] = self.call("GET", f"/orders/{order['id']}")
        return found

    def open_orders(self) -> list[dict[str, Any]]:
        """What waits."""
        waiting: list[dict[str, Any]] = self.call("GET", "/orders")
        return waiting

    def close(self) -> None:
        """Hang up."""
        self.http.close()


@dataclass(frozen=True, slots=True)
class Step:
    """What a script does next, and when it takes it back."""

    form: dict[str, str]
    cancelled_after: int | None


def script_of(seed: int, *, steps: int) -> list[Step]:
    """Market orders, then limit orders where the price comes by, and some where it never does, which are cancelled
    later. In this order, since a market order cancels an own one that it would meet: whether one waits is chance.
    """
    dice = random.Random(seed)
    kinds = [dice.choice(("market", "near", "near", "far")) for _ in range(steps)]
    kinds.sort(key=lambda kind: kind != "market")
    return [_step(dice, kind, number) for number, kind in enumerate(kinds)]


def _step(dice: random.Random, kind: str, number: int) -> Step:
    buys = number % 2 == 0
    form = {"side": "buy" if buys else "sell", "quantity": f"0.00{dice.randint(1, 3)}", "client_order_id": f"{number}"}
    if kind == "market":
        return Step(form | {"type": "market"}, None)
    if kind == "near":
        price = LOW + dice.randint(20, 80) if buys else HIGH - dice.randint(20, 80)
        return Step(form | {"type": "limit", "price": f"{price}"}, None)
    price = LOW - 2_000 if buys else HIGH + 2_000
    return Step(form | {"type": "limit", "price": f"{price}"}, dice.randint(1, 8))


def perform(trader: Trader, script: list[Step], *, pause_s: float) -> None:
    """Do what the script says, then cancel what it still wants cancelled."""
    due: list[tuple[int, dict[str, Any]]] = []
    for number, step in enumerate(script):
        order = trader.place(**step.form)
        if step.cancelled_after is not None:
            due.append((number + step.cancelled_after, order))
        for _, late in (ready := [entry for entry in due if entry[0] <= number]):
            trader.cancel(late)
        due = [entry for entry in due if entry not in ready]
        time.sleep(pause_s)
    for _, late in due:
        trader.cancel(late)


class Follower:
    """An account's socket, opened again whenever it breaks, from the last sequence number that arrived."""

    def __init__(self, trader: Trader) -> None:
        self.frames: list[dict[str, Any]] = []
        self._url = str(trader.http.base_url.copy_with(scheme="ws", path=f"/ws/accounts/{trader.account_id}"))
        self._token = trader.token
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    @property
    def sequences(self) -> list[int]:
        """The numbers of all frames, as they came."""
        return [frame["sequence"] for frame in self.frames]

    def end(self) -> None:
        """Close the socket."""
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.is_set():
            with suppress(OSError, WebSocketException), connect(self._url, compression=None, proxy=None) as socket:
                self._read(socket)
            self._ended.wait(PAUSE_S)

    def _read(self, socket: Connection) -> None:
        last = self.frames[-1]["sequence"] if self.frames else 0
        socket.send(json.dumps({"token": self._token, "resume": last}))
        for frame in self._events_of(socket):
            self.frames.append(frame)

    def _events_of(self, socket: Connection) -> Iterator[dict[str, Any]]:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                frame = json.loads(socket.recv(timeout=0.2))
                assert frame["type"] != "error", frame
                if "schema" in frame:
                    yield frame
