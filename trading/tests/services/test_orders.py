"""Placing, filling and cancelling on PostgreSQL and Redis: the whole effect, and that a refusal changed nothing."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from astrade.core import errors
from astrade.core.clock import system_clock
from astrade.core.redis import sync_client
from marketdata import live
from marketdata.models import Market
from marketdata.selectors import forget_markets, markets_by_id
from trading.announcing import EVENTS_CHANNEL, account_channel
from trading.domain.lifecycle import OrderSource, Side, TimeInForce
from trading.domain.margin import Board, summarise
from trading.loading import AccountRef, OrderRef, read_account
from trading.models import (
    CashBalance,
    Event,
    Fill,
    JournalEntry,
    MarketSetting,
    Order,
    OrderRefusal,
    OrderTransition,
    Position,
    Posting,
    TradingAccount,
)
from trading.services.bookings import booking
from trading.services.orders import cancel_order, cancel_orders, fill_resting_order, place_order
from trading.tests.conftest import ASKS, BIDS, Feed, make_market
from trading.tests.factories import D, money, open_account, place, ref, request

TABLES = (CashBalance, Event, Fill, JournalEntry, MarketSetting, Order, OrderTransition, Position, Posting)


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """A practice account with 10,000 and a market around 100."""
    return open_account()


def everything(account: TradingAccount) -> Any:
    """All that a booking may write."""
    rows = {table.__name__: list(table.objects.order_by("pk").values()) for table in TABLES}
    return rows, TradingAccount.objects.filter(pk=account.pk).values().get()


def cash_of(account: TradingAccount) -> Decimal:
    """The cached balance."""
    balance: Decimal = CashBalance.objects.get(account=account).balance
    return balance


def available(account: TradingAccount) -> Decimal:
    """Free margin at the present marks."""
    return summarise(read_account(ref(account)), Board(markets=markets_by_id(), quotes=live.quotes())).available


def refused(account: TradingAccount, *args: Any, **named: Any) -> tuple[int, dict[str, Any]]:
    """Places an order that must leave nothing but its refusal; returns the code and figures that were kept."""
    before = everything(account)
    with pytest.raises(errors.AstradeError) as raised:
        place(account, *args, **named)
    assert everything(account) == before
    kept = OrderRefusal.objects.get(account=account)
    assert (kept.code, kept.figures) == (raised.value.code, raised.value.details)
    assert kept.request["quantity"] == (args[0] if args else "1")
    return kept.code, kept.figures


def test_market_order_takes_levels_and_pays_fee_to_the_last_digit(account: TradingAccount) -> None:
    placed = place(account, "2.5", tag="first", source=OrderSource.API_KEY)

    body = placed.body
    assert not placed.replayed
    assert money(body, "quantity", "filled_quantity", "average_price", "fee") == {
        "quantity": D("2.5"), "filled_quantity": D("2.5"), "average_price": D("101.6"), "fee": D("0.254"),
    }  # fmt: skip
    assert [body[name] for name in ("status", "number", "tag", "source", "time_in_force", "reason")] == [
        "filled", 1, "first", "api_key", "IOC", "",
    ]  # fmt: skip
    fills = list(Fill.objects.filter(account=account).order_by("number").values_list("price", "quantity", "fee"))
    assert fills == [(101, 1, D("0.101")), (102, D("1.5"), D("0.153"))]
    assert cash_of(account) == D("9999.746")
    position = Position.objects.get(account=account)
    assert (position.quantity, position.entry_notional, position.fees) == (D("2.5"), 254, D("0.254"))


def test_round_trip_leaves_every_cent_in_the_ledger(account: TradingAccount) -> None:
    place(account, "2")  # 101 + 102 = 203
    place(account, "2", side=Side.SELL)  # 99 + 98 = 197

    lines = [
        (entry.kind, *cash_line(entry)) for entry in JournalEntry.objects.filter(account=account).order_by("number")
    ]
    assert lines == [
        ("deposit", 10_000, 10_000),
        ("commission", D("-0.101"), D("9999.899")),
        ("commission", D("-0.102"), D("9999.797")),
        ("trade_pnl", D("-2.5"), D("9997.297")),  # 1 of 2 bought at 203 goes at 99
        ("commission", D("-0.099"), D("9997.198")),
        ("trade_pnl", D("-3.5"), D("9993.698")),
        ("commission", D("-0.098"), D("9993.6")),
    ]
    assert cash_of(account) == D("9993.6") == 10_000 - 6 - D("0.4")
    assert Position.objects.get(account=account).quantity == 0


def cash_line(entry: JournalEntry) -> tuple[Decimal, Decimal | None]:
    """Amount and running balance."""
    line = entry.postings.get(ledger_account="cash")
    return line.amount, line.running_balance


def test_limit_order_rests_and_binds_margin(account: TradingAccount) -> None:
    body = place(account, "10", price="95", leverage=5).body

    assert [body[name] for name in ("status", "price", "leverage", "average_price")] == ["open", "95", 5, None]
    assert available(account) == 10_000 - 950 / D(5)
    assert MarketSetting.objects.get(account=account).leverage == 5
    assert cash_of(account) == 10_000


@pytest.mark.parametrize(
    ("quantity", "named", "status", "filled", "reason"),
    [
        ("5", {"price": "102", "time_in_force": TimeInForce.GTC}, "partially_filled", "3", ""),
        ("5", {"price": "102", "time_in_force": TimeInForce.IOC}, "cancelled", "3", "not_fillable_at_once"),
        ("5", {"price": "102", "time_in_force": TimeInForce.FOK}, "cancelled", "0", "not_fillable_at_once"),
        ("3", {"price": "102", "time_in_force": TimeInForce.FOK}, "filled", "3", ""),
        ("1", {"price": "100", "post_only": True}, "open", "0", ""),
    ],
)
def test_times_in_force(
    account: TradingAccount, quantity: str, named: dict[str, Any], status: str, filled: str, reason: str
) -> None:
    body = place(account, quantity, **named).body

    assert (body["status"], body["filled_quantity"], body["reason"]) == (status, filled, reason)
    order = Order.objects.get(account=account)
    assert (order.status, order.filled_quantity, order.version) == (status, D(filled), 1)
    (move,) = OrderTransition.objects.filter(order=order)
    assert (move.from_status, move.to_status, move.reason) == ("new", status, reason)


def test_reduce_only_closes_and_never_opens(account: TradingAccount) -> None:
    place(account, "1")

    assert place(account, "1", side=Side.SELL, reduce_only=True).body["status"] == "filled"
    assert refused(account, "1", side=Side.SELL, reduce_only=True) == (3006, {"position": "0", "quantity": "1"})


@pytest.mark.parametrize(
    ("quantity", "named", "code"),
    [
        ("1", {"price": "101", "post_only": True}, 3007),
        ("0.0001", {}, 3000),
        ("1.0001", {}, 3001),
        ("1", {"price": "100.5"}, 3002),
        ("200", {}, 3003),
        ("1", {"leverage": 11}, 3005),
        ("1", {"side": Side.SELL, "reduce_only": True}, 3006),
        ("1", {"price": "111"}, 3008),
        ("1", {"price": "100", "time_in_force": TimeInForce.GTT}, 1001),
        ("1", {"price": "100", "time_in_force": TimeInForce.IOC, "post_only": True}, 1001),
    ],
)
def test_refusal_leaves_its_record_and_nothing_else(
    account: TradingAccount, quantity: str, named: dict[str, Any], code: int
) -> None:
    assert refused(account, quantity, **named)[0] == code


def test_refused_client_order_id_may_be_used_again(account: TradingAccount) -> None:
    refused(account, "200", client_order_id="again")

    assert place(account, "1", client_order_id="again").body["status"] == "filled"


def test_spot_sells_no_more_than_it_holds(account: TradingAccount, feed: Feed) -> None:
    make_market("XRPUSDT", type="spot", max_leverage=1)
    feed(symbol="XRPUSDT")
    place(account, "2", symbol="XRPUSDT")

    place(account, "1", symbol="XRPUSDT", side=Side.SELL, price="105")
    assert refused(account, "1.5", symbol="XRPUSDT", side=Side.SELL) == (
        3004,
        {"required": "1.5", "available": "1"},
    )


def test_halted_market_and_unknown_market(account: TradingAccount, market: Market) -> None:
    Market.objects.filter(pk=market.pk).update(status="halted")
    forget_markets()

    assert refused(account)[0] == 2001
    with pytest.raises(errors.UnknownMarket):
        place(account, symbol="NOTHING")


def test_open_orders_are_limited(account: TradingAccount, settings: Any) -> None:
    settings.MAX_OPEN_ORDERS = 2
    for _ in range(2):
        place(account, price="95")

    assert refused(account, price="95") == (3009, {"open_orders": 2, "max_open_orders": 2})


# The same client order id


def test_same_request_returns_the_first_order(account: TradingAccount) -> None:
    first = place(account, "0.10", price="95", client_order_id="once")
    before = everything(account)

    second = place(account, "0.1", price="95.0", client_order_id="once")

    assert (first.replayed, second.replayed) == (False, True)
    assert second.body == first.body
    assert everything(account) == before


def test_replay_shows_what_became_of_the_order(account: TradingAccount) -> None:
    placed = place(account, price="95", client_order_id="once")
    cancel_order(account=ref(account), order=OrderRef(client_order_id="once"))

    replay = place(account, price="95", client_order_id="once")

    assert (replay.body["id"], replay.body["status"]) == (placed.body["id"], "cancelled")


@pytest.mark.parametrize(
    "other", [{"price": "96"}, {"side": Side.SELL}, {"tag": "x"}, {"leverage": 2}, {"post_only": True}]
)
def test_another_request_under_the_same_id_is_a_conflict(account: TradingAccount, other: dict[str, Any]) -> None:
    place(account, price="95", client_order_id="once")

    code, figures = refused(account, **{"price": "95", "client_order_id": "once", **other})

    assert (code, figures) == (3013, {"client_order_id": "once", "number": 1})


def test_accounts_have_client_order_ids_of_their_own(account: TradingAccount) -> None:
    other = open_account()
    place(account, price="95", client_order_id="once")

    assert not place(other, price="96", client_order_id="once").replayed


def test_order_goes_to_one_account_only(account: TradingAccount) -> None:
    stranger = open_account()
    foreign = AccountRef(user_id=stranger.user_id, account_uuid=account.uuid)

    with pytest.raises(errors.NotFound):
        place_order(account=foreign, symbol="BTC-USD", request=request())
    assert not Order.objects.exists()
    assert not OrderRefusal.objects.exists()


# Prices that are old, or away


def test_stale_prices_refuse_with_their_age(account: TradingAccount, feed: Feed, settings: Any) -> None:
    feed(at=system_clock() - timedelta(seconds=settings.FEED_STALE_AFTER_S + 1), sequence=2)

    code, figures = refused(account)

    assert code == 2002
    assert figures["symbol"] == "BTC-USD"
    assert 11_000 <= figures["age_ms"] < 20_000


def test_no_prices_at_all_refuse(account: TradingAccount) -> None:
    sync_client().flushdb()

    assert refused(account) == (2002, {"symbol": "BTC-USD"})


@pytest.fixture
def redis_down(settings: Any) -> Any:
    """A way to take Redis away in the middle of a test."""
    right = settings.REDIS_URL

    def down() -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        sync_client.cache_clear()

    yield down
    settings.REDIS_URL = right
    sync_client.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_without_redis_cancels_and_replays_work_and_orders_do_not(account: TradingAccount, redis_down: Any) -> None:
    """Really committed, so that announcing meets the dead Redis too."""
    placed = place(account, price="95", client_order_id="once")
    place(account, price="96")
    redis_down()

    assert refused(account) == (2002, {"symbol": "BTC-USD"})
    assert place(account, price="95", client_order_id="once").body == placed.body
    cancelled = cancel_orders(account=ref(account))

    assert [body["status"] for body in cancelled] == ["cancelled", "cancelled"]
    assert not Order.objects.exclude(status="cancelled").exists()


# Who may


@pytest.mark.parametrize("state", ["frozen", "closed"])
def test_frozen_or_closed_account_cancels_but_does_not_trade(account: TradingAccount, state: str) -> None:
    place(account, price="95", client_order_id="resting")
    TradingAccount.objects.filter(pk=account.pk).update(state=state)

    assert refused(account) == (3016, {"state": state})
    assert cancel_order(account=ref(account), order=OrderRef(number=1))["status"] == "cancelled"


def test_frozen_user_does_not_trade(account: TradingAccount) -> None:
    User.objects.filter(pk=account.user_id).update(state="frozen")

    assert refused(account) == (1107, {})


# Cancelling


def test_cancel_frees_margin_and_is_told(account: TradingAccount) -> None:
    body = place(account, "10", price="95").body

    cancelled = cancel_order(account=ref(account), order=OrderRef(uuid=Order.objects.get().uuid), reason="requested")

    assert (cancelled["id"], cancelled["status"], cancelled["reason"], cancelled["version"]) == (
        body["id"], "cancelled", "requested", 2,
    )  # fmt: skip
    assert available(account) == 10_000
    assert [event.kind for event in Event.objects.filter(account=account).order_by("sequence")][-2:] == [
        "order_update",
        "balance_update",
    ]


def test_an_order_ends_once(account: TradingAccount) -> None:
    place(account, "1")
    before = everything(account)

    with pytest.raises(errors.OrderNotOpen) as refusal:
        cancel_order(account=ref(account), order=OrderRef(number=1))
    assert refusal.value.details == {"status": "filled"}
    with pytest.raises(errors.NotFound):
        cancel_order(account=ref(account), order=OrderRef(number=2))
    assert everything(account) == before


@pytest.mark.parametrize(
    ("named", "gone"),
    [({}, [1, 2, 3]), ({"symbol": "eth-usd"}, [3]), ({"side": Side.SELL}, [2]), ({"symbol": "BTC-USD"}, [1, 2])],
)
def test_cancel_all_by_market_and_side(
    account: TradingAccount, feed: Feed, named: dict[str, Any], gone: list[int]
) -> None:
    make_market("ETH-USD")
    feed(symbol="ETH-USD")
    place(account, price="95")
    place(account, price="105", side=Side.SELL)
    place(account, price="95", symbol="ETH-USD")
    stranger = open_account()
    place(stranger, price="95")

    assert [body["number"] for body in cancel_orders(account=ref(account), **named)] == gone

    statuses = Order.objects.filter(account=account).order_by("number").values_list("number", "status")
    assert [number for number, status in statuses if status == "cancelled"] == gone
    assert Order.objects.get(account=stranger).status == "open"


def test_cancelling_for_a_stranger_finds_nothing(account: TradingAccount) -> None:
    place(account, price="95")
    stranger = open_account()
    foreign = AccountRef(user_id=stranger.user_id, account_uuid=account.uuid)

    for attempt in (
        lambda: cancel_orders(account=foreign),
        lambda: cancel_order(account=foreign, order=OrderRef(number=1)),
        lambda: cancel_order(account=ref(stranger), order=OrderRef(uuid=Order.objects.get().uuid)),
        lambda: cancel_order(account=ref(stranger), order=OrderRef(order_id=Order.objects.get().pk)),
    ):
        with pytest.raises(errors.NotFound):
            attempt()
    assert Order.objects.get().status == "open"


# Fills of what rests


def tick(order: Order, *, through: bool = False) -> bool:
    """The matcher's call, against what Redis has now."""
    view, quotes = live.view_of("BTC-USD")
    return fill_resting_order(
        account_id=order.account_id, order_id=order.pk, book=view.book, quotes=quotes, traded_through=through
    )


