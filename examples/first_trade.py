"""A new user's first trade on a practice account, from sign-up to XP, against a running server.

    python examples/first_trade.py [--base-url http://127.0.0.1:8000]

The address comes from the option, from ASTRADE_URL, or from `.astrade/demo.json`, which `make run` writes. Each step is
printed; the first thing that isn't as it should be ends the run with a message and exit code 1.
"""

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

DEMO_FILE = Path(__file__).resolve().parents[1] / ".astrade" / "demo.json"
SYMBOL, QUANTITY = "BTC-USD", "0.01"
FILL_FRAMES = {"trade_update", "position_update", "balance_update"}
PRICES_WITHIN_S, FRAME_TIMEOUT_S, REST_TIMEOUT_S, XP_TIMEOUT_S = 30, 15, 20, 60


def check(condition: bool, claim: str) -> None:
    """Print a claim that holds; end the run with one that doesn't."""
    if not condition:
        sys.exit(f"  FAILED: {claim}")
    print(f"  {claim}")


class Api:
    """The REST calls of one user: answers are the envelope's `data`, refusals end the run."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=f"{base_url}/api/v1", timeout=30)

    def call(self, method: str, path: str, **options: Any) -> Any:
        return self.envelope(method, path, **options)["data"]

    def envelope(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self.http.request(method, path, **options)
        body: dict[str, Any] = response.json()
        if not response.is_success:
            sys.exit(f"  FAILED: {method} {path} answered {response.status_code}: {body.get('error')}")
        return body

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        cursor: dict[str, int] = {}
        while True:
            page = self.envelope("GET", path, params={"limit": 100, **cursor})
            yield from page["data"]
            if page["pagination"]["cursor"] is None:
                return
            cursor = {"cursor": page["pagination"]["cursor"]}

    def order(self, **fields: str) -> dict[str, Any]:
        form = {"symbol": SYMBOL, "quantity": QUANTITY, "client_order_id": str(uuid.uuid4()), **fields}
        order: dict[str, Any] = self.call("POST", "/orders", json=form)
        price = order["average_price"] or order["price"] or "market"
        print(f"  {order['type']} {order['side']} {order['quantity']} {SYMBOL}: {order['status']} at {price}")
        return order


def await_fill(socket: Connection, order_id: str, *, timeout_s: float) -> bool:
    """Read account frames until a fill of the order and what it changed have arrived; False when time is up."""
    missing, deadline = set(FILL_FRAMES), time.monotonic() + timeout_s
    while missing:
        try:
            frame = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
        except TimeoutError:
            return False
        is_ours = frame["type"] == "trade_update" and frame["data"]["order_id"] == order_id
        if "trade_update" in missing and not is_ours:
            continue  # what another order changed
        if frame["type"] in missing:
            missing.remove(frame["type"])
            print(f"  frame {frame['sequence']}: {frame['type']}")
    return True


def sign_up(api: Api) -> tuple[str, dict[str, Any]]:
    print("1. Sign up")
    form = {"email": f"first-trade-{uuid.uuid4().hex}@example.com", "password": f"Plain-Sailing-{uuid.uuid4().hex[:8]}"}
    signed_up = api.call("POST", "/auth/signup", json=form)
    token: str = signed_up["access_token"]
    api.http.headers["Authorization"] = f"Bearer {token}"
    check(signed_up["user"]["email"] == form["email"], f"user {signed_up['user']['id']}")
    accounts = api.call("GET", "/accounts")
    check([account["venue"] for account in accounts] == ["practice"], "one practice account")
    account = accounts[0]
    check(Decimal(account["balance"]) == 10_000, f"it holds {account['balance']} virtual {account['currency']}")
    return token, account


def show_prices(api: Api) -> None:
    print("2. Live prices")
    deadline = time.monotonic() + PRICES_WITHIN_S
    while api.call("GET", f"/markets/{SYMBOL}/stats")["stale"] and time.monotonic() < deadline:
        time.sleep(0.5)  # the feed has just been started
    for _ in range(3):
        price = api.call("GET", f"/markets/{SYMBOL}/stats")
        spread = f"{price['bid']} / {price['ask']}, mark {price['mark']}"
        check(not price["stale"], f"{SYMBOL} {spread}, {price['age_ms']} ms old")
        time.sleep(1)


def trade(api: Api, token: str, account_id: str, *, base_url: str) -> None:
    url = f"{base_url.replace('http', 'ws', 1)}/ws/accounts/{account_id}"
    print("3. The account socket")
    with connect(url) as socket:
        socket.send(json.dumps({"token": token}))
        hello = json.loads(socket.recv(timeout=FRAME_TIMEOUT_S))
        check(hello["type"] == "connected", f"connected at sequence {hello['sequence']}")
        print("4. Market order")
        order = api.order(side="buy", type="market")
        check(await_fill(socket, order["id"], timeout_s=FRAME_TIMEOUT_S), "the fill arrived on the socket")
        print("5. Limit order")
        order = api.order(side="buy", type="limit", price=api.call("GET", f"/markets/{SYMBOL}/stats")["bid"])
        if await_fill(socket, order["id"], timeout_s=REST_TIMEOUT_S):
            print("  filled at once" if order["status"] == "filled" else "  it rested until the market came to it")
        elif api.http.delete(f"/orders/{order['id']}").is_success:
            print(f"  the market went away; cancelled after {REST_TIMEOUT_S} s")
        print("6. Close the position")
        closing = api.call("POST", f"/accounts/{account_id}/positions/close", json={"symbol": SYMBOL})
        check(await_fill(socket, closing["id"], timeout_s=FRAME_TIMEOUT_S), "the closing fill arrived on the socket")
        check(not api.call("GET", "/account/positions"), "no position is left")


def audit(api: Api, account_id: str) -> None:
    print("7. Every cent in the ledger")
    sums: dict[str, Decimal] = {}
    for line in (lines := list(api.pages(f"/accounts/{account_id}/ledger"))):
        sums[line["kind"]] = sums.get(line["kind"], Decimal(0)) + Decimal(line["amount"])
        print(f"  {line['number']:>3} {line['kind']:<10} {line['amount']:>20} {line['running_balance']:>22}")
    deposits, pnl, funding = (sums.pop(kind, Decimal(0)) for kind in ("deposit", "trade_pnl", "funding"))
    fees = -sums.pop("commission", Decimal(0))
    check(not sums, f"deposits {deposits}, PnL {pnl}, fees {fees}, funding {funding}")
    fills = list(api.pages("/trades"))
    check(sum(Decimal(fill["realized_pnl"]) for fill in fills) == pnl, f"{len(fills)} fills give the same PnL")
    check(sum(Decimal(fill["fee"]) for fill in fills) == fees, "and the same fees")
    equity = Decimal(api.call("GET", "/account/balance")["equity"])
    check(Decimal(lines[0]["running_balance"]) == equity, "the last running balance is the equity")
    check(equity == deposits + pnl + funding - fees, f"equity {equity} = deposits + PnL - fees, to the last digit")


def await_xp(api: Api) -> None:
    print("8. XP")
    deadline = time.monotonic() + XP_TIMEOUT_S
    while not (entries := list(api.pages("/xp/history"))) and time.monotonic() < deadline:
        time.sleep(0.5)
    for entry in entries:
        print(f"  {entry}")
    progress = api.call("GET", "/progress")
    check(progress["total_xp"] > 0, f"{progress['total_xp']} XP, level {progress['level']}")
    check(progress["level"] == 1 + progress["total_xp"] // 100, "the level follows from the XP")


def main() -> None:
    parser = argparse.ArgumentParser(description="A new user's first practice trade, step by step.")
    parser.add_argument("--base-url", default=os.environ.get("ASTRADE_URL"))
    base_url = parser.parse_args().base_url
    if base_url is None:
        if not DEMO_FILE.exists():
            sys.exit(f"No --base-url, no ASTRADE_URL, and no {DEMO_FILE}: is AsTrade running (make run)?")
        base_url = json.loads(DEMO_FILE.read_text())["base_url"]
    base_url, api = base_url.rstrip("/"), Api(base_url.rstrip("/"))
    token, account = sign_up(api)
    show_prices(api)
    trade(api, token, account["id"], base_url=base_url)
    audit(api, account["id"])
    await_xp(api)
    print("Done.")


if __name__ == "__main__":
    try:
        main()
    except (httpx.HTTPError, OSError, KeyError, ValueError) as error:
        sys.exit(f"  FAILED: {type(error).__name__}: {error}")
