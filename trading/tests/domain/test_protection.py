"""Take profits and stop losses: they come to life with fills, follow the position, and one cancels the other."""

from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrade.core.errors import AstradeError
from astrade.core.messages import MarketView
from trading.domain import booking, conditional, protection
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.ending import end_orders, tell_protective
from trading.domain.lifecycle import OrderRole, OrderStatus, OrderType, Side, TriggerBy
from trading.domain.slicing import TwapState
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.tests.factories import MARKET_ID, AccountStateFactory, D, batch_of, board, request, terms, view

LIMITS = Limits(open_orders_max=50, stale_after_s=10.0)
TP, SL = OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS
DEEP: dict[str, Any] = {"bids": (("99", "1000"),), "asks": (("101", "1000"),)}


class Trading:
    """One account on a market whose book and sequence the test moves; each call is one booking."""

    def __init__(self, **fields: Any) -> None:
        self.account: AccountState = AccountStateFactory.build(**{"leverage": {MARKET_ID: 10}} | fields)
        self.account.cash.balance = D(1_000_000)
        self.sequence, self.orders, self.batch = 1, dict[int, OrderState](), batch_of(self.account)
        self.look = self.at(**DEEP)

    def at(self, mark: str = "100", **book: Any) -> MarketView:
        """A new book."""
        self.sequence += 1
        self.look = view(**DEEP | book, mark=mark, sequence=self.sequence)
        return self.look

    def begin(self) -> Batch:
        """A new booking, which sees what the one before left."""
        self.account.row_id = 1000 * (self.sequence + len(self.orders) + 10 * self.account.sequence)
        self.account.protective = [leg for leg in self.account.protective if leg.status == "untriggered"]
        self.batch = batch_of(self.account)
        return self.batch

    def place(self, quantity: str = "1", **changes: Any) -> OrderState:
        """An order of the user's."""
        wanted: OrderRequest = request(quantity, **changes)
        order = booking.admit(
            self.begin(), wanted, terms=terms(), view=self.look, board=board("100"), limits=LIMITS, fingerprint=""
        )
        self.orders[order.id] = order
        return order

    def match(self, order: OrderState, **book: Any) -> None:
        """What rests gets what the book offers it."""
        look = self.at(**book)
        booking.fill_resting(self.begin(), order, board=board("100"), book=look.book, traded_through=False)

    def trigger(self, leg: OrderState, **book: Any) -> bool:
        """The leg's trigger was reached."""
        if book:
            self.at(**book)
        return conditional.trigger(self.begin(), leg, terms=terms(), view=self.look, board=board("100"), limits=LIMITS)

    def protect(self, **wanted: str | None) -> None:
        """Stop loss and take profit of the position."""
        levels = {OrderRole(name): None if price is None else D(price) for name, price in wanted.items()}
        protection.protect(self.begin(), terms(), levels, view=self.look)
        tell_protective(self.batch, terms())

    @property
    def held(self) -> Decimal:
        """The position."""
        position = self.account.positions.get(MARKET_ID)
        return position.quantity if position else D(0)

    @property
    def legs(self) -> list[tuple[str, Decimal, Decimal | None]]:
        """What protects it: role, quantity, price."""
        waiting = [leg for leg in self.account.protective if leg.status is OrderStatus.UNTRIGGERED]
        return [(leg.role or "", leg.quantity, leg.trigger_price) for leg in waiting]

    def leg(self, role: OrderRole) -> OrderState:
        """The one in that role."""
        (found,) = [leg for leg in self.account.protective if leg.role is role and leg.status == "untriggered"]
        return found

    def told(self) -> list[tuple[str, str, str]]:
        """Orders that the last booking told of: type, status, quantity."""
        frames = [frame["data"] for frame in self.batch.frames if frame["type"] == "order_update"]
        return [(order["type"], order["status"], order["quantity"]) for order in frames]


