"""Each call of our client once, over real sockets, with what it changes at the exchange."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from astrade.core.clock import to_ms
from astrade.emulators.extended.accounts import Account
from astrade.emulators.tests.extended_client import Caller, access_to, calling, profile_at, ticket
from astrade.emulators.tests.harness import BTC, HOUR_MS, Harness, signature
from astrade.venues.budget import Cost
from astrade.venues.errors import AlreadyThere, Refused
from astrade.venues.extended import account_calls, order_calls, public_calls
from astrade.venues.extended.account_wire import Balance
from astrade.venues.extended.aio import AsyncClient
from astrade.venues.extended.calls import Access
from astrade.venues.extended.funds import unsigned_transfer, unsigned_withdrawal
from astrade.venues.extended.orders import unsigned_order
from astrade.venues.extended.public_wire import CandleType, MarketStatus
from astrade.venues.extended.signing import TESTNET, Signature, sign
from astrade.venues.extended.tickets import Signer, terms_of
from astrade.venues.extended.wire import (
    OperationStatus,
    OperationType,
    OrderStatus,
    OrderType,
    PositionSide,
    PositionStatus,
    Side,
    TpslType,
    TradeType,
)


@pytest.fixture
async def caller(harness: Harness) -> AsyncIterator[Caller]:
    async with calling(harness) as made:
        yield made


def signer_of(account: Account) -> Signer:
    return Signer(account.vault, account.public_key, TESTNET)


async def test_markets_are_read_with_their_rules(caller: Caller):
    (market,) = await caller.send(public_calls.markets(BTC))
    instrument = caller.harness.exchange.instruments[BTC]
    assert (market.name, market.status, market.active) == (BTC, MarketStatus.ACTIVE, True)
    assert market.trading_config.min_price_change == instrument.rules.tick_size
    assert market.trading_config.max_num_orders == 200
    terms = terms_of(market)
    assert (terms.l2, terms.step_size) == (instrument.l2, instrument.rules.step_size)
    assert market.market_stats.mark_price == caller.harness.quote.mark


async def test_prices_are_read(caller: Caller):
    harness = caller.harness
    harness.advance(1_000, steps=130)
    stats = await caller.send(public_calls.stats(BTC))
    assert (stats.bid_price, stats.ask_price) == (harness.quote.bid, harness.quote.ask)
    book = await caller.send(public_calls.order_book(BTC))
    assert [(level.price, level.qty) for level in book.bid] == list(harness.book.bids)
    assert book.ask[0].price == harness.quote.ask
    trades = await caller.send(public_calls.public_trades(BTC))
    assert trades[0].at_ms >= trades[-1].at_ms and trades[0].side in (Side.BUY, Side.SELL)
    candles = await caller.send(public_calls.candles(BTC, CandleType.TRADES, interval="PT1M", limit=2))
    assert [candles[0].at_ms - candles[1].at_ms, candles[0].low <= candles[0].high] == [60_000, True]
    (mark,) = await caller.send(public_calls.candles(BTC, CandleType.MARK, interval="PT1H", limit=1))
    assert mark.volume is None
    now_ms = to_ms(harness.clock())
    rates = await caller.send(public_calls.funding_rates(BTC, start_ms=now_ms - 86_400_000, end_ms=now_ms))
    assert rates.rows[0].market == BTC and rates.rows[0].at_ms > rates.rows[-1].at_ms


async def test_an_account_is_read(caller: Caller):
    account = caller.harness.account
    told = await caller.send(account_calls.account_info())
    assert (told.number, told.l2_vault, told.public_key) == (account.id, account.vault, account.public_key)
    assert [one.number for one in await caller.send(account_calls.accounts())] == [
        account.id,
        caller.harness.second.id,
    ]
    client = await caller.send(account_calls.client_info())
    assert int(client.starknet_wallet_address or "", 16) == account.wallet
    balance = await caller.send(account_calls.balance())
    assert balance is not None and balance.balance == account.balance == Decimal(100_000)
    (fees,) = await caller.send(account_calls.fees(BTC))
    assert fees.taker_fee_rate == Decimal("0.00025")
    assert await caller.send(account_calls.spot_balances()) == []


async def test_a_balance_of_nought_is_none(caller: Caller):
    caller.harness.account.balance = Decimal(0)
    assert await caller.send(account_calls.balance()) is None


async def test_leverage_is_read_and_set(caller: Caller):
    changed = await caller.send(account_calls.set_leverage(BTC, Decimal("12.50")))
    assert changed is not None and changed.leverage == Decimal("12.5")
    assert [one.leverage for one in await caller.send(account_calls.leverage([BTC]))] == [Decimal("12.5")]
    with pytest.raises(Refused) as refused:
        await caller.send(account_calls.set_leverage(BTC, Decimal(51)))
    assert (refused.value.code, refused.value.venue_code) == (3005, 1050)


async def test_an_order_is_placed_once_found_and_cancelled(caller: Caller):
    placing = caller.place(external_id="mine/1 ?")
    placed = await caller.send(placing)
    assert placed.external_id == "mine/1 ?"
    with pytest.raises(AlreadyThere) as twice:
        await caller.send(placing)
    assert (twice.value.code, twice.value.details["venue_code"]) == (3013, 1134)
    (found,) = await caller.send(account_calls.orders_by_external_id("mine/1 ?"))
    same = await caller.send(account_calls.order_by_id(placed.id))
    assert found == same and found.status is OrderStatus.NEW and found.qty == Decimal("0.01")
    assert [order.id for order in await caller.send(account_calls.open_orders(BTC, side=Side.BUY))] == [placed.id]
    assert await caller.send(account_calls.open_orders(type=OrderType.MARKET)) == []
    await caller.send(order_calls.cancel_by_external_id("mine/1 ?"))
    page = await caller.send(account_calls.orders_history(external_ids=["mine/1 ?"], limit=5))
    assert [(order.id, order.status) for order in page.rows] == [(placed.id, OrderStatus.CANCELLED)]


async def test_what_is_not_there_is_none_or_empty(caller: Caller):
    assert await caller.send(account_calls.order_by_id(5)) is None
    assert await caller.send(account_calls.orders_by_external_id("nobody's")) == []
    with pytest.raises(Refused) as refused:
        await caller.send(order_calls.cancel_order(5))
    assert (refused.value.code, refused.value.venue_code) == (3010, 1142)


async def test_an_order_is_replaced(caller: Caller):
    await caller.send(caller.place(external_id="old"))
    await caller.send(caller.place(external_id="new", replaces="old"))
    (old,) = await caller.send(account_calls.orders_by_external_id("old"))
    assert (old.status, old.status_reason) == (OrderStatus.CANCELLED, "ORDER_REPLACED")
    assert [order.external_id for order in await caller.send(account_calls.open_orders())] == ["new"]


async def test_orders_are_cancelled_by_id_and_together(caller: Caller):
    ids = [(await caller.send(caller.place(nonce=nonce))).id for nonce in range(1, 6)]
    await caller.send(order_calls.cancel_order(ids[0]))
    await caller.send(order_calls.mass_cancel(ids=ids[1:2]))
    assert [order.id for order in await caller.send(account_calls.open_orders())] == ids[2:]
    await caller.send(order_calls.mass_cancel(markets=["ETH-USD"]))
    assert [order.id for order in await caller.send(account_calls.open_orders())] == ids[2:]
    await caller.send(order_calls.mass_cancel(everything=True))
    assert await caller.send(account_calls.open_orders()) == []


async def test_a_mass_cancel_names_what_it_is_for():
    with pytest.raises(ValueError, match="names orders or markets"):
        order_calls.mass_cancel()
    with pytest.raises(ValueError, match="names orders or markets"):
        order_calls.mass_cancel(everything=True, markets=[BTC])


async def test_the_dead_mans_switch_cancels(caller: Caller):
    await caller.send(caller.place())
    await caller.send(order_calls.dead_mans_switch(60))
    caller.harness.advance(61_000)
    assert await caller.send(account_calls.open_orders()) == []
    await caller.send(order_calls.dead_mans_switch(0))
    assert caller.harness.account.switch_fires_ms is None


async def test_a_trade_with_legs_becomes_a_position(caller: Caller):
    mark = caller.harness.quote.mark
    placed = await caller.send(caller.take(legs_at=mark))
    (trade,) = (await caller.send(account_calls.trades(BTC, type=TradeType.TRADE))).rows
    assert (trade.order_id, trade.side, trade.is_taker) == (placed.id, Side.BUY, True)
    assert trade.value == trade.price * trade.qty == trade.price * Decimal("0.01")
    (position,) = await caller.send(account_calls.positions(BTC, side=PositionSide.LONG))
    assert (position.size, position.open_price) == (Decimal("0.01"), trade.price)
    assert position.status is PositionStatus.OPENED and not position.is_closed
    filled = await caller.send(account_calls.order_by_id(placed.id))
    assert filled is not None and filled.legs_close is TpslType.ORDER
    assert filled.take_profit is not None and filled.take_profit.price == round(mark * Decimal("1.1"))
    assert (await caller.send(account_calls.positions(side=PositionSide.SHORT))) == []
    history = await caller.send(account_calls.positions_history(limit=1))
    assert history.rows[0].id == position.id


async def test_funding_that_was_paid_is_read(caller: Caller):
    await caller.send(caller.take())
    before_ms = to_ms(caller.harness.clock())
    caller.harness.advance(HOUR_MS)
    (payment,) = (await caller.send(account_calls.funding_history(BTC, from_ms=before_ms))).rows
    assert (payment.side, payment.size) == (PositionSide.LONG, Decimal("0.01"))
    assert payment.value == payment.size * payment.mark_price


async def test_funds_are_transferred(caller: Caller):
    account, second = caller.harness.account, caller.harness.second
    unsigned = unsigned_transfer(
        signer=signer_of(account),
        recipient_vault=second.vault,
        recipient_key=second.public_key,
        amount=Decimal("1.5"),
        nonce=9,
        now=caller.harness.clock(),
    )
    bad = unsigned.body(Signature(1, 1))
    with pytest.raises(Refused) as refused:
        await caller.send(order_calls.transfer(bad))
    assert refused.value.code == 5002
    assert account.private_key is not None
    done = await caller.send(order_calls.transfer(unsigned.body(sign(account.private_key, unsigned.hash))))
    assert (account.balance, second.balance) == (Decimal("99998.5"), Decimal("100001.5"))
    (sent,) = (await caller.send(account_calls.operations(types=[OperationType.TRANSFER]))).rows
    assert (str(sent.id), sent.amount, sent.status) == (str(done.id), Decimal("-1.5"), OperationStatus.COMPLETED)


async def test_funds_are_withdrawn(caller: Caller):
    account = caller.harness.account

    def withdrawal(amount: str):
        unsigned = unsigned_withdrawal(
            signer=signer_of(account),
            account_id=account.id,
            recipient=account.wallet,
            amount=Decimal(amount),
            nonce=9,
            now=caller.harness.clock(),
        )
        assert account.private_key is not None
        return order_calls.withdraw(unsigned.body(sign(account.private_key, unsigned.hash)))

    with pytest.raises(Refused) as refused:
        await caller.send(withdrawal("100001"))
    assert (refused.value.code, refused.value.venue_code) == (4001, 1140)
    number = await caller.send(withdrawal("2"))
    (operation,) = (await caller.send(account_calls.operations(ids=[str(number)]))).rows
    assert (operation.amount, operation.status) == (Decimal(-2), OperationStatus.CREATED)
    assert account.balance == Decimal(99_998)


async def test_test_funds_are_claimed_once_an_hour(caller: Caller):
    await caller.send(order_calls.claim())
    with pytest.raises(Refused) as refused:
        await caller.send(order_calls.claim())
    assert (refused.value.code, refused.value.venue_code) == (5000, 1009)


async def test_our_signature_is_the_one_the_exchange_wants(caller: Caller):
    unsigned = unsigned_order(ticket(caller.harness))
    body = unsigned.body([Signature(1, 1)])
    with pytest.raises(Refused) as refused:
        await caller.send(order_calls.place_order(body))
    assert (refused.value.code, refused.value.venue_code) == (5002, 1101)
    good = signature(caller.harness.account, unsigned.order)
    body["settlement"]["signature"] = good
    assert (await caller.send(order_calls.place_order(body))).external_id == unsigned.external_id


async def test_a_key_that_is_none_is_5001_and_never_shown(caller: Caller):
    access = Access("not-a-key-of-anybody", 1)
    with pytest.raises(Refused) as refused:
        await caller.send(account_calls.balance(), access)
    assert (refused.value.code, refused.value.status) == (5001, 401)
    assert "not-a-key" not in f"{access!r}{refused.value!r}{refused.value.details}"


async def test_each_key_sees_its_own_account(caller: Caller):
    second = access_to(caller.harness.second)
    assert (await caller.send(account_calls.account_info(), second)).number == caller.harness.second.id


async def test_the_async_client_does_the_same(caller: Caller):
    harness = caller.harness
    client = AsyncClient(profile_at(harness.url), budget=caller.client.budget)
    balance = await client.send(account_calls.balance(), caller.access)
    assert isinstance(balance, Balance)
    placed = await client.send(caller.place(external_id="async"), caller.access)
    assert await caller.orders_there() == ["async"]
    await client.send(order_calls.cancel_order(placed.id), caller.access)
    with pytest.raises(Refused):
        await client.send(order_calls.cancel_order(placed.id), caller.access)
    await client.close()


def test_cancels_are_cheaper_than_orders_and_orders_than_reads():
    assert order_calls.cancel_order(1).cost is order_calls.mass_cancel(everything=True).cost is Cost.CANCEL
    assert order_calls.place_order({}).cost is Cost.ORDER
    assert account_calls.balance().cost is Cost.READ
