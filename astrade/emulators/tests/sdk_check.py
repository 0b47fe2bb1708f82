"""The vendor's official Python SDK, unchanged, against the emulator: `make sdk-check`.

Run by the SDK's own Python, with the project's as argument: it starts an emulator on a free port, makes every call of
the list below, prints each, and ends with a non-zero status at the first difference.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Any

from x10.clients.blocking.blocking_trading_client import BlockingTradingClient
from x10.clients.rest import RestApiClient
from x10.clients.stream import StreamClient
from x10.clients.streamrpc.streamrpc_client import StreamRpcClient
from x10.clients.streamrpc.subscription_params import AccountParams, OrderbooksParams, TradesParams
from x10.config import TESTNET_CONFIG
from x10.core.stark_account import StarkPerpetualAccount
from x10.errors import ApiError, ApiNotAuthorizedError
from x10.models.http import StreamDataType
from x10.models.order import OrderPriceType, OrderSide, OrderTpslType, OrderTriggerPriceType, OrderType, TimeInForce
from x10.signing.order_object import OrderTpslTriggerParam, create_order_object
from x10.tools.orderbook import OrderBook

from astrade.emulators.tests.sdk_emulator import emulator
from astrade.emulators.tests.sdk_onboarding import open_accounts
from astrade.emulators.tests.sdk_settlements import DOMAIN, compare_settlements, stark_account

MARKET = "BTC-USD"
WITHIN_S = 10
FEE = Decimal("0.0005")


class Check:
    """One run: the clients, and the market's present figures."""

    def __init__(self, project_python: str, config: Any, accounts: list[dict[str, Any]]) -> None:
        self.project_python, self.config, self.accounts = project_python, config, accounts
        self.account, self.other = (stark_account(known) for known in accounts[:2])
        self.rest = RestApiClient(config, self.account)
        self.streams = StreamClient(api_url=config.endpoints.stream_url)

    async def market(self) -> Any:
        return (await self.rest.info.get_markets_dict())[MARKET]

    async def prices(self) -> tuple[Decimal, Decimal]:
        """Best bid and best ask."""
        stats = (await self.rest.info.get_market_statistics(market_name=MARKET)).data
        return stats.bid_price, stats.ask_price

    async def order(self, external_id: str, *, until: str) -> Any:
        """The order by its external id, once it has that status."""
        for _ in range(100):
            found = (await self.rest.account.get_order_by_external_id(external_id)).data
            if found and found[0].status == until:
                return found[0]
            await asyncio.sleep(0.05)
        raise AssertionError(f"{external_id} is {found and found[0].status}, expected {until}")

    async def place(self, name: str, *, side: Any = OrderSide.BUY, below: str = "0.98", **options: Any) -> Any:
        """A limit order away from the market unless told otherwise."""
        bid, _ = await self.prices()
        price = options.pop("price", None) or (bid * Decimal(below)).quantize(Decimal(1))
        return await self.rest.place_order(
            market_name=MARKET,
            amount_of_synthetic=options.pop("amount", Decimal("0.01")),
            price=price,
            side=side,
            taker_fee=FEE,
            external_id=name,
            **options,
        )

    async def market_data(self) -> None:
        markets = await self.rest.info.get_markets_dict()
        assert len(markets) == 8 and markets[MARKET].trading_config.min_price_change == 1
        assert (await self.rest.info.get_settings()).data.stark_ex_contract_address
        assert (await self.rest.info.get_assets_dict())["USD"].is_collateral
        assert (await self.rest.info.get_asset_price(asset_name="BTC")).data > 0
        book = (await self.rest.info.get_orderbook_snapshot(market_name=MARKET)).data
        assert len(book.bid) == 50 and book.bid[0].price > book.bid[1].price and book.bid[0].price < book.ask[0].price

    async def candles_and_funding(self) -> None:
        for kind in ("trades", "mark-prices", "index-prices"):
            for interval in ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT2H", "PT4H", "P1D"):
                call = self.rest.info.get_candles_history
                candles = (await call(market_name=MARKET, candle_type=kind, interval=interval, limit=2)).data
                assert candles and candles[0].high >= candles[0].low
                assert len(candles) == 1 or candles[0].timestamp > candles[1].timestamp
        now = datetime.now(UTC)
        rates = await self.rest.info.get_funding_rates_history(
            market_name=MARKET, start_time=now - timedelta(days=1), end_time=now
        )
        assert len(rates.data) >= 22 and rates.pagination.count == len(rates.data)

    async def account_reads(self) -> None:
        account = (await self.rest.account.get_account()).data
        assert account.l2_vault == self.account.vault and int(account.l2_key, 16) == self.account.public_key
        assert len((await self.rest.account.get_accounts()).data) == 2
        balance = (await self.rest.account.get_balance()).data
        assert balance.balance == balance.equity == balance.available_for_trade == 100_000
        assert (await self.rest.account.get_client()).data.starknet_wallet_address
        assert (await self.rest.account.get_fees(market_names=[MARKET])).data[0].taker_fee_rate == Decimal("0.00025")
        assert (await self.rest.account.get_spot_balances()).data == []
        assert (await self.rest.account.get_positions()).data == []
        assert (await self.rest.account.asset_operations()).data[0].amount == 100_000

    async def leverage(self) -> None:
        await self.rest.account.update_leverage(MARKET, Decimal(10))
        assert (await self.rest.account.get_leverage([MARKET])).data[0].leverage == 10
        await _refused(self.rest.account.update_leverage(MARKET, Decimal(51)), 1050)

    async def limit_and_cancel_by_id(self) -> None:
        placed = (await self.place("limit")).data
        assert placed.external_id == "limit" and 10**18 < placed.id < 2**63
        await self.order("limit", until="NEW")
        opened = (await self.rest.account.get_open_orders([MARKET])).data
        assert [order.id for order in opened] == [placed.id]
        await self.rest.orders.cancel_order(placed.id)
        ended = await self.order("limit", until="CANCELLED")
        assert ended.cancelled_qty == Decimal("0.01") and (await self.rest.account.get_open_orders()).data == []
        assert (await self.rest.account.get_order_by_id(placed.id)).data.external_id == "limit"

    async def cancel_by_external_id(self) -> None:
        await self.place("by-name")
        await self.rest.orders.cancel_order_by_external_id("by-name")
        await self.order("by-name", until="CANCELLED")
        await _refused(self.rest.orders.cancel_order_by_external_id("by-name"), 1142)

    async def duplicate(self) -> None:
        await self.place("twice")
        await _refused(self.place("twice"), 1134)
        await self.rest.orders.cancel_order_by_external_id("twice")

    async def replace(self) -> None:
        await self.place("old")
        await self.place("new", below="0.97", previous_order_id="old")
        assert (await self.order("old", until="CANCELLED")).status_reason == "ORDER_REPLACED"
        await self.order("new", until="NEW")
        await self.rest.orders.mass_cancel(markets=[MARKET])
        await self.order("new", until="CANCELLED")

    async def mass_cancel(self) -> None:
        ids = [(await self.place(f"mass-{number}")).data.id for number in range(4)]
        await self.rest.orders.mass_cancel(order_ids=ids[:1], external_order_ids=["mass-1"])
        assert [order.id for order in (await self.rest.account.get_open_orders()).data] == ids[2:]
        await self.rest.orders.mass_cancel(cancel_all=True)
        assert (await self.rest.account.get_open_orders()).data == []

    async def post_only(self) -> None:
        _, ask = await self.prices()
        await self.place("post-only", price=(ask * Decimal("1.01")).quantize(Decimal(1)), post_only=True)
        assert (await self.order("post-only", until="REJECTED")).status_reason == "POST_ONLY_FAILED"
        await self.place("post-only-rests", post_only=True)
        await self.order("post-only-rests", until="NEW")
        await self.rest.orders.mass_cancel(cancel_all=True)

    async def market_order(self) -> None:
        _, ask = await self.prices()
        order = create_order_object(
            account=self.account,
            market=await self.market(),
            amount_of_synthetic=Decimal("0.05"),
            price=(ask * Decimal("1.0075")).quantize(Decimal(1), ROUND_CEILING),
            side=OrderSide.BUY,
            starknet_domain=DOMAIN,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            taker_fee=FEE,
        )
        placed = (await self.rest.orders.place_order(order)).data
        filled = await self.order(placed.external_id, until="FILLED")
        assert filled.filled_qty == Decimal("0.05") and filled.average_price <= order.price
        trades = (await self.rest.account.get_trades([MARKET])).data
        assert sum(trade.qty for trade in trades) == Decimal("0.05") and all(trade.is_taker for trade in trades)
        fee = sum(trade.fee for trade in trades)
        assert filled.payed_fee == fee > 0
        assert (await self.rest.account.get_balance()).data.balance == 100_000 - fee
        position = (await self.rest.account.get_positions(market_names=[MARKET])).data[0]
        assert (position.size, position.side, position.leverage) == (Decimal("0.05"), "LONG", 10)
        assert position.open_price == filled.average_price

    async def take_profit_and_stop_loss(self) -> None:
        bid, _ = await self.prices()
        legs = {
            name: OrderTpslTriggerParam(
                trigger_price=(bid * Decimal(factor)).quantize(Decimal(1)),
                trigger_price_type=OrderTriggerPriceType.LAST,
                price=(bid * Decimal(factor)).quantize(Decimal(1)),
                price_type=OrderPriceType.LIMIT,
            )
            for name, factor in (("take_profit", "1.1"), ("stop_loss", "0.9"))
        }
        for number, kind in enumerate((OrderTpslType.ORDER, OrderTpslType.POSITION)):
            await self.place(f"tpsl-{number}", tp_sl_type=kind, **legs)
            resting = await self.order(f"tpsl-{number}", until="NEW")
            assert resting.take_profit.price == legs["take_profit"].price and resting.tp_sl_type == kind
        await self.rest.orders.mass_cancel(cancel_all=True)
        order = create_order_object(
            account=self.account,
            market=await self.market(),
            amount_of_synthetic=Decimal(0),
            price=Decimal(0),
            side=OrderSide.SELL,
            starknet_domain=DOMAIN,
            order_type=OrderType.TPSL,
            reduce_only=True,
            taker_fee=FEE,
            tp_sl_type=OrderTpslType.POSITION,
            **legs,
        )
        placed = (await self.rest.orders.place_order(order)).data
        await self.order(placed.external_id, until="UNTRIGGERED")
        await self.rest.orders.cancel_order(placed.id)

    async def close_and_history(self) -> None:
        bid, _ = await self.prices()
        price = (bid * Decimal("0.995")).quantize(Decimal(1))
        options = {"amount": Decimal("0.05"), "time_in_force": TimeInForce.IOC, "reduce_only": True}
        await self.place("close", side=OrderSide.SELL, price=price, **options)
        await self.order("close", until="FILLED")
        assert (await self.rest.account.get_positions()).data == []
        past = (await self.rest.account.get_positions_history([MARKET])).data[0]
        assert past.exit_type == "TRADE" and past.exit_price > 0
        parts = past.realised_pnl_breakdown
        assert past.realised_pnl == parts.trade_pnl + parts.funding_fees - parts.open_fees - parts.close_fees
        assert (await self.rest.account.get_balance()).data.balance == 100_000 + past.realised_pnl

    async def history_in_pages(self) -> None:
        whole = (await self.rest.account.get_orders_history()).data
        pages, cursor = [], None
        while True:
            page = await self.rest.account.get_orders_history(limit=3, cursor=cursor)
            if not page.data:
                break
            pages += page.data
            cursor = page.pagination.cursor
        assert [order.id for order in pages] == [order.id for order in whole] and len(whole) > 6
        assert all(one.id > two.id for one, two in pairwise(whole))

    async def funds(self) -> None:
        usd = (await self.rest.info.get_assets_dict())["USD"].to_settlement_asset()
        before = (await self.rest.account.get_balance()).data.balance
        await self.rest.account.transfer(
            to_vault=self.other.vault, to_l2_public_key=self.other.public_key, amount=Decimal("12.5"), asset=usd
        )
        assert (await self.rest.account.get_balance()).data.balance == before - Decimal("12.5")
        withdrawal = (await self.rest.account.withdraw(Decimal(2), usd)).data
        operation = (await self.rest.account.asset_operations(id=withdrawal)).data[0]
        assert (operation.type, operation.amount) == ("SLOW_WITHDRAWAL", -2)
        await self.rest.testnet.claim_testing_funds()
        assert (await self.rest.account.get_balance()).data.balance == before - Decimal("14.5") + 1000

    async def wrong_credentials(self) -> None:
        wrong = StarkPerpetualAccount(self.account.vault, "0x1", hex(self.account.public_key), "no-such-key")
        async with RestApiClient(self.config, wrong) as client:
            await _refused(client.account.get_balance(), ApiNotAuthorizedError)
        key = StarkPerpetualAccount(self.account.vault, "0x1", hex(self.account.public_key), self.account.api_key)
        async with RestApiClient(self.config, key) as client:
            order = client.place_order(MARKET, Decimal("0.01"), Decimal(70_000), OrderSide.BUY, FEE)
            await _refused(order, 1101)

    async def book_stream(self) -> None:
        """The SDK's own book, which adds up changes, stays what REST says."""
        book = await OrderBook.create(self.config, market_name=MARKET, start=True)
        await asyncio.sleep(1.5)
        async with self.streams.subscribe_to_orderbooks(MARKET) as stream:
            first, second = await stream.recv(), await stream.recv()
            assert (first.type, first.seq, second.type, second.seq) == ("SNAPSHOT", 1, "DELTA", 2)
        for _ in range(50):
            snapshot = (await self.rest.info.get_orderbook_snapshot(market_name=MARKET)).data
            await asyncio.sleep(0.02)
            if snapshot.bid[0].price == book.best_bid().price and snapshot.ask[0].qty == book.best_ask().amount:
                break
        else:
            raise AssertionError("the book that was added up is not the exchange's")
        book.stop_orderbook()

    async def public_streams(self) -> None:
        async with self.streams.subscribe_to_public_trades() as stream:
            assert (await stream.recv()).data[0].qty > 0
        async with self.streams.subscribe_to_candles(MARKET, "mark-prices", "PT1M") as stream:
            assert (await stream.recv()).data[0].close > 0
        async with self.streams.subscribe_to_orderbooks(MARKET, depth=1) as stream:
            assert len((await stream.recv()).data.bid) == 1

    async def account_stream(self) -> None:
        async with self.streams.subscribe_to_account_updates(self.other.api_key) as stream:
            first = [await stream.recv() for _ in range(3)]
            assert [message.type for message in first] == ["BALANCE", "POSITION", "ORDER"]
            client = RestApiClient(self.config, self.other)
            _, ask = await self.prices()
            await client.place_order(
                MARKET,
                Decimal("0.01"),
                (ask * Decimal("1.005")).quantize(Decimal(1)),
                OrderSide.BUY,
                FEE,
                time_in_force=TimeInForce.IOC,
                external_id="streamed",
            )
            seen: dict[str, Any] = {}
            while StreamDataType.BALANCE not in seen:
                message = await stream.recv()
                seen[message.type] = message.data
            assert seen["ORDER"].orders[0].status == "FILLED" and seen["TRADE"].trades[0].qty == Decimal("0.01")
            assert seen["POSITION"].positions[0].size == Decimal("0.01") and seen["BALANCE"].balance.balance < 100_000
            await client.close()

    async def blocking_client(self) -> None:
        client = await BlockingTradingClient.create(self.config, self.other)
        await asyncio.sleep(0.3)
        bid, _ = await self.prices()
        price = (bid * Decimal("0.98")).quantize(Decimal(1))
        placed = await client.create_and_place_order(
            MARKET, Decimal("0.01"), price, OrderSide.BUY, FEE, external_id="blocking"
        )
        assert placed.status == "NEW"
        await client.cancel_order("blocking")
        await self.order_of_other("blocking")
        with contextlib.redirect_stdout(None):
            await client.close()

    async def order_of_other(self, external_id: str) -> None:
        async with RestApiClient(self.config, self.other) as client:
            assert (await client.account.get_order_by_external_id(external_id)).data[0].status == "CANCELLED"

    async def rpc_streams(self) -> None:
        got: dict[str, list[Any]] = {}

        def note(message: Any) -> None:
            got.setdefault(message.subscription, []).append(message)

        client = StreamRpcClient(api_url=self.config.endpoints.stream_rpc_url)
        async with client:
            number = self.accounts[0]["account_id"]
            await client.subscribe(params=OrderbooksParams(market=MARKET), handler=note)
            await client.subscribe(params=TradesParams(), handler=note)
            account = AccountParams(account=str(number), api_key=self.account.api_key)
            await client.subscribe(params=account, handler=note)
            await asyncio.sleep(2)
            assert len(await client.list_subscriptions()) == 3
            await client.unsubscribe(topic_id="trades.all")
            assert len(await client.list_subscriptions()) == 2
        assert set(got) == {f"orderbooks.{MARKET}", "trades.all", f"account.{number}"}
        numbers = sorted(message.seq for messages in got.values() for message in messages)
        assert numbers == list(range(len(numbers)))

    async def onboarding(self) -> None:
        await open_accounts(self.config)

    async def same_settlements(self) -> None:
        compare_settlements(await self.rest.info.get_markets_dict(), self.accounts, project_python=self.project_python)


