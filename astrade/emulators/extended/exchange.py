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
from astrade.core.money import ZERO
from astrade.emulators.extended import answers, identifiers, tape
from astrade.emulators.extended.accounts import Account, Operation, Position, Trade, margin_of
from astrade.emulators.extended.checks import Situation
from astrade.emulators.extended.faults import CATALOGUE
from astrade.emulators.extended.identifiers import Snowflake
from astrade.emulators.extended.interest import OpenInterest
from astrade.emulators.extended.markets import instruments
from astrade.emulators.extended.matching import Engine
from astrade.emulators.extended.modes import Mode
from astrade.emulators.extended.orders import Order
from astrade.emulators.extended.prices import Market, Prices
from astrade.emulators.extended.refusals import Code, not_found
from astrade.emulators.faults import Faults
from astrade.emulators.hub import Hub, News
from astrade.emulators.secrets import secret
from astrade.venues.extended.signing import public_key_of
from marketdata.feeds.base import SteppedFeed

START_BALANCE = Decimal(100_000)
FIRST_ACCOUNT_ID, FIRST_CLIENT_ID, FIRST_VAULT = 100_001, 5_001, 10_001
SEEDED = ((0, 0, "main"), (0, 1, "second"), (1, 0, "main"))  # client, index and description of each seeded account
SKEW_MS = 90_000
COMPLETES_AFTER_MS = 1_000
WALLET_BITS = 128


