"""TWAP orders over the database's clock: slices, pause and end, and everything that must stay right around them."""

from datetime import timedelta

import pytest
from django.db.models import F

from astrade.core.errors import AstradeError
from astrade.core.redis import sync_client
from trading.domain.lifecycle import Side
from trading.domain.limits import HaltScope
from trading.loading import OrderRef, read_account
from trading.models import Event, Fill, Order, OrderRefusal, TradingAccount, TwapPlan
from trading.replaying import replay_fills
from trading.services.due import due_work, fire_switch, set_switch
from trading.services.halts import HaltTarget, set_halt
from trading.services.liquidation import liquidate
from trading.services.orders import cancel_orders
from trading.services.positions import close_position
from trading.services.resets import clear_account, replace_account
from trading.services.twap import due_slices, pause_order, resume_order, run_due_slices, run_slice
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import AT, D, money, open_account, place, ref
from trading.tests.test_concurrency import assert_whole
from trading.tests.twaps import look, place_twap


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """10,000, and a market around 100."""
    return open_account()


def test_the_first_slice_is_due_at_once_the_next_ten_seconds_later(account: TradingAccount) -> None:
    order = place_twap(account)

    assert [due.run for due in due_work()] == [run_due_slices]
    assert look(account) == 1
    assert due_work() == []
    assert look(account, after=9) == 0
    assert look(account, after=1) == 1

    order.refresh_from_db()
    assert (order.status, order.filled_quantity, order.fill_count) == ("partially_filled", 2, 0)
    children = list(order.children.order_by("id"))
    assert [child.client_order_id for child in children] == [f"twap~{order.uuid.hex}~{n}" for n in (1, 2)]
    assert [(child.source, child.status, child.filled_quantity) for child in children] == [("twap", "filled", 1)] * 2
    assert_whole(account)


def test_it_is_filled_by_its_slices_to_the_last_digit(account: TradingAccount) -> None:
    order = place_twap(account, "1")
    for number in range(6):
        look(account, after=10 if number else 0)

    order.refresh_from_db()
    fills = list(Fill.objects.filter(order__parent=order))
    assert (order.status, order.filled_quantity) == ("filled", 1)
    assert sum(fill.quantity for fill in fills) == 1
    assert sum(fill.price * fill.quantity for fill in fills) == order.filled_notional
    assert sum(fill.fee for fill in fills) == order.fee
    assert (TwapPlan.objects.get().due_at, TwapPlan.objects.get().executed_slices) == (None, 6)
    account.refresh_from_db()
    assert account.traded_notional == order.filled_notional
    assert_whole(account)
    assert [found for found in replay_fills(account) if found] == []


def test_what_an_order_filled_is_checked_against_its_slices(account: TradingAccount) -> None:
    order = place_twap(account)
    look(account)

    Order.objects.filter(pk=order.pk).update(filled_quantity=2)

    with pytest.raises(AssertionError, match="is not the sum of its fills"):
        assert_whole(account)


def test_margin_is_reserved_once(account: TradingAccount) -> None:
    order = place_twap(account)
    sums = read_account(ref(account)).open_orders[order.market_id]
    assert (sums.count, sums.buy_quantity, sums.buy_notional) == (1, 6, 600)

    look(account)

    sums = read_account(ref(account)).open_orders[order.market_id]
    assert (sums.count, sums.buy_quantity, sums.buy_notional) == (1, 5, 500)
    assert refused(account, "95") == 3003
    assert refused(account, "93") is None


def test_an_overdue_order_is_caught_up_with_and_one_whose_time_is_over_expires(account: TradingAccount) -> None:
    late, over = place_twap(account), place_twap(account)
    TwapPlan.objects.filter(order=over).update(starts_at=F("starts_at") - timedelta(hours=3))

    assert look(account, after=45) == 2

    late.refresh_from_db()
    over.refresh_from_db()
    assert (late.filled_quantity, TwapPlan.objects.get(order=late).next_slice) == (3, 5)
    assert (over.status, over.reason, over.filled_quantity) == ("expired", "duration_over", 0)
    assert_whole(account)


