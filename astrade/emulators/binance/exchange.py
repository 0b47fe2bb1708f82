"""The whole exchange in memory: markets, accounts, engine and news, moved by a clock and a seed.

No I/O and no waiting: `step` brings prices up to the clock and everything that follows from them. The same seed, clock
and calls give the same state.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from astrade.core.clock import Clock, system_clock, to_ms, to_us
from astrade.core.messages import Message
from astrade.emulators.binance import events, signatures
from astrade.emulators.binance.accounts import Account, Balance
from astrade.emulators.binance.bookings import Bookings
from astrade.emulators.binance.faults import CATALOGUE
from astrade.emulators.binance.limits import Limits, OrderCount, Traffic
from astrade.emulators.binance.matching import Engine
from astrade.emulators.binance.prices import Market, by_symbol
from astrade.emulators.binance.refusals import bad_symbol
from astrade.emulators.binance.symbols import symbols
from astrade.emulators.binance.tape import Publisher
from astrade.emulators.faults import Faults
from astrade.emulators.hub import Hub, News, Topic
from astrade.emulators.secrets import secret
from marketdata.feeds.base import Start
from marketdata.feeds.synthetic import SyntheticFeed

ACCOUNTS = 3
FIRST_ACCOUNT_ID = 200_001
START_BALANCES: Mapping[str, Decimal] = {
    "USDT": Decimal(100_000),
    "BTC": Decimal(2),
    "ETH": Decimal(20),
    "XRP": Decimal(50_000),
}
SKEW_MS = 90_000
USER_EVENT = "user"
Told = tuple[Account, dict[str, Any]]  # an event of the account's user stream


class Exchange:
    """State and time of one emulated exchange."""

    def __init__(
        self,
        *,
        seed: int,
        clock: Clock = system_clock,
        names: Sequence[str] | None = None,
        faults: str = "",
        accounts: int = ACCOUNTS,
        limits: Limits | None = None,
        last_prices: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> None:
        self.seed, self._clock = seed, clock
        self.faults = Faults(faults, seed=seed, catalogue=CATALOGUE)
        self.limits = limits or Limits()
        self.traffic = Traffic(self.limits)
        self.hub = Hub()
        self._last_id = self._clock_ms()
        self._open_markets(names, last_prices)
        self.accounts: dict[int, Account] = {}
        self.order_counts: dict[int, OrderCount] = {}
        self._by_api_key: dict[str, Account] = {}
        self._muted: set[int] = set()
        self._news: list[Told] = []
        self.changes = 0  # how often an account may have changed
        self._tape = Publisher(self.hub, self.markets)
        self.bookings = Bookings(
            self.markets, now_ms=self.now_ms, new_id=self.new_id, tell=self.tell, filled=self._uncount
        )
        self.engine = Engine(
            self.markets,
            self.accounts,
            bookings=self.bookings,
            faults=self.faults,
            mute=lambda account: self._muted.add(account.id),
        )
        for number in range(accounts):
            self.add_account(self._seeded(number))
        self.step()

    @property
    def symbol_status(self) -> str:
        """Of all symbols."""
        return "HALT" if self.faults.is_on("market_closed") else "TRADING"

    def now_ms(self) -> int:
        """The exchange's time, which a fault may have moved."""
        return self._clock_ms() + (SKEW_MS if self.faults.is_on("clock_skew") else 0)

    def new_id(self) -> int:
        """Ids only grow, over restarts too."""
        self._last_id += 1
        return self._last_id

    def step(self) -> None:
        """Bring prices up to the clock, and everything that waits for them."""
        self.take(self.feed.step(to_us(self._clock())))

    def take(self, messages: Sequence[Message]) -> None:
        """One batch of a feed: prices, stop prices, fills, then the news of it."""
        batch = by_symbol(messages)
        for name, market in self.markets.items():
            market.step(batch.get(name, ()), now_ms=self._clock_ms())
            if name in batch:
                self.engine.step(market)
        if messages:
            self._tape.publish(now_ms=self.now_ms())
        self.publish(self.take_news())

    def market(self, name: str) -> Market:
        """Raises Refused -1121 for an unknown one."""
        market = self.markets.get(name)
        if market is None:
            raise bad_symbol()
        return market

    def account_of(self, api_key: str) -> Account | None:
        """Whose key it is."""
        return None if self.faults.is_on("key_revoked") else self._by_api_key.get(api_key)

    def switch_faults(self, scenario: str) -> None:
        """Replace the faults; silence ends with the fault that brought it. Raises UnknownFault."""
        self.faults.switch(scenario)
        if not self.faults.is_on("partial_fill_then_silence"):
            self._muted.clear()

    def tell(self, account: Account, event: dict[str, Any]) -> None:
        """An event of the account's user stream; it waits for `publish`."""
        self.changes += 1
        if account.id not in self._muted:
            self._news.append((account, event))

    def take_news(self) -> list[Told]:
        """What was told since the last time, for `publish`."""
        news, self._news = self._news, []
        return news

    def publish(self, news: Iterable[Told]) -> None:
        """To the accounts' user streams."""
        for account, event in news:
            self.hub.publish(News(user_topic(account), None, event, event["E"]))

    def deposit(self, account: Account, asset: str, amount: Decimal) -> None:
        """Money from outside."""
        account.balance(asset).free += amount
        account.updated_ms = now_ms = self.now_ms()
        self.tell(account, events.balance_update(asset, delta=amount, now_ms=now_ms))
        self.tell(account, events.account_position(account, [asset], now_ms=now_ms))

    def add_account(self, account: Account) -> None:
        """Its keys are known from now on."""
        self.accounts[account.id] = account
        self.order_counts[account.id] = OrderCount(self.limits)
        self._by_api_key[account.api_key] = self._by_api_key[account.ed25519_api_key] = account

    def take_up(self, accounts: Iterable[Account]) -> None:
        """Go on with the accounts of a predecessor instead of one's own."""
        self.accounts.clear()
        self._by_api_key.clear()
        for account in accounts:
            self.add_account(account)

    def _open_markets(self, names: Sequence[str] | None, last_prices: Mapping[str, Decimal]) -> None:
        now_ms, listed = self._clock_ms(), symbols(names)
        prices = {name: last_prices.get(name, symbol.rules.reference_price) for name, symbol in listed.items()}
        self.markets = {
            name: Market(symbol, last_price=prices[name], now_ms=now_ms, seed=self.seed)
            for name, symbol in listed.items()
        }
        starts = {name: Start(price, sequence=now_ms, trade_id=now_ms) for name, price in prices.items()}
        self.feed = SyntheticFeed([symbol.rules for symbol in listed.values()], starts, seed=self.seed)

    def _uncount(self, account: Account) -> None:
        self.order_counts[account.id].add(-1, now_ms=self.now_ms())

    def _clock_ms(self) -> int:
        return to_ms(self._clock())

    def _seeded(self, number: int) -> Account:
        def hexadecimal(name: str) -> str:
            return secret(self.seed, f"{number}:{name}:1") + secret(self.seed, f"{number}:{name}:2")

        return Account(
            id=FIRST_ACCOUNT_ID + number,
            api_key=hexadecimal("api-key"),
            api_secret=hexadecimal("api-secret"),
            ed25519_api_key=hexadecimal("ed25519-api-key"),
            ed25519_private_key=signatures.ed25519_pem(f"{self.seed}:{number}"),
            balances={asset: Balance(free=amount) for asset, amount in START_BALANCES.items()},
            updated_ms=self._clock_ms(),
        )


def user_topic(account: Account) -> Topic:
    """What its user stream listens to."""
    return (USER_EVENT, str(account.id))
