"""python-binance and ccxt, unchanged but for address and key, trade practice accounts by `/api/v3`: `make sdk-check`.

Run by a Python that has them, with the project's as argument: it starts AsTrade on a database of its own, signs up a
user for each client, does every step of the list below, prints it, and ends with a non-zero status at the first
difference.
"""

import asyncio
import json
import logging
import secrets
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import ccxt.async_support
from binance.exceptions import BinanceAPIException

from astrade.emulators.tests.binance_sdk_check import STEP_WITHIN_S, SYMBOL, UNIFIED, python_binance, with_ccxt
from astrade.emulators.tests.sdk_emulator import served

QUANTITY = "0.00200"
CASH = 10_000


def called(base: str, path: str, body: Any, *, token: str = "") -> Any:
    """What a call of AsTrade's own API answers."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"{base}/api/v1{path}", data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["data"]


def new_keys(base: str) -> dict[str, str]:
    """A new user's API key; AsTrade looks at no signature, so any secret will do."""
    login = {"email": f"{secrets.token_hex(6)}@example.com", "password": "Practice1"}
    token = called(base, "/auth/signup", login)["access_token"]
    key = called(base, "/api-keys", {"name": "bot", "scopes": ["read", "trade"]}, token=token)
    return {"api_key": key["secret"], "api_secret": "unused"}