def test_resting_order_is_filled_as_maker_once_a_book(account: TradingAccount, feed: Feed) -> None:
    place(account, "5", price="100")
    order = Order.objects.get()
    assert not tick(order)
    feed(bids=(("95", "1"),), asks=(("99", "2"),), sequence=2)

    assert [tick(order), tick(order)] == [True, False]

    order.refresh_from_db()
    assert (order.status, order.filled_quantity, order.filled_notional, order.fee) == (
        "partially_filled", 2, 200, D("0.1"),
    )  # fmt: skip
    fill = Fill.objects.get()
    assert (fill.is_taker, fill.price, fill.venue_trade_id) == (False, 100, f"{order.uuid}:1")
    assert [tick(order, through=True), tick(order, through=True)] == [True, False]
    order.refresh_from_db()
    assert (order.status, order.fill_count) == ("filled", 2)
    assert list(order.transitions.order_by("id").values_list("from_status", "to_status")) == [
        ("new", "open"), ("open", "partially_filled"), ("partially_filled", "filled"),
    ]  # fmt: skip
    assert not fill_resting_order(
        account_id=account.pk, order_id=0, book=live.view_of("BTC-USD")[0].book, quotes={}, traded_through=True
    )


def test_resting_order_is_filled_on_a_position_that_is_flat_again(account: TradingAccount, feed: Feed) -> None:
    place(account, "1")
    place(account, "1", side=Side.SELL)
    place(account, "1", price="100")
    feed(bids=(("95", "1"),), asks=(("99", "2"),), sequence=2)

    assert tick(Order.objects.latest("number"))

    position = Position.objects.get(account=account)
    assert (position.quantity, position.entry_notional) == (1, 100)