def test_it_waits_while_there_are_no_prices(account: TradingAccount, feed: Feed) -> None:
    order = place_twap(account)
    for key in sync_client().scan_iter("md:*"):
        sync_client().delete(key)

    assert look(account) == 1

    order.refresh_from_db()
    assert (order.status, order.reason) == ("open", "market_data_stale")
    (move,) = order.transitions.filter(reason="market_data_stale")
    assert (move.from_status, move.to_status, move.change) == ("open", "open", None)
    feed()
    look(account, after=10)
    order.refresh_from_db()
    assert order.filled_quantity == 2


def test_it_waits_while_trading_is_halted(account: TradingAccount) -> None:
    order = place_twap(account)
    set_halt(HaltTarget(HaltScope.GLOBAL), reason="drill", actor_id=None, now=AT)

    look(account)

    order.refresh_from_db()
    assert (order.status, order.reason) == ("open", "trading_halted")


def test_a_daily_loss_limit_cancels_it(account: TradingAccount) -> None:
    """The risk day is opened on the way."""
    order = place_twap(account)
    TradingAccount.objects.filter(pk=account.pk).update(max_daily_loss="0.000001")
    place(account, "1")

    look(account)

    order.refresh_from_db()
    assert (order.status, order.reason) == ("cancelled", "daily_loss_reached")


def test_margin_that_is_gone_cancels_it_and_the_figures_are_kept(account: TradingAccount, feed: Feed) -> None:
    order = place_twap(account, "99")
    look(account)
    feed(bids=(("109", "99"),), asks=(("111", "99"),), sequence=2)

    look(account, after=10)

    order.refresh_from_db()
    assert (order.status, order.reason, order.filled_quantity) == ("cancelled", "insufficient_margin", D("16.5"))
    kept = OrderRefusal.objects.get()
    assert (kept.code, kept.account_id, kept.client_order_id) == (3003, account.pk, f"twap~{order.uuid.hex}~2")
    assert kept.request["quantity"] == "16.5"
    assert set(kept.figures) == {"required", "available"}
    assert due_work() == []
    assert_whole(account)


def test_a_position_that_is_gone_ends_what_only_reduces_it(account: TradingAccount) -> None:
    place(account, "6")
    order = place_twap(account, side=Side.SELL, reduce_only=True)
    look(account)
    close_position(account=ref(account), symbol="BTC-USD")

    look(account, after=10)

    order.refresh_from_db()
    assert (order.status, order.reason, order.filled_quantity) == ("cancelled", "nothing_to_reduce", 1)
    assert_whole(account)


def test_a_slice_meets_none_of_the_accounts_own_orders(account: TradingAccount) -> None:
    mine = place(account, "1", side=Side.SELL, price="101")
    place_twap(account)

    look(account)

    assert Order.objects.get(uuid=mine.body["id"]).reason == "self_trade_prevention"
    assert_whole(account)


def test_the_order_itself_is_in_nobodys_way(account: TradingAccount) -> None:
    place(account, "3")
    order = place_twap(account, "3", side=Side.SELL, price="97")

    place(account, "1", price="105")
    place(account, "1", price="99", post_only=True)

    order.refresh_from_db()
    assert order.status == "open"


def test_a_pause_holds_and_a_resume_goes_on(account: TradingAccount) -> None:
    order = place_twap(account)
    named = OrderRef(uuid=order.uuid)
    look(account)

    first, second = (pause_order(account=ref(account), order=named) for _ in range(2))
    assert first == second
    assert (first["twap"]["paused"], first["twap"]["next_slice_at"]) == (True, None)
    TwapPlan.objects.update(
        starts_at=F("starts_at") - timedelta(seconds=100), paused_at=F("paused_at") - timedelta(seconds=100)
    )
    assert look(account) == 0

    resumed = [resume_order(account=ref(account), order=named) for _ in range(2)]

    assert resumed[0] == resumed[1]
    assert resumed[0]["twap"]["ends_at"] - first["created_at"] in range(60_000, 75_000)
    assert look(account) == 0
    assert look(account, after=10) == 1
    order.refresh_from_db()
    assert order.filled_quantity == 2
    reasons = order.transitions.order_by("id").values_list("reason", flat=True)
    assert [reason for reason in reasons if reason] == ["paused", "resumed"]
    assert_whole(account)