def test_protection_lives_from_the_fill_on() -> None:
    trading = Trading()

    parent = trading.place("2", take_profit=D(110), stop_loss=D(90))

    assert trading.legs == [("take_profit", 2, 110), ("stop_loss", 2, 90)]
    for leg in trading.account.protective:
        assert (leg.side, leg.reduce_only, leg.parent_id, leg.trigger_by) == (Side.SELL, True, parent.id, "mark")
    assert [leg.type for leg in trading.account.protective] == [OrderType.TAKE_PROFIT, OrderType.STOP]
    assert [leg.number for leg in trading.account.protective] == [2, 3]
    assert trading.told() == [
        ("market", "filled", "2"),
        ("take_profit", "untriggered", "2"),
        ("stop", "untriggered", "2"),
    ]
    shown = next(frame["data"] for frame in trading.batch.frames if frame["type"] == "position_update")
    assert (shown["take_profit"], shown["stop_loss"]) == ("110", "90")
    assert trading.account.open_orders[MARKET_ID].count == 2


def test_each_leg_follows_the_price_that_the_order_named() -> None:
    trading = Trading()

    trading.place(side=Side.SELL, stop_loss=D(110), trigger_by=TriggerBy.LAST)

    (leg,) = trading.account.protective
    assert (leg.side, leg.role, leg.trigger_by, leg.admitted_sequence) == (Side.BUY, SL, "last", trading.sequence)


def test_it_grows_with_each_partial_fill_and_waits_while_nothing_is_filled() -> None:
    trading = Trading()
    parent = trading.place("5", price="95", take_profit=D(110), stop_loss=D(90))
    assert (parent.status, trading.legs) == ("open", [])

    trading.match(parent, asks=(("95", "2"),), bids=(("94", "9"),))
    assert trading.legs == [("take_profit", 2, 110), ("stop_loss", 2, 90)]
    first = trading.account.protective[0]
    trading.match(parent, asks=(("95", "1"),), bids=(("94", "9"),))

    assert trading.legs == [("take_profit", 3, 110), ("stop_loss", 3, 90)]
    assert trading.account.protective[0] is first
    assert trading.told() == [
        ("limit", "partially_filled", "5"),
        ("take_profit", "untriggered", "3"),
        ("stop", "untriggered", "3"),
    ]


def test_only_what_opened_a_position_is_protected() -> None:
    trading = Trading()
    trading.place("3", side=Side.SELL)

    trading.place("1", stop_loss=D(90))  # takes off from the short
    assert trading.legs == []
    trading.place("5", stop_loss=D(90))  # closes 2, opens 3
    trading.place("4")  # brings nothing along

    assert trading.legs == [("stop_loss", 3, 90)]


def test_it_shrinks_with_the_position_and_grows_back_no_further_than_its_fills() -> None:
    trading = Trading()
    trading.place("5", stop_loss=D(90))

    trading.place("3", side=Side.SELL)
    assert trading.legs == [("stop_loss", 2, 90)]
    trading.place("7")

    assert (trading.held, trading.legs) == (9, [("stop_loss", 5, 90)])


@pytest.mark.parametrize("quantity", ["2", "5"])
def test_a_flat_or_turned_position_ends_it(quantity: str) -> None:
    trading = Trading()
    trading.place("2", take_profit=D(110), stop_loss=D(90))
    legs = list(trading.account.protective)

    trading.place(quantity, side=Side.SELL)

    assert [(leg.status, leg.reason) for leg in legs] == [("cancelled", "position_closed")] * 2
    assert (trading.legs, trading.account.open_orders[MARKET_ID].count) == ([], 0)


@pytest.mark.parametrize(("role", "mark"), [(TP, "110"), (SL, "90")])
def test_one_cancels_the_other_in_the_booking_that_fills_it(role: OrderRole, mark: str) -> None:
    trading = Trading()
    trading.place("2", take_profit=D(110), stop_loss=D(90))
    leg, other = trading.leg(role), trading.leg(SL if role is TP else TP)

    assert trading.trigger(leg, mark=mark)

    assert (leg.status, leg.filled_quantity, trading.held) == ("filled", 2, 0)
    assert (other.status, other.filled_quantity, other.reason) == ("cancelled", 0, "other_side_filled")
    assert trading.legs == []
    assert {leg.id, other.id} <= trading.batch.orders.keys()
    assert not trading.trigger(other)


