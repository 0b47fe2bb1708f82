"""python-binance and ccxt, unchanged but for addresses and keys, against the emulator: `make sdk-check`.

Run by a Python that has them, with the project's as argument: it starts an emulator on a free port, does every step of
the list below with each client, prints it, and ends with a non-zero status at the first difference.
"""

import asyncio
import json
import logging
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import ccxt.async_support
import ccxt.pro
from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException

from astrade.emulators.tests.sdk_emulator import emulator

SYMBOL, UNIFIED = "BTCUSDT", "BTC/USDT"
QUANTITY = "0.00100"
STEP_WITHIN_S = 30
MESSAGES = 5


class PythonBinance:
    """The steps with python-binance."""

    def __init__(self, client: Any, manager: Any) -> None:
        self.client, self.manager = client, manager

    async def market_data(self) -> None:
        info = await self.client.get_symbol_info(SYMBOL)
        names = {rule["filterType"] for rule in info["filters"]}
        assert {"PRICE_FILTER", "LOT_SIZE", "NOTIONAL"} <= names, names
        klines = await self.client.get_klines(symbol=SYMBOL, interval="1m", limit=10)
        assert len(klines) == 10 and all(len(row) == 12 for row in klines)
        book = await self.client.get_order_book(symbol=SYMBOL, limit=5)
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
        assert len(await self.client.get_all_tickers()) == 3
        assert (await self.client.get_ticker(symbol=SYMBOL))["symbol"] == SYMBOL
        assert await self.client.get_recent_trades(symbol=SYMBOL, limit=1)

    async def trading(self) -> None:
        before = await self.free("USDT")
        placed = await self.client.order_limit_buy(symbol=SYMBOL, quantity=QUANTITY, price=await self.price("0.98"))
        assert placed["status"] == "NEW"
        assert await self.free("USDT") == before - Decimal(placed["price"]) * Decimal(QUANTITY)
        found = await self.client.get_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert found["clientOrderId"] == placed["clientOrderId"] and found["isWorking"]
        assert [one["orderId"] for one in await self.client.get_open_orders(symbol=SYMBOL)] == [placed["orderId"]]
        cancelled = await self.client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert cancelled["status"] == "CANCELED" and await self.free("USDT") == before
        bought = await self.client.order_market_buy(symbol=SYMBOL, quoteOrderQty="500")
        assert bought["status"] == "FILLED" and bought["fills"][0]["commissionAsset"] == "BTC"
        trades = await self.client.get_my_trades(symbol=SYMBOL, orderId=bought["orderId"])
        assert sum(Decimal(trade["qty"]) for trade in trades) == Decimal(bought["executedQty"])
        assert len(await self.client.get_all_orders(symbol=SYMBOL)) >= 2

    async def refusals(self) -> None:
        for expected, call in (
            (-1013, self.client.order_limit_buy(symbol=SYMBOL, quantity="0.000001", price=await self.price("0.98"))),
            (-2010, self.client.order_market_sell(symbol=SYMBOL, quantity="50")),
            (-2011, self.client.cancel_order(symbol=SYMBOL, orderId=1)),
            (-2013, self.client.get_order(symbol=SYMBOL, orderId=1)),
        ):
            await self.refused(expected, call)

    async def sockets(self) -> None:
        for socket in (
            self.manager.depth_socket(SYMBOL, interval=100),
            self.manager.trade_socket(SYMBOL),
            self.manager.kline_socket(SYMBOL),
            self.manager.multiplex_socket(["btcusdt@bookTicker", "ethusdt@bookTicker"]),
        ):
            async with socket as stream:
                message = await stream.recv()
                assert message.get("s") == SYMBOL or "stream" in message, message

    async def user_socket(self) -> None:
        async with self.manager.user_socket() as stream:
            bought = await self.client.ws_create_order(
                symbol=SYMBOL, side="BUY", type="MARKET", quantity=QUANTITY, newOrderRespType="FULL"
            )
            kinds = []
            while (event := await stream.recv())["e"] != "executionReport" or event["X"] != "FILLED":
                kinds.append(event["e"])
            assert event["i"] == bought["orderId"] and "outboundAccountPosition" in kinds

    async def refused(self, expected: int, call: Awaitable[Any]) -> None:
        try:
            await call
        except BinanceAPIException as exc:
            assert exc.code == expected, exc
            return
        raise AssertionError(f"expected to be refused with {expected}")

    async def price(self, factor: str) -> str:
        ticker = await self.client.get_symbol_ticker(symbol=SYMBOL)
        return str((Decimal(ticker["price"]) * Decimal(factor)).quantize(Decimal("0.01")))

    async def free(self, asset: str) -> Decimal:
        return Decimal((await self.client.get_asset_balance(asset=asset))["free"])


