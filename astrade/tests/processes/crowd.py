"""Many clients of few accounts at once: what each of them does next, and what it was answered."""

import random
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from astrade.tests.processes.client import SYMBOL, Trader
from astrade.tests.processes.system import HIGH, LOW

DONE = "done"
CROSSING = 6  # transfers of each client
REMEMBERED = 40  # of an account's forms and orders, for whoever wants to repeat, change or cancel one
# not found (nothing to close); margin, balance; leverage that what is held doesn't allow; nothing to reduce; would
# take; outside the band; not open (any more); same name, other order; not enough to send
REFUSALS = frozenset({1002, 3003, 3004, 3005, 3006, 3007, 3008, 3010, 3013, 4001})
TRIGGERED = "would trigger immediately"  # a 1001, for the price at the moment
WEIGHTS = {
    "market": 22,
    "near": 16,
    "far": 10,
    "stop": 6,
    "attached": 4,
    "again": 6,
    "cancel": 10,
    "cancel_all": 1,
    "replace": 8,
    "send": 13,
    "faucet": 2,
    "close": 2,
    "leverage": 2,
}


@dataclass
class Shared:
    """An account as its clients know it; `placed` are the orders' ids by client order id."""

    account_id: str
    forms: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    orders: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    placed: dict[str, set[str]] = field(default_factory=dict)
    received: Decimal = Decimal(0)  # by transfers that were acknowledged, less what was sent
    granted: Decimal = Decimal(0)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, client_order_id: str, order_id: str) -> None:
        """Note an acknowledged order."""
        with self.lock:
            self.orders.append(order_id)
            self.placed.setdefault(client_order_id, set()).add(order_id)

    def move(self, amount: Decimal) -> None:
        """Note an acknowledged transfer."""
        with self.lock:
            self.received += amount

    def grant(self, amount: Decimal) -> None:
        """Note an acknowledged deposit."""
        with self.lock:
            self.granted += amount


class Client:
    """One connection of a user, who acts on two accounts; nothing is ever sent a second time by itself."""

    def __init__(self, trader: Trader, accounts: Sequence[Shared], *, seed: int) -> None:
        headers = {"Authorization": f"Bearer {trader.token}"}
        self.http = httpx.Client(base_url=trader.http.base_url, headers=headers, timeout=60)
        self.answers: Counter[str] = Counter()
        self.surprises: list[str] = []
        self._accounts, self._dice = accounts, random.Random(seed)

    def act(self, times: int) -> None:
        """Do one thing after the other: at first money to and fro, as the user's other clients do just then."""
        there_and_back = [tuple(self._accounts), tuple(reversed(self._accounts))]
        with self.http:
            for _ in range(CROSSING):
                self._send(*self._dice.choice(there_and_back))
            for _ in range(times - CROSSING):
                (what,) = self._dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
                action: Callable[[Shared, Shared], None] = getattr(self, f"_{what}")
                action(*self._dice.sample(self._accounts, 2))

    def _ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer's data; None for a refusal. Whatever is neither is a surprise."""
        response = self.http.request(method, path, json=body, headers=headers)
        content = response.json() if response.content else {}
        if response.is_success:
            self.answers[DONE] += 1
            return content["data"]
        code = content.get("error", {}).get("code")
        self.answers[f"{code}"] += 1
        if response.status_code >= 500 or not (code in REFUSALS or TRIGGERED in response.text):
            self.surprises.append(f"{method} {path} {body}: {response.status_code} {response.text}")
        return None

    def _place(self, account: Shared, **form: Any) -> None:
        side, quantity = self._dice.choice(("buy", "sell")), f"0.00{self._dice.randint(1, 9)}"
        named = {"symbol": SYMBOL, "side": side, "quantity": quantity, "client_order_id": uuid.uuid4().hex} | form
        account.forms.append(named)
        self._send_form(account, named)

    def _send_form(self, account: Shared, form: dict[str, Any]) -> None:
        order = self._ask("POST", f"/accounts/{account.account_id}/orders", form)
        if order is not None:
            account.remember(form["client_order_id"], order["id"])

    def _market(self, account: Shared, _: Shared) -> None:
        self._place(account, type="market")

    def _near(self, account: Shared, _: Shared) -> None:
        self._place(account, type="limit", price=f"{self._dice.randint(LOW, HIGH)}")

    def _far(self, account: Shared, _: Shared) -> None:
        self._place(account, type="limit", side="buy", price=f"{LOW - self._dice.randint(1_000, 2_000)}")

    def _stop(self, account: Shared, _: Shared) -> None:
        self._place(account, type="stop", trigger_price=f"{self._dice.randint(LOW, HIGH)}")

    def _attached(self, account: Shared, _: Shared) -> None:
        levels = {"stop_loss": f"{LOW - 500}", "take_profit": f"{HIGH - 20}"}
        self._place(account, type="limit", side="buy", price=f"{LOW + self._dice.randint(50, 100)}", **levels)

    def _again(self, account: Shared, _: Shared) -> None:
        if account.forms:
            self._send_form(account, self._dice.choice(list(account.forms)))

    def _cancel(self, account: Shared, _: Shared) -> None:
        if order := self._known(account):
            self._ask("DELETE", f"/accounts/{account.account_id}/orders/{order}")

    def _cancel_all(self, account: Shared, _: Shared) -> None:
        self._ask("DELETE", f"/accounts/{account.account_id}/orders")

    def _replace(self, account: Shared, _: Shared) -> None:
        if order := self._known(account):
            changes = {"quantity": f"0.00{self._dice.randint(1, 9)}"}
            self._ask("PATCH", f"/accounts/{account.account_id}/orders/{order}", changes)

    def _send(self, sender: Shared, receiver: Shared) -> None:
        amount = Decimal(self._dice.randint(10, 30_000)).scaleb(-3)
        form = {"from_account": sender.account_id, "to_account": receiver.account_id, "amount": f"{amount}"}
        if self._ask("POST", "/transfers", form, **{"Idempotency-Key": uuid.uuid4().hex}):
            sender.move(-amount)
            receiver.move(amount)

    def _faucet(self, account: Shared, _: Shared) -> None:
        form = {"account": account.account_id, "amount": "2.5"}
        if self._ask("POST", "/deposits/faucet", form, **{"Idempotency-Key": uuid.uuid4().hex}):
            account.grant(Decimal("2.5"))

    def _close(self, account: Shared, _: Shared) -> None:
        self._ask("POST", f"/accounts/{account.account_id}/positions/close", {"symbol": SYMBOL})

    def _leverage(self, account: Shared, _: Shared) -> None:
        form = {"symbol": SYMBOL, "leverage": self._dice.choice((5, 10, 20))}
        self._ask("PATCH", "/account/leverage", form, **{"X-Account-Id": account.account_id})

    def _known(self, account: Shared) -> str | None:
        known = list(account.orders)
        return self._dice.choice(known) if known else None
