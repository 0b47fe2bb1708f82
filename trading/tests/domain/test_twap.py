"""What a TWAP order does, slice by slice, in virtual time."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from astrade.core.errors import AstradeError
from astrade.core.messages import MarketView
from trading.domain import booking, twap
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.ending import end_orders
from trading.domain.lifecycle import OrderStatus, OrderType, Side
from trading.domain.limits import Halt, HaltScope, RiskDay
from trading.domain.margin import summarise
from trading.domain.shapes import Terms
from trading.domain.slicing import TwapTerms
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.domain.twap import Market
from trading.tests.factories import (
    AT,
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    PositionStateFactory,
    batch_of,
    board,
    request,
    terms,
    view,
)
from trading.writer import document_of

BIDS = (("99", "1"), ("98", "2"), ("97", "100"))
ASKS = (("101", "1"), ("102", "2"), ("103", "100"))
LIMITS = Limits(open_orders_max=5, stale_after_s=10.0)


class Scene:
    """One account, one TWAP order of six slices in a minute, and a clock."""

    def __init__(self, quantity: str = "6", account: AccountState | None = None, **changes: Any) -> None:
        self.account: AccountState = account or AccountStateFactory.build()
        self.terms: Terms = changes.pop("terms", terms())
        wanted = twap_request(quantity, **changes)
        self.batch = batch_of(self.account)
        self.order = booking.admit(
            self.batch, wanted, terms=self.terms, view=self.view(), board=board("100"), limits=LIMITS, fingerprint=""
        )
        self.now = AT

    def view(self, **changes: Any) -> MarketView:
        """The book above; fresh, unless its moment is given."""
        values: dict[str, Any] = {"bids": BIDS, "asks": ASKS} | changes
        at = values.pop("at", None) or getattr(self, "now", AT)
        made = view(**values)
        return replace(made, quote=replace(made.quote, at=at), book=replace(made.book, at=at))

    def step(self, seconds: float, *, mark: str = "100", **changes: Any) -> bool:
        """So many seconds after noon the timekeeper looks; every look meets another book."""
        self.now = AT + timedelta(seconds=seconds)
        self.batch = batch_at(self.account, self.now)
        missing = changes.pop("missing", False)
        seen = None if missing else self.view(mark=mark, sequence=changes.pop("sequence", int(seconds) + 2), **changes)
        market = Market(terms=self.terms, view=seen, board=board(mark), limits=LIMITS)
        return twap.run_slice(self.batch, self.order, market)

    @property
    def child(self) -> OrderState:
        """The slice that the last step traded."""
        (child,) = (order for order in self.batch.orders.values() if order.parent_id == self.order.id)
        return child

    @property
    def told(self) -> list[str]:
        """Kinds of what the last step told, in order."""
        return [row["kind"] for row in self.batch.inserts.get("event", [])]

    @property
    def moves(self) -> list[tuple[str, str]]:
        """Status and reason of the last step's transitions of the parent."""
        rows = self.batch.inserts.get("transition", [])
        return [(row["to_status"], row["reason"]) for row in rows if row["order_id"] == self.order.id]


def twap_request(quantity: str = "6", **changes: Any) -> OrderRequest:
    """Six slices in a minute."""
    plan = TwapTerms(duration_s=60, slices=6, jitter=D(changes.pop("jitter", "0")))
    return request(quantity, **{"twap": plan, **changes, "type": OrderType.TWAP})


def batch_at(account: AccountState, now: datetime) -> Batch:
    """As `batch_of`, later."""
    account.row_id += 5000
    made = batch_of(account)
    made.now = now
    return made


def test_it_is_admitted_open_with_its_margin_and_trades_nothing_yet() -> None:
    scene = Scene()

    assert (scene.order.status, scene.order.filled_quantity, scene.order.fill_count) == (OrderStatus.OPEN, 0, 0)
    sums = scene.account.open_orders[MARKET_ID]
    assert (sums.count, sums.buy_quantity, sums.buy_notional) == (1, 6, 600)  # at the mark
    assert summarise(scene.account, board("100")).initial == 600
    (plan,) = document_of(scene.batch)["twap"]
    assert (plan["order_id"], plan["due_at"], plan["next_slice"]) == (scene.order.id, AT, 0)


