"""A first live trade at Extended, against a running server: an order that rests and is cancelled, one that is filled.

    python examples/first_live_trade.py              the demo user's account at the emulator of `make run`
    python examples/first_live_trade.py --testnet    your own at Extended's testnet, connected while this runs

For the testnet the environment has EXTENDED_API_KEY, EXTENDED_STARK_PRIVATE_KEY and EXTENDED_VAULT, and the same
EXTENDED_TESTNET_API_URL that `make run` was started with: prices and balance are asked for there. Never the mainnet.
"""

import json
import os
import sys
import time
from decimal import Decimal
from typing import Any

import httpx
from first_trade import DEMO_FILE, FRAME_TIMEOUT_S, SYMBOL, Api, await_fill, check, sign_up
from websockets.sync.client import connect

OWN = ("EXTENDED_TESTNET_API_URL", "EXTENDED_API_KEY", "EXTENDED_STARK_PRIVATE_KEY", "EXTENDED_VAULT")
WITHIN_S, APART_AT_MOST = 30, Decimal("0.005")


def of_testnet(api: Api) -> tuple[str, str, str]:
    """The venue's address, an API key for it and our account, of a new user who connects their own account."""
    missing = [name for name in OWN if not os.environ.get(name)]
    if missing:
        sys.exit(f"Set {', '.join(missing)}: what the testnet knows your account by")
    venue, key, private_key, vault = (os.environ[name] for name in OWN)
    if "api.starknet.extended.exchange" in venue or os.environ.get("STARKNET_NETWORK") == "mainnet":
        sys.exit("This is for the testnet: nothing of it may reach the mainnet")
    api.http.headers["Authorization"] = f"Bearer {sign_up(api)[0]}"
    terms = [
        {name: one[name] for name in ("document", "version")} for one in api.call("GET", "/users/me")["accepted_terms"]
    ]
    api.call("PATCH", "/users/me", json={"accepted_terms": terms})
    body = {"network": "testnet", "api_key": key, "stark_private_key": private_key, "vault": int(vault)}
    check(api.call("PUT", "/venue-credentials/extended", json=body)["state"] == "active", f"vault {vault} is connected")
    return venue, key, next(one["id"] for one in api.call("GET", "/accounts") if one["venue"] == "extended")


def of_demo(api: Api, demo: dict[str, Any]) -> tuple[str, str, str]:
    """The same of the demo user, who is connected."""
    if "live_account_id" not in demo:
        sys.exit("`make run` has connected no emulator: it stands in only where no address of Extended is named")
    login = {name: demo["user"][name] for name in ("email", "password")}
    api.http.headers["Authorization"] = f"Bearer {api.call('POST', '/auth/login', json=login)['access_token']}"
    venue = demo["extended"]["base_url"]
    keys = httpx.get(venue.replace("/api/v1", "/emulator/accounts")).json()
    return venue, keys[0]["api_key"], demo["live_account_id"]


def until(api: Api, path: str, name: str, value: object) -> None:
    """Wait until what is at `path` has come to that."""
    deadline = time.monotonic() + WITHIN_S
    while (found := api.call("GET", path)[name]) != value and time.monotonic() < deadline:
        time.sleep(0.5)
    check(found == value, f"{name}: {found}")


def trade(api: Api, account_id: str, mark: Decimal) -> None:
    """Rest and cancel, buy and close, told by the account's socket."""
    print("An order that rests")
    placed = api.order(side="buy", type="limit", price=str(round(mark * Decimal("0.98"))))
    check(
        placed["status"] == "open" and placed["venue_order_id"] is not None, f"order {placed['venue_order_id']} there"
    )
    api.call("DELETE", f"/orders/{placed['id']}")
    until(api, f"/orders/{placed['id']}", "status", "cancelled")
    print("An order that is filled")
    token = api.http.headers["Authorization"].removeprefix("Bearer ")
    with connect(
        f"{str(api.http.base_url).replace('http', 'ws', 1).partition('/api')[0]}/ws/accounts/{account_id}"
    ) as socket:
        socket.send(json.dumps({"token": token}))
        check(json.loads(socket.recv(timeout=FRAME_TIMEOUT_S))["type"] == "connected", "the account's socket is open")
        bought = api.order(side="buy", type="market")
        check(await_fill(socket, bought["id"], timeout_s=FRAME_TIMEOUT_S), "bought, as the venue's stream tells")
        sold = api.order(side="sell", type="market")
        check(await_fill(socket, sold["id"], timeout_s=FRAME_TIMEOUT_S), "and sold")


def main() -> None:
    demo = json.loads(DEMO_FILE.read_text())
    api = Api(os.environ.get("ASTRADE_URL", demo["base_url"]))
    is_own = "--testnet" in sys.argv
    venue, key, account_id = of_testnet(api) if is_own else of_demo(api, demo)
    there = httpx.Client(base_url=venue, headers={"X-Api-Key": key})
    api.http.headers["X-Account-Id"] = account_id
    balance = there.get("/user/balance").json()["data"]["balance"]
    until(api, "/account/balance", "balance", balance)
    mark = Decimal(api.call("GET", f"/markets/{SYMBOL}/stats")["mark"])
    stats = there.get(f"/info/markets/{SYMBOL}/stats").json()["data"]
    is_near = abs(Decimal(stats["markPrice"]) / mark - 1) <= APART_AT_MOST
    check(is_near, f"{SYMBOL} at {mark} here, at {stats['markPrice']} there")
    trade(api, account_id, mark)
    balance = there.get("/user/balance").json()["data"]["balance"]
    until(api, "/account/balance", "balance", balance)
    if is_own:
        api.call("DELETE", "/venue-credentials/extended", params={"network": "testnet"})
    print("Done.")


if __name__ == "__main__":
    try:
        main()
    except (httpx.HTTPError, OSError, KeyError, ValueError) as error:
        sys.exit(f"  FAILED: {type(error).__name__}: {error}")
