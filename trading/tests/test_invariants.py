"""Scripts of orders and price moves: whatever happens, every digit is where it must be (DESIGN §5.1, 4, 5)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrade.core.errors import AstradeError
from marketdata import live
from marketdata.selectors import market_by_symbol, markets_by_id
from trading.domain.lifecycle import LIVE, Side, TimeInForce
from trading.domain.margin import Board, MarginSummary, summarise
from trading.loading import OrderRef, read_account
from trading.models import CashBalance, Event, Fill, Order, Posting, TradingAccount
from trading.services.accounts import set_leverage
from trading.services.orders import cancel_order, cancel_orders, fill_resting_order
from trading.services.positions import close_position
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref
from trading.verification import CHECKS, run_check

DEPOSIT = D(5_000)
Step = tuple[Any, ...]
sides = st.sampled_from(Side)
quantities = st.sampled_from(["0.001", "0.003", "0.7", "1", "2.345", "7", "40"])
offsets = st.integers(-6, 6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("market"), sides, quantities, st.booleans()),
        st.tuples(st.just("limit"), sides, quantities, offsets, st.sampled_from(["GTC", "IOC", "FOK"]), st.booleans()),
        st.tuples(st.just("move"), st.integers(60, 140), st.integers(1, 4)),
        st.tuples(st.just("match"), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(1, 10)),
        st.tuples(st.just("cancel all")),
        st.tuples(st.just("close"), st.none() | quantities),
        st.tuples(st.just("leverage"), st.integers(1, 10)),
    ),
    min_size=1,
    max_size=25,
)


class Script:
    """One account, one market, and a price that moves."""

    def __init__(self, feed: Feed, simulator: str) -> None:
        self.account: TradingAccount = open_account(balance=str(DEPOSIT), simulator=simulator)
        self.feed, self.sequence, self.middle = feed, 1_000, 100
        self.move(100, 1)

    def move(self, middle: int, half: int) -> None:
        """A new book around a price: three levels a side."""
        self.sequence, self.middle = self.sequence + 1, middle
        bids = tuple((str(middle - half - n), size) for n, size in enumerate(("0.5", "2.001", "60")))
        asks = tuple((str(middle + half + n), size) for n, size in enumerate(("0.7", "1.999", "60")))
        self.feed(bids=bids, asks=asks, sequence=self.sequence)

    def run(self, step: Step) -> None:
        """One step; a refusal is an answer too."""
        name, *arguments = step
        actions: dict[str, Callable[..., Any]] = {
            "market": self.market,
            "limit": self.limit,
            "move": self.move,
            "match": self.match,
            "cancel": lambda number: cancel_order(account=ref(self.account), order=OrderRef(number=number)),
            "cancel all": lambda: cancel_orders(account=ref(self.account)),
            "close": self.close,
            "leverage": lambda leverage: set_leverage(
                account=ref(self.account), market=market_by_symbol("BTC-USD"), leverage=leverage
            ),
        }
        try:
            actions[name](*arguments)
        except AstradeError as refusal:
            assert refusal.code < 9000, refusal

    def market(self, side: Side, quantity: str, reduce_only: bool) -> None:
        """A market order."""
        self.admitted(lambda: place(self.account, quantity, side=side, reduce_only=reduce_only))

    def limit(self, side: Side, quantity: str, offset: int, time_in_force: str, reduce_only: bool) -> None:
        """A limit order somewhere around the price."""
        price = str(self.middle + offset)
        named: dict[str, Any] = {
            "side": side,
            "price": price,
            "time_in_force": TimeInForce(time_in_force),
            "reduce_only": reduce_only,
        }
        self.admitted(lambda: place(self.account, quantity, **named))

    def admitted(self, order: Callable[[], Any]) -> None:
        """What binds more margin is covered when it is admitted."""
        before = self.worth()
        order()
        after = self.worth()
        assert after.available >= 0 or after.initial <= before.initial

    def match(self, through: bool) -> None:
        """The matcher's turn at every order that rests."""
        view, quotes = live.view_of("BTC-USD")
        for order in Order.objects.filter(account=self.account, status__in=sorted(LIVE)).order_by("id"):
            fill_resting_order(
                account_id=self.account.pk, order_id=order.pk, book=view.book, quotes=quotes, traded_through=through
            )

    def close(self, quantity: str | None) -> None:
        """A position, or a part of it."""
        close_position(account=ref(self.account), symbol="BTC-USD", quantity=D(quantity) if quantity else None)

    def worth(self) -> MarginSummary:
        """As the API shows it."""
        return summarise(read_account(ref(self.account)), Board(markets=markets_by_id(), quotes=live.quotes()))

    def check(self) -> None:
        """Equity, cash and sequence, told again from the fills alone."""
        fills = list(Fill.objects.filter(account=self.account))
        held = sum((Side(fill.side).sign * fill.quantity for fill in fills), D(0))
        spent = sum((Side(fill.side).sign * fill.quantity * fill.price for fill in fills), D(0))
        fees = sum((fill.fee for fill in fills), D(0))
        worth, mark = self.worth(), live.quotes()["BTC-USD"].mark
        assert worth.equity == DEPOSIT - spent - fees + held * mark
        realized = sum((fill.realized_pnl for fill in fills), D(0))
        assert worth.equity == DEPOSIT + realized + worth.unrealized_pnl - fees
        cash = CashBalance.objects.get(account=self.account).balance
        postings = Posting.objects.filter(entry__account=self.account, ledger_account="cash")
        assert cash == worth.balance == sum((line.amount for line in postings), D(0)) == DEPOSIT + realized - fees
        self.account.refresh_from_db()
        traded = sum((fill.quantity * fill.price for fill in fills), D(0))
        assert (self.account.net_deposits, self.account.traded_notional) == (DEPOSIT, traded)
        sequences = Event.objects.filter(account=self.account).order_by("sequence").values_list("sequence", flat=True)
        assert list(sequences) == list(range(1, self.account.sequence + 1))


@given(script=steps, simulator=st.sampled_from(["realistic", "classic"]))
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_digit_is_accounted_for_after_every_step(feed: Feed, script: list[Step], simulator: str) -> None:
    told = Script(feed, simulator)
    for step in script:
        told.run(step)
        told.check()
    told.run(("cancel all",))
    told.move(100, 1)
    while told.worth().maintenance and Decimal(told.worth().equity) > 0:
        before = told.worth().maintenance
        told.run(("close", None))
        told.move(100, 1)  # a new book, so that there is somebody to close with
        told.check()
        assert told.worth().maintenance < before
    assert [finding for name in CHECKS for finding in run_check(name)] == []