def test_with_a_limit_it_binds_margin_at_the_limit() -> None:
    scene = Scene(price="105")
    assert scene.account.open_orders[MARKET_ID].buy_notional == 630


def test_what_only_reduces_binds_none() -> None:
    account = AccountStateFactory.build()
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(6), entry_notional=D(600))
    scene = Scene(account=account, side=Side.SELL, reduce_only=True)
    assert (scene.account.open_orders[MARKET_ID].sell_quantity, scene.account.open_orders[MARKET_ID].count) == (0, 1)


def test_slices_are_orders_and_their_fills_are_counted_once() -> None:
    scene = Scene("6")

    assert scene.step(0)

    child = scene.child
    assert (child.type, child.source, child.status, child.quantity) == ("market", "twap", "filled", 1)
    assert (child.parent_uuid, child.client_order_id) == (scene.order.uuid, f"twap~{scene.order.uuid.hex}~1")
    assert (scene.order.status, scene.order.filled_quantity, scene.order.filled_notional) == (
        "partially_filled",
        1,
        101,
    )
    assert (scene.order.fee, scene.order.fill_count) == (child.fee, 0)
    assert scene.account.positions[MARKET_ID].quantity == 1
    assert scene.account.traded_notional == 101
    sums = scene.account.open_orders[MARKET_ID]
    assert (sums.count, sums.buy_quantity, sums.buy_notional) == (1, 5, 500)
    assert scene.told == ["trade_update", "order_update", "order_update", "position_update", "balance_update"]
    bodies = [row["data"] for row in scene.batch.inserts["event"] if row["kind"] == "order_update"]
    assert [body["parent_id"] for body in bodies] == [str(scene.order.uuid), None]
    progress = bodies[1]["twap"]
    assert (progress["executed_slices"], progress["missed_slices"], progress["progress"]) == (1, 0, "0.16666667")
    assert progress["next_slice_at"] == 1772366410000


def test_all_slices_fill_it() -> None:
    scene = Scene("1")

    done = [scene.step(second) for second in range(0, 60, 5)]

    assert done == [True, False] * 6
    assert (scene.order.status, scene.order.filled_quantity) == ("filled", 1)
    assert MARKET_ID not in scene.account.open_orders or scene.account.open_orders[MARKET_ID].count == 0
    assert scene.account.positions[MARKET_ID].quantity == 1
    assert scene.order.due_at is None
    assert not scene.step(60)


def test_nothing_is_due_before_its_moment_nor_twice() -> None:
    scene = Scene()
    scene.step(0)

    assert not scene.step(0.4)
    assert not scene.step(9.999)
    assert scene.batch.frames == []
    assert scene.step(10)


def test_splitting_escapes_no_slippage_of_one_book() -> None:
    """The same book state at the second slice: the best level is gone."""
    scene = Scene()
    scene.step(0, sequence=7)
    scene.step(10, sequence=7)
    assert scene.order.filled_notional == 101 + 102


def test_a_limit_out_of_reach_is_carried_over_and_made_up_for() -> None:
    scene = Scene(price="100")

    assert scene.step(0)
    assert scene.moves == [("open", "price_limit_out_of_reach")]
    assert scene.told == ["order_update"]
    scene.step(10)
    scene.step(20, bids=(("98", "5"),), asks=(("99", "5"),), mark="99")

    assert (scene.child.type, scene.child.time_in_force, scene.child.price) == ("limit", "IOC", 100)
    assert scene.order.filled_quantity == 3
    assert scene.order.twap is not None
    assert (scene.order.twap.executed_slices, scene.order.twap.next_slice) == (1, 3)


