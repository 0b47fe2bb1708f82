"""Random orders on the recorded real market: after every one of them equity is what was paid in and what came of it, to
the last digit (DESIGN §5.4), and every fill can be decided again.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from astrade.core.clock import system_clock, to_ms
from astrade.core.errors import AstradeError
from astrade.core.messages import BookSnapshot, Quote, TradeTick
from astrade.core.money import floor_to_step
from astrade.core.redis import sync_client
from marketdata import keys, live
from marketdata.feeds.base import Start
from marketdata.feeds.library import recordings_in
from marketdata.feeds.replay import Played, ReplayFeed
from marketdata.frames import decode_tick
from marketdata.selectors import MarketInfo, market_by_symbol, markets_by_id
from marketdata.tape import Tape
from marketdata.tests.factories import recorded_folder
from trading.domain.lifecycle import LIVE, Side, TimeInForce
from trading.domain.margin import Board, summarise
from trading.domain.matching import Reached, RestingOrders
from trading.loading import read_account
from trading.models import Fill, Order, TradingAccount
from trading.replaying import replay_fills
from trading.resting import waiting_orders
from trading.services.orders import cancel_orders, fill_resting_order
from trading.services.positions import close_position
from trading.tests.conftest import forget_prices, make_market
from trading.tests.factories import D, open_account, place, ref
from trading.verification import CHECKS, run_check

FULL = bool(os.environ.get("CAMPAIGN"))
ORDERS = 1000 if FULL else 100
DEPOSIT = D(50_000)
STEP_US = 100_000
SEED = 20210108
RULES: Mapping[str, dict[str, str]] = {
    "BTC-USD": {"tick_size": "0.1", "step_size": "0.001", "min_quantity": "0.001", "taker_fee_rate": "0.00045"},
    "XRP-USD": {"tick_size": "0.0001", "step_size": "0.1", "min_quantity": "1", "taker_fee_rate": "0.00045"},
}


@pytest.fixture
def markets(db: None) -> Iterator[dict[str, MarketInfo]]:
    """The two that were recorded."""
    forget_prices()
    for symbol, rules in RULES.items():
        make_market(symbol, **rules | {"maker_fee_rate": "0.0002", "slippage_factor": "0.01"})
    yield {symbol: market_by_symbol(symbol) for symbol in RULES}
    forget_prices()


class Pipe:
    """What a tape queues, sent at once; keeps the tick it tells of."""

    def __init__(self) -> None:
        self.pipe, self.ticks = sync_client().pipeline(transaction=False), list[Any]()

    def publish(self, channel: str, message: bytes) -> None:
        if channel == keys.TICKS:
            self.ticks.append(decode_tick(message))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipe, name)


@dataclass
class Recorded:
    """The recorded markets as they go on, a tenth of a second a step, told as if it were now."""

    feed: ReplayFeed
    tapes: dict[str, Tape]
    books: dict[str, RestingOrders]
    now_us: int = 0

    def step(self) -> list[Reached]:
        """Publish the next tenth of a second; returns the resting orders it reached."""
        self.now_us += STEP_US
        now, reached = system_clock(), list[Reached]()
        for message in self.feed.step(self.now_us):
            told = replace(message, at=now) if isinstance(message, Quote | BookSnapshot | TradeTick) else message
            self.tapes[message.symbol].take(told, now_ms=to_ms(now))
        for symbol, tape in self.tapes.items():
            pipe = Pipe()
            tape.queue(pipe, now_ms=to_ms(now))
            pipe.pipe.execute()
            tape.sent()
            for tick in pipe.ticks:
                reached += self.books[symbol].take(tick)
        return reached


def recorded_market(folder: Path, markets: Mapping[str, MarketInfo]) -> Recorded:
    """Both recordings from their beginning."""
    found = recordings_in(folder, mapping={}, markets=set(markets))
    played = [
        Played(market, found[symbol], Start(found[symbol].first_price, sequence=1, trade_id=1), 0)
        for symbol, market in markets.items()
    ]
    feed = ReplayFeed(played, speed=1, seed=SEED)
    return Recorded(feed, {s: Tape(s) for s in markets}, {s: RestingOrders() for s in markets})


class Trader:
    """Somebody who trades at random, and the identity that holds whatever comes of it."""

    def __init__(self, simulator: str, market: Recorded, infos: Mapping[str, MarketInfo]) -> None:
        self.account: TradingAccount = open_account(balance=str(DEPOSIT), simulator=simulator)
        self.market, self.infos, self.dice = market, infos, Random(f"{SEED} {simulator}")
        self.refused = 0

    def order(self) -> None:
        """One order of some kind; a refusal is an answer too."""
        dice, symbol = self.dice, self.dice.choice(sorted(self.infos))
        info, quote = self.infos[symbol], live.quotes()[symbol]
        side = dice.choice(list(Side))
        quantity = floor_to_step(D(dice.randrange(50, 4000)) / quote.mark, step=info.step_size)
        quantity = max(quantity, info.min_quantity)
        changes: dict[str, Any] = {"side": side, "leverage": 10, "reduce_only": dice.random() < 0.1}
        if dice.random() < 0.6:
            near = quote.bid if side is Side.BUY else quote.ask
            changes["price"] = str(near + dice.randrange(-3, 3) * info.tick_size)
            changes["time_in_force"] = dice.choice([TimeInForce.GTC] * 4 + [TimeInForce.IOC, TimeInForce.FOK])
        try:
            if dice.random() < 0.05:
                close_position(account=ref(self.account), symbol=symbol, quantity=None)
            else:
                place(self.account, str(quantity), symbol=symbol, **changes)
        except AstradeError as refusal:
            assert refusal.code < 9000, refusal
            self.refused += 1

    def match(self, reached: list[Reached]) -> None:
        """The matcher's turn."""
        for found in reached:
            if found.order.account_id == self.account.pk:
                symbol = Order.objects.values_list("market__symbol", flat=True).get(pk=found.order.order_id)
                view, quotes = live.view_of(symbol)
                fill_resting_order(
                    account_id=self.account.pk,
                    order_id=found.order.order_id,
                    book=view.book,
                    quotes=quotes,
                    traded_through=found.traded_through,
                    traded=found.traded,
                )

    def check(self) -> None:
        """Equity = deposit - what was spent + what is held, and = deposit + PnL - fees; both to the last digit."""
        fills = Fill.objects.filter(account=self.account).values_list(
            "market__symbol", "side", "quantity", "price", "fee", "realized_pnl"
        )
        held, cash, realized, fees = dict.fromkeys(self.infos, D(0)), DEPOSIT, D(0), D(0)
        for symbol, side, quantity, price, fee, pnl in fills:
            signed = Side(side).sign * quantity
            held[symbol] += signed
            cash -= signed * price + fee
            realized, fees = realized + pnl, fees + fee
        quotes = live.quotes()
        worth = summarise(read_account(ref(self.account)), Board(markets=markets_by_id(), quotes=quotes))
        worth_of_held = sum((quantity * quotes[symbol].mark for symbol, quantity in held.items()), D(0))
        assert worth.equity == cash + worth_of_held
        assert worth.equity == DEPOSIT + realized + worth.unrealized_pnl - fees
        assert worth.balance == DEPOSIT + realized - fees