def test_a_leg_that_finds_nobody_waits_for_the_next_tick() -> None:
    trading = Trading()
    trading.place("2", take_profit=D(110), stop_loss=D(90))
    leg = trading.leg(SL)

    assert not trading.trigger(leg, mark="90", bids=(("50", "9"),), asks=(("91", "9"),))

    assert (trading.batch.frames, trading.batch.orders) == ([], {})
    assert (leg.status, trading.legs) == ("untriggered", [("take_profit", 2, 110), ("stop_loss", 2, 90)])
    assert trading.trigger(leg, mark="90")


def test_a_leg_that_is_refused_waits_too() -> None:
    trading = Trading()
    trading.place("2", stop_loss=D(90))
    trading.account.state = "frozen"

    assert not trading.trigger(trading.leg(SL), mark="90")

    assert (trading.batch.frames, trading.legs) == ([], [("stop_loss", 2, 90)])


def test_what_a_leg_could_not_close_stays_protected_by_both() -> None:
    trading = Trading()
    trading.place("5", take_profit=D(110), stop_loss=D(90))
    leg = trading.leg(SL)

    trading.trigger(leg, mark="90", bids=(("89", "2"), ("50", "9")), asks=(("91", "9"),))

    assert (leg.status, leg.filled_quantity, leg.reason) == ("cancelled", 2, "no_liquidity")
    assert (trading.held, sorted(trading.legs)) == (3, [("stop_loss", 3, 90), ("take_profit", 3, 110)])
    trading.at()
    trading.place("4")
    assert (trading.held, sorted(trading.legs)) == (7, [("stop_loss", 3, 90), ("take_profit", 3, 110)])
    trading.trigger(trading.leg(SL), mark="90")
    assert (trading.held, trading.legs) == (4, [])


def test_two_orders_keep_their_own_protection() -> None:
    trading = Trading()
    trading.place("2", stop_loss=D(90))
    trading.place("3", stop_loss=D(80), take_profit=D(120))

    trading.trigger(trading.account.protective[0], mark="90")

    assert (trading.held, sorted(trading.legs)) == (3, [("stop_loss", 3, 80), ("take_profit", 3, 120)])


def test_a_position_is_protected_whole_whatever_its_size_becomes() -> None:
    trading = Trading()
    trading.place("2")

    trading.protect(stop_loss="90", take_profit="110")
    assert sorted(trading.legs) == [("stop_loss", 2, 90), ("take_profit", 2, 110)]
    trading.place("3")
    assert sorted(trading.legs) == [("stop_loss", 5, 90), ("take_profit", 5, 110)]
    trading.place("4", side=Side.SELL)
    assert sorted(trading.legs) == [("stop_loss", 1, 90), ("take_profit", 1, 110)]
    trading.place("1", side=Side.SELL)

    position = trading.account.positions[MARKET_ID]
    assert (trading.legs, position.stop_loss, position.take_profit) == ([], None, None)


def test_a_turned_position_starts_without_protection() -> None:
    trading = Trading()
    trading.place("2")
    trading.protect(stop_loss="90")

    trading.place("5", side=Side.SELL)

    assert (trading.held, trading.legs, trading.account.positions[MARKET_ID].stop_loss) == (-3, [], None)