def test_what_a_thin_book_left_is_carried_over() -> None:
    scene = Scene(price="101")

    scene.step(0, asks=(("101", "0.4"), ("109", "9")), mark="100")
    assert (scene.child.status, scene.child.reason) == ("cancelled", "not_fillable_at_once")
    assert scene.order.filled_quantity == D("0.4")
    scene.step(10, asks=(("101", "9"),), mark="100")

    assert scene.child.quantity == D("1.6")
    assert scene.order.filled_quantity == 2


def test_the_end_of_the_duration_ends_it() -> None:
    scene = Scene(price="90")
    for second in (0, 10, 20, 30, 40, 50):
        scene.step(second)
    assert scene.order.status == "open"

    assert not scene.step(59)
    assert scene.step(60)

    assert (scene.order.status, scene.order.reason) == ("expired", "duration_over")
    assert scene.account.open_orders[MARKET_ID].count == 0
    assert document_of(scene.batch)["twap"][0]["due_at"] is None


def test_what_nobody_ran_in_time_is_not_traded_after_the_end() -> None:
    scene = Scene()
    scene.step(0)

    assert scene.step(3600)

    assert (scene.order.status, scene.order.filled_quantity) == ("expired", 1)
    assert "fill" not in scene.batch.inserts


def test_overdue_slices_are_one_of_at_most_three() -> None:
    scene = Scene()

    scene.step(45)  # five are overdue

    assert scene.child.quantity == 3
    assert not scene.step(46)
    scene.step(50)
    assert scene.order.filled_quantity == 6


def test_stale_and_missing_prices_are_waited_for() -> None:
    scene = Scene()

    scene.step(0, missing=True)
    assert scene.moves == [("open", "market_data_stale")]
    scene.step(10, at=AT - timedelta(seconds=1))
    assert scene.moves == [("open", "market_data_stale")]
    scene.step(20)

    assert (scene.child.quantity, scene.order.reason) == (3, "")


def test_a_halt_is_waited_for() -> None:
    scene = Scene()
    scene.account.halts.append(Halt(scope=HaltScope.GLOBAL, venue="", reason="drill", since=AT, until=None))

    scene.step(0)
    assert (scene.moves, scene.order.is_live) == ([("open", "trading_halted")], True)
    scene.account.halts.clear()
    scene.step(10)

    assert scene.order.filled_quantity == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_state": "frozen"}, "user_frozen"),
        ({"state": "closed"}, "account_frozen"),
    ],
)
def test_nothing_is_traded_for_a_frozen_account(change: dict[str, str], reason: str) -> None:
    scene = Scene()
    for name, value in change.items():
        setattr(scene.account, name, value)

    scene.step(0)

    assert (scene.order.reason, scene.order.filled_quantity, scene.order.is_live) == (reason, 0, True)


def test_a_market_that_stopped_is_waited_for() -> None:
    scene = Scene()
    scene.terms = terms(status="suspended")
    scene.step(0)
    assert (scene.order.reason, scene.order.is_live) == ("market_not_trading", True)


def test_margin_that_is_gone_cancels_it_with_the_figures() -> None:
    """Nearly everything is reserved at 100 a piece; at 110 that no longer covers a slice."""
    scene = Scene("99")
    scene.step(0)
    before = scene.account.cash.balance

    scene.step(10, mark="110", bids=(("109", "100"),), asks=(("111", "100"),))

    assert (scene.order.status, scene.order.reason) == ("cancelled", "insufficient_margin")
    (row,) = scene.batch.inserts["refusal"]
    assert (row["code"], row["request"]["quantity"]) == (3003, "16.5")
    assert D(row["figures"]["required"]) > D(row["figures"]["available"])
    assert (scene.account.cash.balance, scene.account.open_orders[MARKET_ID].count) == (before, 0)


