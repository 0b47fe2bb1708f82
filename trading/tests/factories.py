"""The smallest valid things of trading: plain values for the domain, and accounts opened as a user's would be."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from factory.base import Factory
from factory.declarations import LazyFunction, Sequence

from accounts.models import User
from accounts.tests.factories import UserFactory
from astrade.core.messages import BookSnapshot, MarketView, Quote
from marketdata.tests.factories import levels
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderSource, OrderStatus, OrderType, Side, TimeInForce
from trading.domain.margin import Board
from trading.domain.matching import Resting
from trading.domain.shapes import Terms
from trading.domain.state import AccountState, CashState, OrderRequest, OrderState, PositionState
from trading.loading import AccountRef
from trading.models import TradingAccount
from trading.models.account import GENESIS_HASH
from trading.services.accounts import open_practice_account
from trading.services.orders import Placed, place_order

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARKET_ID = 7
Pair = tuple[str, str]
D = Decimal


def terms(**changes: Any) -> Terms:
    """A perpetual with tick 1, step 0.001, taker fee 0.1 %, maker fee 0.05 %, maintenance 1 %, band 10 %."""
    values: dict[str, Any] = {
        "id": MARKET_ID,
        "rules_id": 3,
        "symbol": "BTC-USD",
        "type": "perpetual",
        "status": "active",
        "tick_size": D(1),
        "step_size": D("0.001"),
        "min_quantity": D("0.001"),
        "max_quantity": D(1000),
        "max_leverage": 50,
        "maker_fee_rate": D("0.0005"),
        "taker_fee_rate": D("0.001"),
        "maintenance_margin_rate": D("0.01"),
        "spread": D("0.02"),
        "slippage_factor": D(1),
        "price_band": D("0.1"),
        "max_position_notional": None,
        "venue": "extended",
    }
    made: Terms = SimpleNamespace(**{**values, **changes})
    return made


def book(*, bids: tuple[Pair, ...] = (), asks: tuple[Pair, ...] = (), sequence: int = 1) -> BookSnapshot:
    """A book of texts."""
    return BookSnapshot("BTC-USD", sequence, levels(*bids), levels(*asks), AT)


def view(*, bids: tuple[Pair, ...], asks: tuple[Pair, ...], mark: str | None = None, sequence: int = 1) -> MarketView:
    """A market with this book; its mark is the middle unless said."""
    best = {"bid": D(bids[0][0]), "ask": D(asks[0][0])}
    middle = (best["bid"] + best["ask"]) / 2
    at_mark = middle if mark is None else D(mark)
    quote = Quote("BTC-USD", last=middle, mark=at_mark, index=at_mark, at=AT, **best)
    return MarketView(quote, book(bids=bids, asks=asks, sequence=sequence), D(0))


def board(mark: str, *markets: Terms) -> Board:
    """Every market at one mark."""
    listed = markets or (terms(),)
    price = D(mark)
    quotes = {
        market.symbol: Quote(market.symbol, last=price, mark=price, index=price, bid=price, ask=price, at=AT)
        for market in listed
    }
    return Board(markets={market.id: market for market in listed}, quotes=quotes)


class PositionStateFactory(Factory[PositionState]):
    """Flat."""

    class Meta:
        model = PositionState

    id = Sequence(lambda number: number + 1)
    uuid = LazyFunction(uuid4)
    market_id = MARKET_ID


class AccountStateFactory(Factory[AccountState]):
    """An active practice account with 10,000 and leverage 1."""

    class Meta:
        model = AccountState

    id = 1
    uuid = UUID(int=1)
    user_id = 1
    user_state = "active"
    venue = "practice"
    state = "active"
    simulator = "realistic"
    max_leverage = 10
    max_daily_loss = max_daily_loss_next = max_daily_loss_next_at = None
    max_daily_notional = max_daily_notional_next = max_daily_notional_next_at = None
    net_deposits = traded_notional = D(0)
    sequence = order_count = fill_count = entry_count = 0
    head_hash = GENESIS_HASH
    row_id = 1000
    cash = LazyFunction(lambda: CashState(id=1, asset="USD", balance=D(10_000)))


class OrderStateFactory(Factory[OrderState]):
    """A resting limit order to buy 1 at 100."""

    class Meta:
        model = OrderState

    id = Sequence(lambda number: number + 1)
    uuid = LazyFunction(uuid4)
    market_id = MARKET_ID
    rules_id = 3
    number = 1
    client_order_id = "order"
    fingerprint = ""
    side = Side.BUY
    type = OrderType.LIMIT
    time_in_force = TimeInForce.GTC
    quantity = D(1)
    price = D(100)
    post_only = reduce_only = False
    leverage = 1
    tag = reason = ""
    source = OrderSource.APP
    status = OrderStatus.OPEN
    filled_quantity = filled_notional = fee = D(0)
    fill_count = 0
    admitted_sequence = 1
    admitted_at = AT
    expires_at = None
    version = 1
    created_at = updated_at = AT


class RestingFactory(Factory[Resting]):
    """A limit order that the matcher watches: buys at 100."""

    class Meta:
        model = Resting

    order_id = Sequence(lambda number: number + 1)
    uuid = LazyFunction(uuid4)
    account_id = 1
    side = Side.BUY
    price = D(100)
    admitted_sequence = 0
    admitted_at = AT


def batch_of(account: AccountState) -> Batch:
    """A batch whose identifiers count up, so that two of them are equal."""
    numbers = iter(range(1, 10_000))
    return Batch(account, now=AT, new_uuid=lambda: UUID(int=next(numbers)), row_ids=1000)


def request(quantity: str = "1", **changes: Any) -> OrderRequest:
    """To buy at market; a `price` given as text makes it a limit order. Numbers may be texts."""
    values: dict[str, Any] = {"side": Side.BUY, "type": OrderType.LIMIT if "price" in changes else OrderType.MARKET}
    values |= {name: D(value) if name == "price" and value is not None else value for name, value in changes.items()}
    return OrderRequest(quantity=D(quantity), **values)


def open_account(*, user: User | None = None, balance: str = "10000", **fields: Any) -> TradingAccount:
    """A practice account with money, opened through the service."""
    owner = user or UserFactory.create()
    return open_practice_account(user_id=owner.pk, initial_balance=D(balance), **fields)


def ref(account: TradingAccount) -> AccountRef:
    """The account by row id."""
    return AccountRef(account_id=account.pk)


def place(account: TradingAccount, quantity: str = "1", *, symbol: str = "BTC-USD", **changes: Any) -> Placed:
    """Place an order as `request` makes it."""
    return place_order(account=ref(account), symbol=symbol, request=request(quantity, **changes))


def money(values: Mapping[str, Any], *names: str) -> dict[str, Decimal]:
    """Amounts of a body as decimals."""
    return {name: D(values[name]) for name in names}
