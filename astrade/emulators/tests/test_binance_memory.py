"""What an exchange remembers, and what it follows: its successor goes on; a recording is what it trades at."""

from decimal import Decimal
from pathlib import Path

import pytest

from astrade.core.clock import to_us
from astrade.emulators.binance import memory
from astrade.emulators.binance.exchange import Exchange
from astrade.emulators.binance.symbols import symbols
from astrade.emulators.feeds import RecordedFeed
from astrade.emulators.tests.binance_harness import BTC, BinanceHarness
from astrade.emulators.tests.clocks import ManualClock


async def test_accounts_go_on_where_they_were(binance: BinanceHarness):
    resting = await binance.placed(quantity="0.5")
    await binance.take("BUY", "0.2")
    await binance.take("SELL", "0.1")
    old = binance.account

    exchange = Exchange(seed=2, clock=binance.clock, names=[BTC])
    memory.take_up(exchange, memory.remembered(binance.exchange))

    new = exchange.account_of(old.ed25519_api_key)
    assert new is not None and new is not old
    assert new == old and list(exchange.accounts) == list(binance.exchange.accounts)
    assert memory.remembered(exchange) == memory.remembered(binance.exchange)
    order = new.orders[resting["orderId"]]
    assert new.open == {order.id: order}
    assert all(trade.order is new.orders[trade.order.id] for trade in new.trades) and len(new.trades) >= 2
    exchange.engine.cancel(new, order, cancel_id="gone")
    assert new.open == {} and new.balance("USDT").locked == 0


@pytest.mark.parametrize("text", ["", "{}", '{"accounts": [{"id": 1}]}'])
def test_what_cannot_be_read_changes_nothing(text: str):
    exchange = Exchange(seed=1, clock=ManualClock(), names=[BTC])
    before = memory.remembered(exchange)
    with pytest.raises(ValueError):
        memory.take_up(exchange, text)
    assert memory.remembered(exchange) == before


async def test_every_change_is_counted(binance: BinanceHarness):
    counts = [binance.exchange.changes]
    for act in (binance.placed(), binance.take(), binance.call("DELETE", "/openOrders", symbol=BTC)):
        await act
        counts.append(binance.exchange.changes)
    assert counts == sorted(set(counts))
    await binance.read("/account")
    assert binance.exchange.changes == counts[-1]


def test_the_exchange_trades_at_what_was_recorded(tmp_path: Path):
    """Where one symbol is recorded, the others have made-up prices."""
    quotes = [
        "time_ms,bid,bid_size,ask,ask_size",
        *(f"{at},{50_000 + at},1,{50_001 + at},2" for at in range(0, 900, 100)),
    ]
    trades = ["time_ms,trade_id,price,quantity,buyer_maker", "250,7,50250.5,0.25,False", "450,8,50450,0.5,True"]
    (tmp_path / "btcusdt-quotes.csv").write_text("\n".join(quotes))
    (tmp_path / "btcusdt-trades.csv").write_text("\n".join(trades))
    clock, markets = ManualClock(), [symbol.rules for symbol in symbols().values()]
    feed = RecordedFeed(tmp_path, markets, now_us=to_us(clock()), seed=1)
    exchange = Exchange(seed=1, clock=clock, last_prices=feed.first_prices())
    known = exchange.market(BTC).last_trade_id
    for _ in range(5):
        clock.move(100)
        exchange.take(feed.step(to_us(clock())))

    btc = exchange.market(BTC)
    book = btc.view.book
    assert (book.bids[0], book.asks[0]) == ((Decimal(50_500), Decimal(1)), (Decimal(50_501), Decimal(2)))
    assert [(t.trade_id - known, t.side, t.price, t.quantity) for t in list(btc.trades)[-2:]] == [
        (1, "buy", Decimal("50250.5"), Decimal("0.25")),
        (2, "sell", Decimal(50_450), Decimal("0.5")),
    ]
    assert abs(exchange.market("XRPUSDT").last_price - Decimal("1.95")) < Decimal("0.1")


def test_the_same_seed_and_acts_give_the_same_exchange():
    def played(seed: int) -> str:
        clock = ManualClock()
        exchange = Exchange(seed=seed, clock=clock, names=[BTC])
        for _ in range(50):
            clock.move(100)
            exchange.step()
        market = exchange.market(BTC)
        return f"{memory.remembered(exchange)}{market.view}{market.depth.last_id}{list(market.klines('1m'))[:3]}"

    assert played(1) == played(1) != played(2)