def test_margin_is_not_reserved_twice() -> None:
    """9,000 of 10,000 are bound throughout: no slice needs more than its parent set aside."""
    scene = Scene("90")
    for second in range(0, 60, 10):
        scene.step(second, asks=(("100", "999"),), bids=(("99", "999"),))
        assert 9000 <= summarise(scene.account, board("100")).initial <= 9001
    assert scene.order.status == "filled"


def test_a_daily_loss_limit_that_is_reached_cancels_it() -> None:
    account = AccountStateFactory.build(max_daily_loss=D(50), net_deposits=D(10_000))
    account.risk_day = RiskDay(
        starts_at=AT - timedelta(hours=1), ends_at=AT + timedelta(hours=23), equity=D(10_000),
        net_deposits=D(10_000), traded_notional=D(0),
    )  # fmt: skip
    scene = Scene(account=account)
    scene.account.cash.balance -= 50

    scene.step(0)

    assert (scene.order.status, scene.order.reason) == ("cancelled", "daily_loss_reached")
    assert scene.batch.inserts["refusal"][0]["figures"]["loss"] == "50"


def test_a_position_limit_counts_what_is_left_of_it_once() -> None:
    limited = terms(max_position_notional=D(650))
    scene = Scene(terms=limited)
    for second in range(0, 60, 10):
        scene.step(second)
    assert scene.order.status == "filled"


def test_a_trading_cap_counts_it_once() -> None:
    account = AccountStateFactory.build(max_daily_notional=D(650))
    account.risk_day = RiskDay(
        starts_at=AT - timedelta(hours=1), ends_at=AT + timedelta(hours=23), equity=D(10_000),
        net_deposits=D(0), traded_notional=D(0),
    )  # fmt: skip
    scene = Scene(account=account)
    for second in range(0, 60, 10):
        scene.step(second)
    assert (scene.order.status, scene.account.traded_notional) == ("filled", 606)


def test_reduce_only_is_cut_to_the_position_and_ends_with_it() -> None:
    account = AccountStateFactory.build()
    account.positions[MARKET_ID] = held = PositionStateFactory.build(quantity=D(6), entry_notional=D(600))
    scene = Scene(account=account, side=Side.SELL, reduce_only=True)
    held.quantity, held.entry_notional = D("0.5"), D(50)

    scene.step(0)
    assert (scene.child.quantity, scene.child.reduce_only, held.quantity) == (D("0.5"), True, 0)
    scene.step(10)

    assert (scene.order.status, scene.order.reason) == ("cancelled", "nothing_to_reduce")


def test_own_orders_it_would_meet_give_way() -> None:
    scene = Scene()
    facing = OrderStateFactory.build(id=77, side=Side.SELL, price=D(101))
    scene.account.orders.append(facing)
    scene.account.orders_on(MARKET_ID).add(facing)

    scene.step(0)

    assert (facing.status, facing.reason) == ("cancelled", "self_trade_prevention")


def test_an_arriving_order_does_not_meet_the_parent() -> None:
    """A TWAP order to sell down to 95 rests nowhere: a buy that goes to 101 leaves it alone."""
    account = AccountStateFactory.build()
    scene = Scene(account=account, side=Side.SELL, price="95")
    account.orders.append(scene.order)
    batch = batch_at(account, AT)

    booking.admit(
        batch, request("1"), terms=terms(), view=scene.view(), board=board("100"), limits=LIMITS, fingerprint=""
    )

    assert scene.order.is_live
    assert not scene.order.is_resting


def test_the_matcher_never_fills_the_parent() -> None:
    scene = Scene(price="105")
    batch = batch_at(scene.account, AT)
    assert not booking.fill_resting(batch, scene.order, board=board("100"), book=scene.view().book, traded_through=True)