class Ccxt:
    """The steps with ccxt; its sockets are those of ccxt.pro."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def market_data(self) -> None:
        market = (await self.client.load_markets())[UNIFIED]
        assert market["precision"] == {**market["precision"], "amount": 0.00001, "price": 0.01}
        assert market["limits"]["cost"]["min"] == 5
        assert len(await self.client.fetch_ohlcv(UNIFIED, "5m", limit=7)) == 7
        book = await self.client.fetch_order_book(UNIFIED, 5)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await self.client.fetch_ticker(UNIFIED))["last"] > 0
        assert await self.client.fetch_trades(UNIFIED, limit=1)

    async def trading(self) -> None:
        bid = (await self.client.fetch_order_book(UNIFIED, 5))["bids"][0][0]
        placed = await self.client.create_order(UNIFIED, "limit", "buy", 0.001, bid * 0.98)
        assert placed["status"] == "open"
        assert (await self.client.fetch_order(placed["id"], UNIFIED))["remaining"] == 0.001
        assert placed["id"] in [one["id"] for one in await self.client.fetch_open_orders(UNIFIED)]
        assert (await self.client.cancel_order(placed["id"], UNIFIED))["status"] == "canceled"
        sold = await self.client.create_order(UNIFIED, "market", "sell", 0.002)
        assert (sold["status"], sold["filled"], sold["fee"]["currency"]) == ("closed", 0.002, "USDT")
        stop = {"stopLossPrice": bid * 0.95}
        waiting = await self.client.create_order(UNIFIED, "limit", "sell", 0.001, bid * 0.94, stop)
        replaced = await self.client.edit_order(waiting["id"], UNIFIED, "limit", "sell", 0.001, bid * 1.05)
        assert replaced["status"] == "open"
        await self.client.cancel_all_orders(UNIFIED)
        assert await self.client.fetch_open_orders(UNIFIED) == []
        trades = await self.client.fetch_my_trades(UNIFIED)
        assert {trade["order"] for trade in trades} >= {sold["id"]}
        assert (await self.client.fetch_balance())["BTC"]["total"] < 2

    async def refusals(self) -> None:
        for expected, call in (
            (ccxt.InsufficientFunds, self.client.create_order(UNIFIED, "market", "sell", 50)),
            (ccxt.OrderNotFound, self.client.fetch_order("1", UNIFIED)),
            (ccxt.OrderNotFound, self.client.cancel_order("1", UNIFIED)),
            (ccxt.BadSymbol, self.client.public_get_depth({"symbol": "NOSUCH"})),
        ):
            try:
                await call
            except expected:
                continue
            raise AssertionError(f"expected {expected}")

    async def book_socket(self) -> None:
        """Its own synchronisation of snapshot and updates goes through."""
        for _ in range(MESSAGES):
            book = await self.client.watch_order_book(UNIFIED)
            assert book["bids"][0][0] < book["asks"][0][0] and len(book["bids"]) <= 60

    async def sockets(self) -> None:
        assert await self.client.watch_trades(UNIFIED)
        assert (await self.client.watch_ticker(UNIFIED))["last"] > 0
        assert await self.client.watch_ohlcv(UNIFIED, "1m")

    async def user_socket(self) -> None:
        watching = asyncio.ensure_future(self.client.watch_orders(UNIFIED))
        await asyncio.sleep(1)
        placed = await self.client.create_order_ws(UNIFIED, "market", "buy", 0.001)
        seen = await watching
        while seen[-1]["status"] != "closed":
            seen = await self.client.watch_orders(UNIFIED)
        assert seen[-1]["id"] == placed["id"] and seen[-1]["filled"] == 0.001
        assert (await self.client.fetch_order_ws(placed["id"], UNIFIED))["status"] == "closed"


@asynccontextmanager
async def python_binance(base: str, keys: dict[str, str]) -> AsyncIterator[PythonBinance]:
    """With its addresses overridden where its documentation says so."""

    class Client(AsyncClient):
        API_URL = f"{base}/api"
        WS_API_URL = base.replace("http", "ws", 1) + "/ws-api/v3"

    class Manager(BinanceSocketManager):
        STREAM_URL = base.replace("http", "ws", 1) + "/"

    client = await Client.create(keys["api_key"], keys["api_secret"])
    try:
        yield PythonBinance(client, Manager(client))
    finally:
        await client.close_connection()


@asynccontextmanager
async def with_ccxt(base: str, keys: dict[str, str]) -> AsyncIterator[Ccxt]:
    """With its addresses overridden, and nothing asked of the exchange's other services."""
    sockets = base.replace("http", "ws", 1)
    options = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}
    client = ccxt.pro.binance({"apiKey": keys["api_key"], "secret": keys["api_secret"], "options": options})
    client.urls["api"] |= {"public": f"{base}/api/v3", "private": f"{base}/api/v3"}
    client.urls["api"]["ws"] |= {"spot": f"{sockets}/ws"}
    client.urls["api"]["ws"]["ws-api"] |= {"spot": f"{sockets}/ws-api/v3"}
    try:
        yield Ccxt(client)
    finally:
        await client.close()


async def with_ed25519(base: str, keys: dict[str, str]) -> None:
    """ccxt signs with an Ed25519 key, too."""
    signing = {"api_key": keys["ed25519_api_key"], "api_secret": keys["ed25519_private_key"]}
    async with with_ccxt(base, signing) as check:
        assert (await check.client.fetch_balance())["USDT"]["free"] > 0


async def main(project_python: str) -> None:
    async with emulator("binance", project_python) as base:
        with urllib.request.urlopen(f"{base}/emulator/accounts") as answer:
            accounts = json.load(answer)
        async with python_binance(base, accounts[0]) as first, with_ccxt(base, accounts[1]) as second:
            steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
                ("python-binance", first.market_data),
                ("python-binance", first.trading),
                ("python-binance", first.refusals),
                ("python-binance", first.sockets),
                ("python-binance", first.user_socket),
                ("ccxt", second.market_data),
                ("ccxt", second.trading),
                ("ccxt", second.refusals),
                ("ccxt", second.book_socket),
                ("ccxt", second.sockets),
                ("ccxt", second.user_socket),
            ]
            for client, step in steps:
                await asyncio.wait_for(step(), timeout=STEP_WITHIN_S)
                print("ok", client, step.__name__.replace("_", " "), flush=True)
        await asyncio.wait_for(with_ed25519(base, accounts[2]), timeout=STEP_WITHIN_S)
        print("ok ccxt with an Ed25519 key", flush=True)


if __name__ == "__main__":
    logging.disable()  # the clients report what they are refused, as it should be
    asyncio.run(main(sys.argv[1]))
