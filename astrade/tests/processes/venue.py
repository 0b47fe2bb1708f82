"""Somebody with an account at the emulated Extended, and what both sides know of it."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx

from astrade.emulators.extended.server import BASE
from astrade.tests.processes.client import Refused, Trader
from astrade.tests.processes.system import System, eventually
from astrade.venues.extended.wire import OrderStatus as Status
from trading.venues.extended_reports import STATUSES

RESOLVE_TASK, SYNC_TASK = "trading.tasks.resolve_unanswered_orders", "trading.tasks.sync_live_account"
OUTCOME_UNKNOWN = 5005
ACCOUNT = "SELECT id FROM trading_tradingaccount WHERE uuid = %s"
_MINUTE_BACK = "{0} = {0} - interval '1 minute' * ({0} > now() - interval '1 minute')::int"  # what is null stays so
LATER = f"""
UPDATE trading_venueorder SET {_MINUTE_BACK.format("deadline_at")}, {_MINUTE_BACK.format("first_lookup_at")},
       {_MINUTE_BACK.format("cancel_requested_at")}
 WHERE order_id IN (SELECT id FROM trading_order WHERE status = ANY('{{submitted,unknown,open,partially_filled}}'))
"""
ORDERS = """
SELECT v.external_id, o.status, o.filled_quantity, o.venue_order_id FROM trading_order o
JOIN trading_venueorder v ON v.order_id = o.id WHERE o.account_id = %s
"""
FILLS = "SELECT venue_trade_id FROM trading_fill WHERE account_id = %s AND venue_trade_id NOT LIKE 'opening:%%'"
HELD = "SELECT coalesce(sum(quantity), 0) FROM trading_position WHERE account_id = %s"
CASH = "SELECT balance FROM trading_cashbalance WHERE account_id = %s"
ADOPTED = """
SELECT number FROM trading_order WHERE account_id = %s AND source = 'external' AND client_order_id NOT LIKE 'opening:%%'
"""


class Venue:
    """The emulator as a process beside ours."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def keys(self, number: int) -> dict[str, Any]:
        """What connects one of its accounts."""
        found: dict[str, Any] = self.http.get("/emulator/accounts").json()[number]
        return found

    def switch(self, faults: str) -> None:
        """Replace what is broken on purpose."""
        self.http.post("/emulator/faults", json={"faults": faults}).raise_for_status()

    def state(self, account_id: int) -> dict[str, Any]:
        """All it knows of an account."""
        found: dict[str, Any] = self.http.get("/emulator/state").json()[str(account_id)]
        return found

    def open_orders(self, api_key: str) -> list[int]:
        """The ids of all open orders, as its own REST tells them."""
        answer = self.http.get(f"{BASE}/user/orders", headers={"X-Api-Key": api_key, "User-Agent": "tests"})
        return sorted(order["id"] for order in answer.json()["data"])