def test_pausing_stops_it_and_resuming_moves_what_is_to_come() -> None:
    scene = Scene()
    scene.step(0)
    batch = batch_at(scene.account, AT + timedelta(seconds=12))
    twap.pause(batch, scene.order, symbol="BTC-USD")
    twap.pause(batch, scene.order, symbol="BTC-USD")

    assert len(batch.frames) == 1
    body = batch.frames[0]["data"]["twap"]
    assert (body["paused"], body["next_slice_at"], body["ends_at"]) == (True, None, None)
    assert scene.account.open_orders[MARKET_ID].buy_quantity == 5
    assert (scene.step(30), scene.step(3600)) == (False, False)

    batch = batch_at(scene.account, AT + timedelta(seconds=112))
    twap.resume(batch, scene.order, symbol="BTC-USD")
    twap.resume(batch, scene.order, symbol="BTC-USD")

    assert (len(batch.frames), batch.frames[0]["data"]["reason"]) == (1, "resumed")
    assert scene.step(112)  # the one that was due at 10 when it was paused at 12
    assert (scene.child.quantity, scene.step(119)) == (1, False)
    assert scene.step(120)
    assert scene.order.twap is not None
    assert scene.order.twap.ends_at == AT + timedelta(seconds=160)


@pytest.mark.parametrize("change", [twap.pause, twap.resume])
def test_only_an_open_twap_order_is_paused(change: Any) -> None:
    scene = Scene()
    other = OrderStateFactory.build()
    assert code_of(change, batch_at(scene.account, AT), other, symbol="BTC-USD") == 3014
    assert code_of(change, batch_at(scene.account, AT + timedelta(seconds=60)), scene.order, symbol="BTC-USD") == 3010
    end_orders(batch_of(scene.account), [scene.order], to=OrderStatus.CANCELLED, board=board("100"), reason="x")
    assert code_of(change, batch_at(scene.account, AT), scene.order, symbol="BTC-USD") == 3010


def test_whatever_ends_it_leaves_nothing_due() -> None:
    scene = Scene()
    batch = batch_at(scene.account, AT)

    end_orders(batch, [scene.order], to=OrderStatus.CANCELLED, board=board("100"), reason="requested")

    assert document_of(batch)["twap"][0]["due_at"] is None
    assert not scene.step(10)


@pytest.mark.parametrize(
    ("quantity", "changes", "refused"),
    [
        ("0.005", {}, (3000, {"quantity": "0", "min_quantity": "0.001", "slices": 6})),
        ("0.059", {"terms": terms(min_quantity=D("0.01"))}, 3000),
        ("1.0001", {}, 3001),
        ("1001", {}, 1001),
        ("6", {"price": "99.5"}, 3002),
        ("6", {"price": "111"}, 3008),
        ("101", {}, 3003),
        ("6", {"reduce_only": True}, 3006),
        ("6", {"leverage": 11}, 3005),
    ],
)  # fmt: skip
def test_it_is_admitted_by_every_check_of_an_order(quantity: str, changes: dict[str, Any], refused: Any) -> None:
    with pytest.raises(AstradeError) as raised:
        Scene(quantity, **changes)
    error = raised.value
    assert refused in (error.code, (error.code, error.details))


def test_what_only_reduces_may_be_cut_below_the_minimum() -> None:
    account = AccountStateFactory.build()
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D("0.06"), entry_notional=D(6))
    scene = Scene("0.06", account=account, side=Side.SELL, reduce_only=True, terms=terms(min_quantity=D("0.05")))
    scene.step(0)
    assert scene.child.quantity == D("0.01")


def test_spot_that_is_sold_is_set_aside() -> None:
    spot = terms(type="spot")
    account = AccountStateFactory.build()
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=D(6), entry_notional=D(600))
    scene = Scene(account=account, side=Side.SELL, terms=spot)

    with pytest.raises(AstradeError) as raised:
        booking.admit(
            batch_at(account, AT),
            request("1", side=Side.SELL),
            terms=spot,
            view=scene.view(),
            board=board("100", spot),
            limits=LIMITS,
            fingerprint="",
        )
    assert raised.value.code == 3004


def code_of(call: Any, *args: Any, **kwargs: Any) -> int | None:
    """The code of what it raises."""
    try:
        call(*args, **kwargs)
    except AstradeError as error:
        return error.code
    return None
