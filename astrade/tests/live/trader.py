"""Someone who trades an account at an emulated Extended through our API."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import F

from accounts.services.terms import accept
from accounts.tests.client import Answer
from astrade.core.clock import system_clock
from astrade.core.money import ZERO
from astrade.core.redis import sync_client
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.orders import Order as OrderThere
from astrade.emulators.tests.harness import BTC, Harness
from astrade.tests.venue import Person
from astrade.venues.extended.wire import OrderStatus as Status
from marketdata.tests.factories import publish
from trading.domain.lifecycle import OrderStatus, OrderType
from trading.models import CashBalance, Fill, Order, Position, TradingAccount, VenueOrder
from trading.selectors import unanswered_orders
from trading.services.reconciling import resolve_order, sync_account
from trading.services.venue_reports import LOOKUPS_MIN
from trading.venues.extended_reports import STATUSES

LIMIT = {"symbol": BTC, "side": "buy", "type": "limit", "quantity": "0.01", "time_in_force": "GTC"}
MARKET = {"symbol": BTC, "side": "buy", "type": "market", "quantity": "0.01"}


def forget_budget() -> None:
    """As if no call had been made for a minute."""
    for key in sync_client().scan_iter("venue:*"):
        sync_client().delete(key)


class Trader(Person):
    """Trades on the exchange's first account."""

    def __init__(self, venue: Harness) -> None:
        super().__init__()
        self.venue = venue
        documents = [{"document": name, "version": version} for name, version in settings.TERMS_VERSIONS.items()]
        accept(self.user, documents, ip=None, now=system_clock())

    @property
    def there(self) -> Account:
        """The account at the exchange."""
        return self.venue.account

    @property
    def account(self) -> TradingAccount:
        """The account here."""
        return TradingAccount.objects.get(user=self.user, venue="extended")

    def prices(self) -> None:
        """Show the exchange's present book as ours."""
        book = self.venue.book
        sides = [tuple((str(price), str(quantity)) for price, quantity in side) for side in (book.bids, book.asks)]
        publish(BTC, bids=sides[0], asks=sides[1], mark=str(self.venue.quote.mark), sequence=book.sequence)

    def connect(self, *_: Any, **changes: Any) -> Answer:
        """Connect the exchange's first account, whose books then begin."""
        answer = super().connect(self.there, **changes)
        assert answer.status in (200, 201), answer.content
        return answer

    def place(self, **changes: Any) -> Answer:
        """Place an order on the live account: to buy 0.01 at 2 % below the mark unless changed."""
        body = LIMIT | {"price": self.price("0.98")} | changes
        return self.call("POST", "/orders", {name: value for name, value in body.items() if value is not None})

    def take(self, **changes: Any) -> Answer:
        """Buy 0.01 at market unless changed."""
        return self.call("POST", "/orders", MARKET | changes)

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """A call that acts on the live account."""
        return self.api.call(method, path, body, X_Account_Id=str(self.account.uuid))

    def price(self, factor: str) -> str:
        """A price on the tick, so far from the mark."""
        return str(round(self.venue.quote.mark * Decimal(factor)))

    def sync(self) -> None:
        """As the schedule does."""
        sync_account(self.account.pk)

    def elsewhere(self, act: str, **changes: Any) -> Any:
        """What the user does at the exchange itself, or with another program: `place` or `take`."""
        return self.venue.wait(getattr(self.venue, "placed" if act == "place" else act)(**changes))

    def until(self, done: Callable[[], bool]) -> None:
        """Let the exchange's prices move until something is so."""

        async def move() -> None:
            self.venue.advance_until(done)

        self.venue.wait(move())

    def order_there(self, order: Order) -> OrderThere | None:
        """The exchange's order of ours."""
        named = str(order.uuid)
        return next((one for one in self.there.orders.values() if one.external_id == named), None)

    def settle(self) -> None:
        """A quiet period: long enough for every look-up that the not-found rule asks for, and two turns of the sync."""
        forget_budget()
        long_ago = timedelta(minutes=2)
        for _ in range(LOOKUPS_MIN):
            waiting = VenueOrder.objects.filter(account=self.account)
            waiting.update(deadline_at=F("deadline_at") - long_ago, first_lookup_at=F("first_lookup_at") - long_ago)
            for account_id, order_id in unanswered_orders():
                resolve_order(account_id, order_id)
        self.sync()
        self.sync()

    def differences(self) -> list[str]:
        """What the two sides know differently of orders, trades, position and cash; empty where they agree."""
        return [*self._orders_differ(), *self._trades_differ(), *self._holdings_differ()]

    def _orders_differ(self) -> Iterator[str]:
        there = {order.external_id: order for order in self.there.orders.values()}
        sent = Order.objects.filter(account=self.account).exclude(type=OrderType.TWAP)
        for order in sent.select_related("at_venue"):
            theirs = there.pop(order.at_venue.external_id, None)
            if theirs is None:
                if order.status != OrderStatus.REJECTED:
                    yield f"{order}: {order.status} here, unknown there"
            elif (status := STATUSES[Status(theirs.status)]) != order.status:
                yield f"{order}: {order.status} here, {status} there"
            elif theirs.filled != order.filled_quantity:
                yield f"{order}: filled {order.filled_quantity} here, {theirs.filled} there"
        yield from (f"{name}: unknown here" for name in there)

    def _trades_differ(self) -> Iterator[str]:
        there = Counter(str(trade.id) for trade in self.there.trades)
        here = Counter(Fill.objects.filter(account=self.account).values_list("venue_trade_id", flat=True))
        if there != here:
            yield f"trades {here - there} here only, {there - here} there only"

    def _holdings_differ(self) -> Iterator[str]:
        held = sum(Position.objects.filter(account=self.account).values_list("quantity", flat=True), ZERO)
        theirs = sum((position.state.quantity for position in self.there.positions.values()), ZERO)
        if held != theirs:
            yield f"position {held} here, {theirs} there"
        cash = CashBalance.objects.get(account=self.account).balance
        if cash != self.there.balance:
            yield f"cash {cash} here, {self.there.balance} there"