def test_protection_of_a_position_is_changed_and_removed() -> None:
    trading = Trading()
    trading.place("2")
    trading.protect(stop_loss="90", take_profit="110")
    first, version = trading.leg(SL), trading.account.positions[MARKET_ID].version

    trading.protect(stop_loss="92")
    assert (first.status, first.reason) == ("cancelled", "replaced")
    assert sorted(trading.legs) == [("stop_loss", 2, 92), ("take_profit", 2, 110)]
    assert trading.leg(SL).admitted_sequence == trading.sequence
    trading.protect(stop_loss="92")
    assert trading.batch.frames == []
    trading.protect(stop_loss=None)

    assert trading.legs == [("take_profit", 2, 110)]
    assert trading.account.positions[MARKET_ID].version == version + 2


def test_a_short_shows_what_is_reached_first() -> None:
    trading = Trading()
    trading.place("2", side=Side.SELL, stop_loss=D(120), take_profit=D(80))
    trading.place("3", side=Side.SELL, stop_loss=D(110), take_profit=D(90))

    shown = protection.levels(trading.account.positions[MARKET_ID], trading.account.protective)

    assert shown == {"take_profit": 90, "stop_loss": 110}


def test_protection_of_the_whole_takes_the_place_of_what_orders_brought() -> None:
    trading = Trading()
    trading.place("2", stop_loss=D(90), take_profit=D(110))
    trading.place("3", stop_loss=D(80))
    assert protection.levels(trading.account.positions[MARKET_ID], trading.account.protective) == {
        "take_profit": 110, "stop_loss": 90,
    }  # fmt: skip

    trading.protect(stop_loss="90")  # as the first part has it already, but now for all
    assert sorted(trading.legs) == [("stop_loss", 5, 90), ("take_profit", 2, 110)]
    trading.protect(take_profit=None)

    assert trading.legs == [("stop_loss", 5, 90)]


def test_cancelling_a_leg_of_the_position_removes_that_protection() -> None:
    trading = Trading()
    trading.place("2")
    trading.protect(stop_loss="90", take_profit="110")

    booking.cancel(trading.begin(), trading.leg(SL), board=board("100"), reason="requested")

    assert trading.legs == [("take_profit", 2, 110)]
    assert trading.account.positions[MARKET_ID].stop_loss is None
    trading.place("1")
    assert trading.legs == [("take_profit", 3, 110)]


def test_cancelling_what_an_order_brought_leaves_the_positions_own_protection() -> None:
    trading = Trading()
    trading.place("2")
    trading.protect(stop_loss="92")
    parent = trading.place("1", stop_loss=D(90))
    (brought,) = [leg for leg in trading.account.protective if leg.parent_id == parent.id]

    booking.cancel(trading.begin(), brought, board=board("100"), reason="requested")

    assert trading.account.positions[MARKET_ID].stop_loss == 92
    assert trading.legs == [("stop_loss", 3, 92)]


def test_cancelling_everything_cancels_protection_for_good() -> None:
    trading = Trading()
    trading.place("2", take_profit=D(120))
    trading.protect(stop_loss="90")
    named: dict[str, Any] = {"to": OrderStatus.CANCELLED, "board": board("100"), "reason": "requested"}

    end_orders(trading.begin(), list(trading.account.protective), **named)
    trading.place("1")

    assert (trading.legs, trading.account.open_orders[MARKET_ID].count) == ([], 0)


def test_a_partly_filled_leg_of_the_position_is_made_anew() -> None:
    trading = Trading()
    trading.place("5")
    trading.protect(stop_loss="90", take_profit="110")

    trading.trigger(trading.leg(SL), mark="90", bids=(("89", "2"), ("50", "9")), asks=(("91", "9"),))

    assert (trading.held, sorted(trading.legs)) == (3, [("stop_loss", 3, 90), ("take_profit", 3, 110)])


