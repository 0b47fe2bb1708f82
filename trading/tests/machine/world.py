"""What an example happens in: two users with accounts, two markets, a clock, and what is known of calls made so far."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

import orjson
from django.db.models import QuerySet

from accounts.models import User
from accounts.tests.client import Api
from accounts.tests.factories import signed_in
from astrade.core.redis import sync_client
from marketdata.models import Candle, FundingRate, Market
from trading.announcing import account_channel
from trading.domain.lifecycle import LIVE
from trading.domain.margin import MarginSummary, summarise
from trading.loading import AccountRef, read_accounts
from trading.models import DeadManSwitch, Order, TradingAccount
from trading.resting import waiting_orders
from trading.services.accounts import open_practice_account
from trading.services.bookings import present_board
from trading.services.funding import settle_funding
from trading.services.orders import cancel_orders
from trading.tests.factories import D
from trading.tests.machine.actors import Cast
from trading.tests.machine.market import Street
from trading.tests.machine.stage import Stage

HOUR = timedelta(hours=1)
FIRST_DAY = datetime(2027, 1, 1, tzinfo=UTC)
BEGIN = timedelta(minutes=30)
A_MOMENT = timedelta(milliseconds=1)
SOON_S = 5.0
LISTEN_S = 0.02


@dataclass
class Backdrop:
    """What all examples of a run share: database, markets, staff, and the day on which the next one begins."""

    stage: Stage
    cast: Cast
    markets: dict[str, Market]
    staff: tuple[User, User]
    pubsub: Any
    day: datetime = FIRST_DAY
    totals: Counter[str] = field(default_factory=Counter)


class World:
    """One example's; it begins half an hour after midnight on a day of its own."""

    def __init__(self, backdrop: Backdrop) -> None:
        self.backdrop, self.stage, self.cast = backdrop, backdrop.stage, backdrop.cast
        self.began_at = self.now = backdrop.day + BEGIN
        self.stage.set_clock(self.now)
        self.streets = {symbol: Street(symbol) for symbol in backdrop.markets}
        self.heard: dict[int, Counter[int]] = {}
        self.keys: set[str] = set()  # idempotency keys that were answered
        self.client_order_ids: list[tuple[int, str]] = []
        self.accounts: list[TradingAccount] = []
        for street in self.streets.values():
            street.move(100, at=self.now)
        self.users = [User.objects.create(email=f"{uuid4().hex}@example.com") for _ in range(2)]
        self.apis = {user.pk: Api().bearer(signed_in(user).access_token) for user in self.users}
        one, two = self.users
        for user, balance, simulator in ((one, 5_000, "realistic"), (one, 800, "classic"), (two, 3_000, "realistic")):
            open_practice_account(user_id=user.pk, initial_balance=D(balance), simulator=simulator)
        self.stage.begin_at(self.began_at)
        self.look_around()

    def look_around(self) -> None:
        """Learn which accounts the users have by now."""
        self.accounts = list(TradingAccount.objects.filter(user__in=self.users).order_by("id"))
        self.stage.look_at([account.pk for account in self.accounts])

    def account(self, number: int) -> TradingAccount:
        """One of the accounts that are not closed, or the first one."""
        usable = [account for account in self.accounts if account.state != TradingAccount.State.CLOSED]
        return (usable or self.accounts)[number % len(usable or self.accounts)]

    def order(self, number: int, *, live: bool = True, **wanted: Any) -> Order | None:
        """One of the orders, of those that live unless said."""
        orders: QuerySet[Order] = Order.objects.filter(account__in=self.accounts, **wanted).order_by("id")
        found = list(orders.filter(status__in=LIVE) if live else orders)
        return found[number % len(found)] if found else None

    def wait(self, span: timedelta, *, rate: str = "0") -> None:
        """Let time pass; hours that end meanwhile have a funding rate, and a mark candle on the minute."""
        ended = _hours(self.now, self.now + span)
        for symbol, market in self.backdrop.markets.items():
            mark = D(self.streets[symbol].middle)
            prices = dict.fromkeys(("open", "high", "low", "close"), mark)
            by_hour: dict[str, Any] = {"market": market, "source": "live"}
            FundingRate.objects.bulk_create(FundingRate(at=at, rate=D(rate), **by_hour) for at in ended)
            minute = by_hour | prices | {"kind": "mark", "timeframe": "1m", "volume": D(0)}
            Candle.objects.bulk_create(Candle(open_time=at, **minute) for at in ended)
        self.now += span
        self.stage.set_clock(self.now)

    def follow(self) -> None:
        """The matcher hears of orders that came, changed or ended."""
        rows = waiting_orders()
        for street in self.streets.values():
            street.watch(rows)

    def worth(self) -> dict[int, MarginSummary]:
        """Every account's figures as the platform reckons them."""
        board = present_board()
        states = read_accounts([account.pk for account in self.accounts])
        return {state.id: summarise(state, board) for state in states}

    def amiss(self) -> dict[int, Counter[int]]:
        """Sequences by account that were not announced exactly once, or are none; an announcement may take a moment."""
        give_up_at = monotonic() + SOON_S
        wait_s = 0.0
        while True:
            self._listen(wait_s)
            wait_s = LISTEN_S
            amiss = {}
            for account in self.accounts:
                found = self.heard.get(account.pk, Counter())
                expected = Counter(range(1, account.sequence + 1))
                if found != expected:
                    amiss[account.pk] = (expected - found) + (found - expected)
            if not amiss or monotonic() > give_up_at:
                return amiss

    def _listen(self, wait_s: float) -> None:
        while (message := self.backdrop.pubsub.get_message(timeout=wait_s)) is not None:
            if message["type"] == "pmessage":
                account_id = int(message["channel"].decode().rpartition(":")[2])
                self.heard.setdefault(account_id, Counter())[orjson.loads(message["data"])["sequence"]] += 1

    def end(self) -> None:
        """Leave nothing that a later example would meet."""
        for account in self.accounts:
            cancel_orders(account=AccountRef(account_id=account.pk))
        DeadManSwitch.objects.filter(account__in=self.accounts).update(fires_at=None)
        TradingAccount.objects.filter(pk__in=[account.pk for account in self.accounts]).update(
            state=TradingAccount.State.CLOSED
        )
        settle_funding(now=self.now + HOUR)
        self.backdrop.day = (self.now + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


def new_key() -> str:
    """A name that nobody has used."""
    return uuid4().hex


def listening() -> Any:
    """A subscription to the frames of all accounts."""
    pubsub = sync_client().pubsub()
    pubsub.psubscribe(account_channel(0).removesuffix("0") + "*")
    return pubsub


def _hours(begin: datetime, end: datetime) -> list[datetime]:
    """Full hours after `begin` and up to `end`."""
    hour = begin.replace(minute=0, second=0, microsecond=0) + HOUR
    found = []
    while hour <= end:
        found.append(hour)
        hour += HOUR
    return found