def test_a_rollback_leaves_nothing_and_tells_nobody(
    account: TradingAccount, django_capture_on_commit_callbacks: Any
) -> None:
    before, listener = everything(account), sync_client().pubsub()
    listener.subscribe(account_channel(account.pk))
    assert listener.get_message(timeout=1)

    with django_capture_on_commit_callbacks(execute=True), pytest.raises(RuntimeError), transaction.atomic():
        place(account, "1")
        raise RuntimeError

    assert everything(account) == before
    assert listener.get_message(timeout=0.1) is None
    listener.close()


def test_events_are_announced_after_the_commit_in_order(
    account: TradingAccount, django_capture_on_commit_callbacks: Any
) -> None:
    listener = sync_client().pubsub()
    listener.subscribe(account_channel(account.pk), EVENTS_CHANNEL)
    with django_capture_on_commit_callbacks(execute=True):
        place(account, "1")

    told = [message["data"] for message in iter(lambda: listener.get_message(timeout=0.5), None)]
    listener.close()
    frames = [data for data in told if isinstance(data, bytes) and data.startswith(b"{")]
    sequences = list(Event.objects.filter(account=account, sequence__gt=1).values_list("sequence", flat=True))
    assert [
        b'"sequence":%d' % sequence in frame for sequence, frame in zip(sorted(sequences), frames, strict=True)
    ] == [True] * 4
    assert told[-1] == str(account.pk).encode()