async def _refused(call: Awaitable[Any], expected: int | type[Exception]) -> None:
    kind = expected if isinstance(expected, type) else ApiError
    try:
        await call
    except kind as exc:
        assert isinstance(expected, type) or f'"code":{expected}' in str(exc), exc
        return
    raise AssertionError(f"expected to be refused with {expected}")


async def main(project_python: str) -> None:
    async with emulator("extended", project_python) as base:
        socket_base = base.replace("http", "ws", 1) + "/stream.extended.exchange"
        endpoints = dataclasses.replace(
            TESTNET_CONFIG.endpoints,
            api_base_url=f"{base}/api/v1",
            api_base_order_management_url=f"{base}/api/v1",
            stream_url=f"{socket_base}/v1",
            stream_rpc_url=f"{socket_base}/v2/rpc",
            onboarding_url=base,
        )
        with urllib.request.urlopen(f"{base}/emulator/accounts") as answer:
            accounts = json.load(answer)
        check = Check(project_python, dataclasses.replace(TESTNET_CONFIG, endpoints=endpoints), accounts)
        steps: list[Callable[[], Awaitable[None]]] = [
            check.market_data,
            check.candles_and_funding,
            check.account_reads,
            check.leverage,
            check.limit_and_cancel_by_id,
            check.cancel_by_external_id,
            check.duplicate,
            check.replace,
            check.mass_cancel,
            check.post_only,
            check.market_order,
            check.take_profit_and_stop_loss,
            check.close_and_history,
            check.history_in_pages,
            check.wrong_credentials,
            check.book_stream,
            check.public_streams,
            check.account_stream,
            check.blocking_client,
            check.rpc_streams,
            check.funds,
            check.same_settlements,
            check.onboarding,
        ]
        try:
            for step in steps:
                await asyncio.wait_for(step(), timeout=6 * WITHIN_S)
                print("ok", step.__name__.replace("_", " "), flush=True)
        finally:
            await check.rest.close()


if __name__ == "__main__":
    logging.disable()  # the SDK reports what it is refused, as it should be
    asyncio.run(main(sys.argv[1]))