@pytest.mark.parametrize(
    ("side", "wanted", "refusal"),
    [
        (Side.BUY, {"stop_loss": "100"}, (1001, "stop_loss")),
        (Side.BUY, {"take_profit": "100"}, (1001, "take_profit")),
        (Side.SELL, {"stop_loss": "100"}, (1001, "stop_loss")),
        (Side.SELL, {"take_profit": "101", "stop_loss": "110"}, (1001, "take_profit")),
        (Side.BUY, {"stop_loss": "90.5"}, (3002, "stop_loss")),
    ],
)
def test_a_positions_protection_lies_on_its_side_of_the_mark(
    side: Side, wanted: dict[str, str], refusal: tuple[int, str]
) -> None:
    trading = Trading()
    trading.place("2", side=side)

    with pytest.raises(AstradeError) as raised:
        trading.protect(**wanted)

    details = raised.value.details
    assert (raised.value.code, next(iter(details.get("fields", details)))) == refusal


quantities = st.integers(1, 9).map(str)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from(Side), quantities, st.booleans(), st.booleans()),
        st.tuples(st.just("rest"), quantities, st.booleans(), st.booleans()),
        st.tuples(st.just("match"), st.integers(1, 4)),
        st.tuples(st.just("protect"), st.sampled_from(OrderRole), st.booleans()),
        st.tuples(st.just("trigger"), st.sampled_from(OrderRole), st.integers(0, 20)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
    ),
    max_size=25,
)


class Script:
    """Random orders, fills, triggers and cancels, and what must hold after each."""

    def __init__(self) -> None:
        self.trading = Trading()
        self.opened: dict[int, Decimal] = {}  # parent → what of its fills opened a position
        self.seen: dict[int, OrderState] = {}
        self.pair_was_cut: set[int | None] = set()  # parents one of whose legs traded or was cancelled by hand

    def run(self, step: tuple[Any, ...]) -> None:
        """One booking; a refusal leaves everything as it was."""
        name, *arguments = step
        if self.trading.batch.frames or name != "match":
            self.trading.at()
        getattr(self, name)(*arguments)
        self.seen |= {leg.id: leg for leg in self.trading.account.protective}

    def open(self, side: Side, quantity: str, take_profit: bool, stop_loss: bool) -> None:
        """A market order."""
        self.counted(lambda: self.trading.place(quantity, side=side, **self.brought(side, take_profit, stop_loss)))

    def rest(self, quantity: str, take_profit: bool, stop_loss: bool) -> None:
        """A limit order that waits below."""
        self.trading.place(quantity, price="95", **self.brought(Side.BUY, take_profit, stop_loss))

    def match(self, quantity: int) -> None:
        """Some of what waits is filled."""
        resting = [order for order in self.trading.orders.values() if order.is_resting]
        if resting:
            book = {"asks": (("95", str(quantity)),), "bids": (("94", "9"),)}

            def matched() -> OrderState:
                self.trading.match(resting[0], **book)
                return resting[0]

            self.counted(matched)

    def counted(self, call: Any) -> None:
        """Note what a fill opened."""
        before = self.trading.held
        order = call()
        after = self.trading.held
        if after * order.side.sign > 0:
            grown = abs(after - before) if before * order.side.sign >= 0 else abs(after)
            self.opened[order.id] = self.opened.get(order.id, D(0)) + grown

    def brought(self, side: Side, take_profit: bool, stop_loss: bool) -> dict[str, Decimal]:
        """Prices that lie right for a market and a resting order."""
        levels = {"take_profit": D(100 + 20 * side.sign), "stop_loss": D(100 - 20 * side.sign)}
        wanted = {"take_profit": take_profit, "stop_loss": stop_loss}
        return {name: price for name, price in levels.items() if wanted[name]}

    def protect(self, role: OrderRole, remove: bool) -> None:
        """Of the whole position, where there is one."""
        held = self.trading.held
        if held:
            away = 15 if (held > 0) == (role is TP) else -15
            self.trading.protect(**{role.value: None if remove else str(100 + away)})
            self.pair_was_cut |= set(self.opened)

    def trigger(self, role: OrderRole, depth: int) -> None:
        """The first in that role, against a book of some depth."""
        waiting = [leg for leg in self.trading.account.protective if leg.role is role and leg.status == "untriggered"]
        if waiting:
            self.pair_was_cut.add(waiting[0].parent_id)
            bids, asks = (("99", str(depth + 1)), ("50", "1")), (("101", str(depth + 1)), ("150", "1"))
            before = abs(self.trading.held)
            self.trading.trigger(waiting[0], bids=bids, asks=asks)
            assert abs(self.trading.held) <= before

    def cancel(self, number: int) -> None:
        """Some live order."""
        live = [order for order in (*self.trading.orders.values(), *self.seen.values()) if order.is_live]
        if live:
            order = live[number % len(live)]
            self.pair_was_cut.add(order.parent_id)
            booking.cancel(self.trading.begin(), order, board=board("100"), reason="requested")

    def check(self) -> None:
        """Quantities, sides, pairs, counts."""
        trading, held = self.trading, self.trading.held
        waiting = [leg for leg in trading.account.protective if leg.status is OrderStatus.UNTRIGGERED]
        for leg in waiting:
            assert held * leg.side.sign < 0, "a live protective order closes something"
            assert 0 < leg.quantity <= abs(held)
            if leg.parent_id is None:
                assert leg.quantity == abs(held)
            elif leg.parent_id not in self.pair_was_cut:
                assert leg.quantity == min(self.opened[leg.parent_id], abs(held))
        assert len({(leg.parent_id, leg.role) for leg in waiting}) == len(waiting)
        position = trading.account.positions.get(MARKET_ID)
        own = {leg.role: leg.trigger_price for leg in waiting if leg.parent_id is None}
        for role in OrderRole:
            assert own.get(role) == (protection.price_of(position, role) if position else None)
        for parent, opened in self.opened.items():
            closed = [leg.filled_quantity for leg in self.seen.values() if leg.parent_id == parent]
            assert sum(closed, D(0)) <= opened
            full = [leg for leg in self.seen.values() if leg.parent_id == parent and leg.status == "filled"]
            assert len(full) <= 1 or trading.orders[parent].fill_count > 1
        live = [order for order in (*trading.orders.values(), *waiting) if order.is_live]
        assert trading.account.orders_on(MARKET_ID).count == len(live)