def test_every_way_to_cancel_stops_it(account: TradingAccount) -> None:
    def is_stopped(order: Order, reason: str) -> bool:
        order.refresh_from_db()
        plan = TwapPlan.objects.get(order=order)
        return (order.status, order.reason, plan.due_at) == ("cancelled", reason, None)

    make_market("ETH-USD")
    by_market = place_twap(account)
    cancel_orders(account=ref(account), symbol="ETH-USD")
    assert look(account) == 1
    cancel_orders(account=ref(account), symbol="BTC-USD")
    assert is_stopped(by_market, "requested")

    by_side = place_twap(account)
    cancel_orders(account=ref(account), side=Side.SELL)
    assert not is_stopped(by_side, "requested")
    cancel_orders(account=ref(account), side=Side.BUY)
    assert is_stopped(by_side, "requested")

    by_switch = place_twap(account)
    set_switch(account=ref(account), timeout_s=1)
    account.dead_man_switch.__class__.objects.update(fires_at=AT)
    fire_switch(account.pk)
    assert is_stopped(by_switch, "dead_man_switch")

    by_reset = place_twap(account)
    clear_account(account=ref(account), source=by_reset.source)  # type: ignore[arg-type]
    assert is_stopped(by_reset, "account_reset")
    replace_account(account=ref(account))
    assert look(account, after=60) == 0


def test_an_account_with_one_open_is_not_closed(account: TradingAccount) -> None:
    place_twap(account)
    with pytest.raises(AstradeError) as raised:
        replace_account(account=ref(account))
    assert raised.value.code == 4005


def test_a_liquidation_ends_it_first(account: TradingAccount, feed: Feed) -> None:
    place(account, "500", leverage=10)
    order = place_twap(account)
    feed(bids=(("82", "9999"),), asks=(("84", "9999"),), sequence=2)

    liquidate(account.pk)

    order.refresh_from_db()
    assert (order.status, order.reason) == ("cancelled", "liquidation")
    assert look(account, after=10) == 0
    assert_whole(account)


def test_a_late_or_doubled_call_does_nothing(account: TradingAccount) -> None:
    place_twap(account)
    (due,) = due_slices(at_most=10)

    assert [run_slice(due), run_slice(due)] == [True, False]
    assert Fill.objects.count() == 1


def test_one_that_fails_holds_up_no_other(account: TradingAccount) -> None:
    broken, whole = place_twap(account), place_twap(account)
    Order.objects.filter(pk=broken.pk).update(market_id=broken.market_id + 1000)

    with pytest.raises(ExceptionGroup):
        look(account)

    whole.refresh_from_db()
    assert whole.filled_quantity == 1


def test_events_tell_of_the_progress(account: TradingAccount) -> None:
    order = place_twap(account)
    look(account)
    look(account, after=10)

    told = Event.objects.filter(kind="order_update", data__id=str(order.uuid)).order_by("sequence")
    assert [event.data["twap"]["executed_slices"] for event in told] == [0, 1, 2]
    assert [event.data["filled_quantity"] for event in told] == ["0", "1", "2"]
    children = Event.objects.filter(kind="order_update", data__source="twap").values_list("data__parent_id", flat=True)
    assert list(children) == [str(order.uuid)] * 2
    assert money(told[2].data, "average_price") == {"average_price": D("101.5")}


def test_jitter_is_a_function_of_the_stored_seed(account: TradingAccount) -> None:
    place_twap(account, jitter="0.5")
    plan = TwapPlan.objects.get()
    assert 0 <= (plan.due_at - plan.starts_at).total_seconds() < 5  # type: ignore[operator]
    assert plan.due_at == Order.objects.get().twap.slice_at(0)  # type: ignore[union-attr]


def refused(account: TradingAccount, quantity: str) -> int | None:
    """The code of what a limit order is refused with; a placed one is cancelled again."""
    try:
        place(account, quantity, price="100")
    except AstradeError as error:
        return error.code
    return None