class Exchange:
    """State and time of one emulated exchange."""

    def __init__(
        self,
        *,
        seed: int,
        clock: Clock = system_clock,
        symbols: Sequence[str] | None = None,
        faults: str = "",
        accounts: int = len(SEEDED),
        last_prices: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> None:
        self.seed, self._clock = seed, clock
        self.faults = Faults(faults, seed=seed, catalogue=CATALOGUE)
        self.hub = Hub()
        self.instruments = instruments(symbols)
        self.prices = Prices(self.instruments, now_ms=self._clock_ms(), seed=seed, last_prices=last_prices)
        self.ids = Snowflake(seed=seed)
        self.interest = OpenInterest()
        self.accounts: dict[int, Account] = {}
        self.wallets: dict[str, list[Account]] = {}  # sub-accounts by Ethereum address, the main one first
        self._by_api_key: dict[str, Account] = {}
        self._muted: set[int] = set()
        self.settled: set[int] = set()  # hashes of transfers and withdrawals that were carried out
        self._pending: list[tuple[Account, Operation]] = []
        self.changes = 0  # how often an account may have changed
        self._tape = tape.Publisher(self.hub, self.prices.markets)
        self.engine = Engine(
            self.prices.markets,
            self.accounts,
            ids=self.ids,
            now_ms=self.now_ms,
            tell=self.tell,
            faults=self.faults,
            mute=lambda account: self._muted.add(account.id),
        )
        for number, (client, index, description) in enumerate(SEEDED):
            self._seed_account(number, client_id=FIRST_CLIENT_ID + client, index=index, description=description)
        for number in range(len(SEEDED), accounts):
            self._seed_account(number, client_id=FIRST_CLIENT_ID + number, index=0, description="main")
        self.step()

    @property
    def feed(self) -> SteppedFeed:
        """The one of its own making."""
        return self.prices.feed

    def now_ms(self) -> int:
        """The exchange's time, which a fault may have moved."""
        return self._clock_ms() + (SKEW_MS if self.faults.is_on("clock_skew") else 0)

    def new_id(self) -> int:
        """A new 63-bit id."""
        return self.ids.next(self._clock_ms())

    def step(self) -> None:
        """Bring prices up to the clock, and everything that waits for them."""
        self.take(self.feed.step(to_us(self._clock())))

    def take(self, messages: Sequence[Message]) -> None:
        """One batch of the feed: prices, funding, triggers, fills, expiries, then the news of it."""
        applied = self.prices.take(messages, now_ms=self._clock_ms())
        for name, market in self.prices.markets.items():
            if name in applied:
                self.engine.pay_funding(market, applied[name])
            if messages:
                self.engine.step(market)
                held, mark = self.open_interest(name), market.view.quote.mark
                self.interest.note(name, quantity=held, mark=mark, now_ms=self._clock_ms())
        self.engine.fire_switches()
        self._complete_operations()
        if messages:
            self._tape.publish(applied, now_ms=self.now_ms())

    def market(self, name: str) -> Market:
        """Raises Refused 1001 for an unknown one."""
        market = self.prices.markets.get(name)
        if market is None:
            raise not_found(Code.MARKET_NOT_FOUND, name)
        return market

    def account_of(self, api_key: str | None) -> Account | None:
        """Whose key it is."""
        return None if self.faults.is_on("key_revoked") else self._by_api_key.get(api_key or "")

    def situation(self, account: Account, market: Market) -> Situation:
        """What an order of the account would meet now."""
        return Situation(
            account=account,
            instrument=market.instrument,
            instruments=self.instruments,
            quotes={name: other.view.quote for name, other in self.prices.markets.items()},
            now_ms=self.now_ms(),
            modes=frozenset(mode for mode in Mode if self.faults.is_on(mode.value)),
        )

    def open_interest(self, name: str) -> Decimal:
        """Quantity that the emulated accounts hold in a market against the synthetic crowd."""
        return sum((abs(account.held(name)) for account in self.accounts.values()), ZERO)

    def switch_faults(self, scenario: str) -> None:
        """Replace the faults; silence ends with the fault that brought it. Raises UnknownFault."""
        self.faults.switch(scenario)
        if not self.faults.is_on("partial_fill_then_silence"):
            self._muted.clear()

    def tell(
        self,
        account: Account,
        *,
        orders: list[Order] | None = None,
        trades: list[Trade] | None = None,
        positions: list[Position] | None = None,
    ) -> None:
        """To the account's streams; its balance goes along with positions and operations."""
        if orders:
            self._tell(account, "ORDER", {"orders": [answers.order_body(order, streaming=True) for order in orders]})
        if trades:
            self._tell(account, "TRADE", {"trades": [answers.trade_body(trade, streaming=True) for trade in trades]})
        if positions:
            self._tell(account, "POSITION", {"positions": [self.position_body(account, p) for p in positions]})
            self._tell(account, "BALANCE", {"balance": self.balance_body(account)})

    def tell_balance(self, account: Account) -> None:
        """After a change that was no trade."""
        account.updated_ms = self.now_ms()
        self._tell(account, "BALANCE", {"balance": self.balance_body(account)})

    def first_news(self, account: Account) -> list[News]:
        """What a new listener gets: balance, positions and open orders, even where there are none."""
        positions = [self.position_body(account, position) for position in account.positions.values()]
        orders = [answers.order_body(order, streaming=True) for order in account.open_orders()]
        parts: list[tuple[str, dict[str, Any]]] = [
            ("BALANCE", {"balance": self.balance_body(account)}),
            ("POSITION", {"positions": positions}),
            ("ORDER", {"orders": orders}),
        ]
        topic = ("account", str(account.id))
        return [News(topic, kind, data, self.now_ms(), is_first=True) for kind, data in parts]

    def balance_body(self, account: Account) -> answers.Json:
        """Balance at present marks."""
        quotes = {name: market.view.quote for name, market in self.prices.markets.items()}
        exposure = sum((p.size * quotes[p.market].mark for p in account.positions.values()), ZERO)
        return answers.balance_body(account, margin_of(account, self.instruments, quotes), exposure)

    def position_body(self, account: Account, position: Position) -> answers.Json:
        """A position at the present mark."""
        market = self.prices.markets[position.market]
        return answers.position_body(position, account, market.instrument, market.view.quote)

    def begin(self, account: Account, operation: Operation) -> None:
        """An operation that completes `COMPLETES_AFTER_MS` after its making; a claim is credited then."""
        self._pending.append((account, operation))
        self._tell_operation(account, operation)

    def add_account(self, account: Account) -> None:
        """A new sub-account; one without an API key is selected by none."""
        self.accounts[account.id] = account
        if account.api_key:
            self._by_api_key[account.api_key] = account

    def open_account(self, wallet: str, *, public_key: int, index: int, description: str) -> Account:
        """A sub-account of a wallet, without money and without an API key; index 0 makes a client of the wallet."""
        number, own = len(self.accounts), self.wallets.setdefault(wallet, [])
        account = Account(
            id=FIRST_ACCOUNT_ID + number,
            client_id=own[0].client_id if own else FIRST_CLIENT_ID + number,
            index=index,
            description=description,
            api_key="",
            public_key=public_key,
            private_key=None,
            vault=FIRST_VAULT + number,
            wallet=int(wallet, 16),
            balance=ZERO,
            updated_ms=self._clock_ms(),
        )
        own.append(account)
        self.add_account(account)
        return account

    def new_api_key(self, account: Account) -> str:
        """Another key that selects the account."""
        account.api_key = secret(self.seed, f"{account.id}:api-key:{self.new_id()}")
        self._by_api_key[account.api_key] = account
        return account.api_key

    def take_up(
        self, accounts: Iterable[Account], *, settled: Iterable[int], wallets: Mapping[str, Sequence[int]]
    ) -> None:
        """Go on with the accounts of a predecessor instead of one's own; what it had accepted is decided now. `wallets`
        has the ids of those that were opened by a wallet.
        """
        self.accounts.clear()
        self._by_api_key.clear()
        self.settled, self._pending = set(settled), []
        for account in accounts:
            self.add_account(account)
            self._pending += [(account, one) for one in account.operations if one.status == "CREATED"]
            for order in list(account.live.values()):
                self.engine.enter(account, order)
        self.wallets = {wallet: [self.accounts[number] for number in own] for wallet, own in wallets.items()}

    def _complete_operations(self) -> None:
        due = [entry for entry in self._pending if entry[1].at_ms + COMPLETES_AFTER_MS <= self.now_ms()]
        for account, operation in due:
            self._pending.remove((account, operation))
            operation.status = "COMPLETED"
            if operation.type == "CLAIM":
                account.balance += operation.amount
            self._tell_operation(account, operation)

    def _tell_operation(self, account: Account, operation: Operation) -> None:
        if operation.type == "SLOW_WITHDRAWAL":
            self._tell(account, "WITHDRAWAL", {"withdrawal": answers.withdrawal_body(operation)})
        self.tell_balance(account)

    def _tell(self, account: Account, kind: str, data: dict[str, Any]) -> None:
        self.changes += 1
        if account.id not in self._muted:
            self.hub.publish(News(("account", str(account.id)), kind, data, self.now_ms()))

    def _clock_ms(self) -> int:
        return to_ms(self._clock())

    def _seed_account(self, number: int, *, client_id: int, index: int, description: str) -> None:
        name = f"account:{number}"
        private_key = identifiers.private_key(self.seed, name)
        account = Account(
            id=FIRST_ACCOUNT_ID + number,
            client_id=client_id,
            index=index,
            description=description,
            api_key=secret(self.seed, f"{name}:api-key"),
            public_key=public_key_of(private_key),
            private_key=private_key,
            vault=FIRST_VAULT + number,
            wallet=int(secret(self.seed, f"wallet:{client_id}"), 16) % 2**WALLET_BITS,
            balance=START_BALANCE,
            updated_ms=self._clock_ms(),
        )
        deposit = Operation(
            id=self.new_id(), type="DEPOSIT", status="COMPLETED", amount=START_BALANCE, at_ms=self._clock_ms()
        )
        account.operations.append(deposit)
        self.add_account(account)