@given(script=steps)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_protection_is_what_the_position_needs_after_every_step(script: list[tuple[Any, ...]]) -> None:
    told = Script()
    for step in script:
        told.run(step)
        told.check()


def test_the_copy_of_a_rehearsal_leaves_the_account_alone() -> None:
    trading = Trading()
    order = trading.place("2", stop_loss=D(90))
    batch = trading.begin()

    trial, copied = batch.rehearsal(order)
    trial.position_on(MARKET_ID).quantity += 5
    copied.quantity = D(9)

    assert (trading.held, order.quantity, batch.positions, batch.inserts) == (2, 2, {}, {})
    assert replace(order, quantity=D(9)) == copied


def changeable(of: object) -> set[int]:
    """Identities of all within `of` that can be changed: collections, and dataclasses that are not frozen."""
    if is_dataclass(of):
        inner = [getattr(of, field.name) for field in fields(of)]
        own = set() if getattr(of, "__dataclass_params__").frozen else {id(of)}  # noqa: B009  no stub knows it
    elif isinstance(of, dict | list | set):
        inner, own = list(of.values() if isinstance(of, dict) else of), {id(of)}
    else:
        return set()
    return own.union(*map(changeable, inner))


def test_a_copied_account_shares_nothing_that_can_change() -> None:
    trading = Trading()
    order = trading.place("2", stop_loss=D(90), take_profit=D(110))
    order.twap = TwapState(duration_s=60, slices=3, jitter=D(0), seed=1, starts_at=order.created_at, reserve_price=D(1))
    trading.account.orders = [order, *trading.account.protective]
    account, copied = trading.account.with_order(order)

    assert (account, copied) == (trading.account, order)
    assert not changeable(account) & changeable(trading.account)
    assert account.orders[0] is copied
    assert all(one is other for one, other in zip(account.orders[1:], account.protective, strict=True))