class WithPythonBinance:
    """The steps with python-binance."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def market_data(self) -> None:
        info = await self.client.get_symbol_info(SYMBOL)
        assert {"PRICE_FILTER", "LOT_SIZE", "NOTIONAL"} <= {rule["filterType"] for rule in info["filters"]}
        assert abs((await self.client.get_server_time())["serverTime"]) > 0
        klines = await self.client.get_klines(symbol=SYMBOL, interval="1m", limit=10)
        assert klines and all(len(row) == 12 for row in klines)
        book = await self.client.get_order_book(symbol=SYMBOL, limit=5)
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
        assert SYMBOL in {ticker["symbol"] for ticker in await self.client.get_all_tickers()}
        assert (await self.client.get_ticker(symbol=SYMBOL))["symbol"] == SYMBOL
        assert (await self.client.get_orderbook_ticker(symbol=SYMBOL))["bidPrice"]
        assert await self.client.get_recent_trades(symbol=SYMBOL, limit=1)

    async def trading(self) -> None:
        assert await self.free("USDT") == CASH
        placed = await self.client.order_limit_buy(symbol=SYMBOL, quantity=QUANTITY, price=await self.price("0.9"))
        assert placed["status"] == "NEW"
        assert await self.free("USDT") == CASH - Decimal(placed["price"]) * Decimal(QUANTITY)
        found = await self.client.get_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert found["clientOrderId"] == placed["clientOrderId"] and found["isWorking"]
        assert [one["orderId"] for one in await self.client.get_open_orders(symbol=SYMBOL)] == [placed["orderId"]]
        cancelled = await self.client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert cancelled["status"] == "CANCELED" and await self.free("USDT") == CASH
        bought = await self.client.order_market_buy(symbol=SYMBOL, quoteOrderQty="500")
        assert bought["status"] == "FILLED" and bought["fills"]
        assert await self.free("BTC") == Decimal(bought["executedQty"])
        trades = await self.client.get_my_trades(symbol=SYMBOL, orderId=bought["orderId"])
        assert sum(Decimal(trade["qty"]) for trade in trades) == Decimal(bought["executedQty"])
        sold = await self.client.order_market_sell(symbol=SYMBOL, quantity=bought["executedQty"])
        assert sold["status"] == "FILLED" and await self.free("BTC") == 0
        orders = await self.client.get_all_orders(symbol=SYMBOL)
        assert [order["status"] for order in orders] == ["CANCELED", "FILLED", "FILLED"]

    async def refusals(self) -> None:
        price = await self.price("0.9")
        named = {"symbol": SYMBOL, "quantity": QUANTITY, "price": price, "newClientOrderId": "once"}
        await self.client.order_limit_buy(**named)
        for expected, call in (
            (-1013, self.client.order_limit_buy(symbol=SYMBOL, quantity="0.000001", price=price)),
            (-2010, self.client.order_market_sell(symbol=SYMBOL, quantity="50")),
            (-2010, self.client.order_limit_buy(**named)),
            (-2011, self.client.cancel_order(symbol=SYMBOL, orderId=99)),
            (-2013, self.client.get_order(symbol=SYMBOL, orderId=99)),
            (-1121, self.client.get_order_book(symbol="NOSUCH")),
        ):
            try:
                await call
            except BinanceAPIException as exc:
                assert exc.code == expected, exc
                continue
            raise AssertionError(f"expected to be refused with {expected}")

    async def price(self, factor: str) -> str:
        ticker = await self.client.get_symbol_ticker(symbol=SYMBOL)
        return str((Decimal(ticker["price"]) * Decimal(factor)).quantize(Decimal("0.01")))

    async def free(self, asset: str) -> Decimal:
        return Decimal((await self.client.get_asset_balance(asset=asset))["free"])


class WithCcxt:
    """The steps with ccxt."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def market_data(self) -> None:
        market = (await self.client.load_markets())[UNIFIED]
        assert market["precision"] == {**market["precision"], "amount": 0.00001, "price": 0.01}
        assert market["active"] and market["spot"]
        assert await self.client.fetch_ohlcv(UNIFIED, "5m", limit=7)
        book = await self.client.fetch_order_book(UNIFIED, 5)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await self.client.fetch_ticker(UNIFIED))["last"] > 0
        assert await self.client.fetch_trades(UNIFIED, limit=1)

    async def trading(self) -> None:
        bid = (await self.client.fetch_order_book(UNIFIED, 5))["bids"][0][0]
        placed = await self.client.create_order(UNIFIED, "limit", "buy", 0.002, bid * 0.9)
        assert placed["status"] == "open"
        assert (await self.client.fetch_order(placed["id"], UNIFIED))["remaining"] == 0.002
        assert placed["id"] in [one["id"] for one in await self.client.fetch_open_orders(UNIFIED)]
        assert (await self.client.cancel_order(placed["id"], UNIFIED))["status"] == "canceled"
        bought = await self.client.create_order(UNIFIED, "market", "buy", 0.002)
        assert (bought["status"], bought["filled"], bought["fee"]["currency"]) == ("closed", 0.002, "USDT")
        assert (await self.client.fetch_balance())["BTC"]["total"] == 0.002
        stop = {"stopLossPrice": bid * 0.95}
        waiting = await self.client.create_order(UNIFIED, "limit", "sell", 0.001, bid * 0.94, stop)
        assert (await self.client.fetch_order(waiting["id"], UNIFIED))["status"] == "open"
        assert len(await self.client.cancel_all_orders(UNIFIED)) == 1
        assert await self.client.fetch_open_orders(UNIFIED) == []
        trades = await self.client.fetch_my_trades(UNIFIED)
        assert {trade["order"] for trade in trades} == {bought["id"]}
        assert (await self.client.fetch_balance())["USDT"]["free"] < CASH

    async def refusals(self) -> None:
        for expected, call in (
            (ccxt.InsufficientFunds, self.client.create_order(UNIFIED, "market", "sell", 50)),
            (ccxt.OrderNotFound, self.client.fetch_order("99", UNIFIED)),
            (ccxt.OrderNotFound, self.client.cancel_order("99", UNIFIED)),
            (ccxt.BadSymbol, self.client.public_get_depth({"symbol": "NOSUCH"})),
        ):
            try:
                await call
            except expected:
                continue
            raise AssertionError(f"expected {expected}")


async def main(project_python: str) -> None:
    async with (
        served(project_python, "-m", "astrade.tests.binance_server") as base,
        python_binance(base, new_keys(base)) as first,
        with_ccxt(base, new_keys(base)) as second,
    ):
        python, unified = WithPythonBinance(first.client), WithCcxt(second.client)
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("python-binance", python.market_data),
            ("python-binance", python.trading),
            ("python-binance", python.refusals),
            ("ccxt", unified.market_data),
            ("ccxt", unified.trading),
            ("ccxt", unified.refusals),
        ]
        for client, step in steps:
            await asyncio.wait_for(step(), timeout=STEP_WITHIN_S)
            print("ok /api/v3 with", client, step.__name__.replace("_", " "), flush=True)


if __name__ == "__main__":
    logging.disable()  # the clients report what they are refused, as it should be
    asyncio.run(main(sys.argv[1]))