def test_database_is_the_judge_of_a_doubled_order(account: TradingAccount) -> None:
    """Two orders under one client id can't be written even if the reading before it missed the first."""
    place(account, price="95", client_order_id="once")
    order = Order.objects.get()

    with pytest.raises(IntegrityError), booking(ref(account)) as batch:
        state = batch.account
        state.order_count += 1
        known = read_order(order)
        known.id, known.number = batch.next_id(), state.order_count
        batch.touch(known)
        batch.emit("order_update", {})


def read_order(order: Order) -> Any:
    """The order as the loader gives it."""
    with transaction.atomic(), booking(AccountRef(account_id=order.account_id), order=OrderRef(order_id=order.pk)) as b:
        return b.account.order


def test_classic_account_fills_by_its_formula_whatever_the_depth(feed: Feed) -> None:
    account = open_account(simulator="classic", balance="100000")

    body = place(account, "5").body

    price, fill = D(body["average_price"]), Fill.objects.get()
    assert body["filled_quantity"] == "5"
    assert D("100") * D("1.0048") <= price <= 101  # 0.5 % of slippage, 0.02 % of noise, half the spread, up to a tick
    assert fill.fee == D(body["fee"]) == D("0.0002") * price * 5
    assert (BIDS[0], ASKS[0]) == (("99", "1"), ("101", "1"))