class LiveTrader(Trader):
    """A user whose calls act on their account at the venue, its `number`th."""

    def __init__(self, system: System, venue: Venue, *, number: int) -> None:
        super().__init__(system.base_url)
        self.system, self.venue, self.keys = system, venue, venue.keys(number)
        self.row_id = 0
        self.since: set[str] = set()  # trades from before, which are never booked

    def sign_up(self) -> None:
        """Make the user, who accepts the terms."""
        super().sign_up()
        accepted = [{name: one[name] for name in ("document", "version")} for one in self._terms()]
        self.call("PATCH", "/users/me", {"accepted_terms": accepted})

    def connect(self) -> None:
        """Connect the account, however often that takes, and wait until its books have begun."""
        self.since = {str(trade["id"]) for trade in self.there()["trades"]}
        named = {name: self.keys[name] for name in ("api_key", "stark_private_key", "vault")}
        self.call("PUT", "/venue-credentials/extended", {"network": "testnet", **named})
        (self.account_id,) = (one["id"] for one in self.call("GET", "/accounts") if one["venue"] == "extended")
        self.http.headers["X-Account-Id"] = self.account_id
        self.row_id = self.system.value(ACCOUNT, self.account_id)
        eventually("the books have begun", lambda: self.system.rows(CASH + " AND balance <> 0", self.row_id))

    def disconnect(self) -> None:
        """Let go of the account."""
        del self.http.headers["X-Account-Id"]
        self.call("DELETE", "/venue-credentials/extended?network=testnet")

    def there(self) -> dict[str, Any]:
        """The account as the venue knows it."""
        return self.venue.state(self.keys["account_id"])

    def nudge(self) -> None:
        """Have the worker ask the venue, as beat does now and then."""
        self.system.send_task(RESOLVE_TASK)
        self.system.send_task(SYNC_TASK, self.row_id)

    def settle(self) -> None:
        """A quiet time, in a hurry: until nothing waits for the venue's word and both sides know the same."""

        def is_settled() -> bool:
            self.system.execute(LATER)
            self.nudge()
            eventually("the worker is done", lambda: self.system.tasks_left() == 0)
            return not self.differences()

        eventually(f"both sides know the same, and not {self.differences()}", is_settled)
        assert is_settled(), "and once more"

    def differences(self) -> list[str]:
        """What the two sides know differently, and what is doubled; empty where there is nothing."""
        state = self.there()
        return [*self._orders_differ(state), *self._trades_differ(state), *self._holdings_differ(state)]

    def _orders_differ(self, state: dict[str, Any]) -> Iterator[str]:
        theirs, living = state["orders"], set[int]()
        for name, status, filled, venue_order_id in self.system.rows(ORDERS, self.row_id):
            if status in ("open", "partially_filled"):
                living.add(venue_order_id)
            there = theirs.get(name)
            if there is None:
                if status != "rejected" and venue_order_id != 0:
                    yield f"{name}: {status} here, unknown there"
            elif (status, filled) != (STATUSES[Status(there["status"])], Decimal(there["filledQty"])):
                yield f"{name}: {status} {filled} here, {there['status']} {there['filledQty']} there"
        for (number,) in self.system.rows(ADOPTED, self.row_id):
            yield f"order {number}: nobody asked for it here"
        open_there = self.venue.open_orders(self.keys["api_key"])
        if open_there != sorted(living):
            yield f"open: {sorted(living)} here, {open_there} there"

    def _trades_differ(self, state: dict[str, Any]) -> Iterator[str]:
        there = Counter(str(trade["id"]) for trade in state["trades"] if str(trade["id"]) not in self.since)
        here = Counter(name for (name,) in self.system.rows(FILLS, self.row_id))
        if there != here:
            yield f"trades {here - there} here only, {there - here} there only"

    def _holdings_differ(self, state: dict[str, Any]) -> Iterator[str]:
        signs = {"LONG": 1, "SHORT": -1}
        theirs = sum(signs[held["side"]] * Decimal(held["size"]) for held in state["positions"])
        if (held := self.system.value(HELD, self.row_id)) != theirs:
            yield f"position {held} here, {theirs} there"
        cash, balance = self.system.value(CASH, self.row_id), Decimal(state["balance"]["balance"])
        if cash != balance:
            yield f"cash {cash} here, {balance} there"

    def _terms(self) -> list[dict[str, str]]:
        terms: list[dict[str, str]] = self.call("GET", "/users/me")["accepted_terms"]
        return terms

    def _data_of(self, response: httpx.Response) -> Any:
        """Where nobody knows what became of an order, the order as it is."""
        content = response.json()
        if response.status_code == httpx.codes.ACCEPTED and content.get("error"):
            if content["error"]["code"] != OUTCOME_UNKNOWN:
                raise Refused(response.status_code, content["error"])
            return content["error"]["details"]["order"]
        return super()._data_of(response)