def watch(market: Recorded) -> list[Reached]:
    """Bring every book up to the orders that rest now; returns those that ticks since their admission reached."""
    reached = []
    rows = {row.uuid: row for row in waiting_orders()}
    for symbol, book in market.books.items():
        for order in list(book):
            if order.uuid not in rows:
                book.remove(order.uuid)
        for row in rows.values():
            waiting = row.waiting()
            if row.symbol == symbol and waiting is not None:
                found = book.add(waiting)  # type: ignore[arg-type]
                reached += [found] if found else []
    return reached


def test_equity_is_exact_after_every_random_order_on_the_recorded_market(
    markets: dict[str, MarketInfo], record_property: Any
) -> None:
    market = recorded_market(recorded_folder(), markets)
    while any(tape.quote is None for tape in market.tapes.values()):
        market.step()
    traders = [Trader(simulator, market, markets) for simulator in ("realistic", "classic")]
    for number in range(ORDERS):
        trader = traders[number % 2]
        trader.order()
        reached = [*watch(market), *market.step()]
        for one in traders:
            one.match(reached)
        trader.check()
        if number % 40 == 39:
            cancel_orders(account=ref(trader.account))
    for trader in traders:
        trader.check()
    fills = Fill.objects.count()
    makers = Fill.objects.filter(is_taker=False).count()
    record_property("orders", ORDERS)
    record_property("fills", fills)
    record_property("resting_fills", makers)
    assert fills > ORDERS / 2
    assert makers > ORDERS / 50
    assert sum(trader.refused for trader in traders) < ORDERS / 2
    assert [finding for name in CHECKS for finding in run_check(name)] == []
    assert set(Order.objects.exclude(status__in=LIVE).values_list("status", flat=True)) >= {"filled", "cancelled"}
    replayed_whole()


def replayed_whole() -> None:
    """Every fill is decided again; raises if one differs."""
    for account in TradingAccount.objects.all():
        assert [found for differences in replay_fills(account) for found in differences] == []
