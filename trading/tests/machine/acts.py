"""What users do with orders and positions: each act is drawn as plain numbers, then aimed at what is there."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from hypothesis import strategies as st

from marketdata.selectors import market_by_symbol
from trading.domain.lifecycle import OrderRole, OrderType, Side, TimeInForce
from trading.domain.replacing import Changes
from trading.domain.slicing import TwapTerms
from trading.domain.state import OrderRequest
from trading.loading import OrderRef, read_account
from trading.services.accounts import set_leverage, update_account
from trading.services.due import set_switch
from trading.services.orders import cancel_order, cancel_orders, place_order
from trading.services.positions import close_position, protect_position
from trading.services.replacing import replace_order
from trading.services.twap import pause_order, resume_order
from trading.tests.factories import D, ref
from trading.tests.machine.actors import Call
from trading.tests.machine.world import World, new_key

AT_LIMIT = (OrderType.LIMIT, OrderType.STOP_LIMIT)
WITH_TRIGGER = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT)


@dataclass(frozen=True, slots=True)
class Act:
    """A call that may be made again by whoever got no answer; `admits` if it is held against free margin."""

    call: Call
    admits: bool = False


class Plan(Protocol):
    """An act as it is drawn."""

    def aim(self, world: World) -> Act | None:
        """The call, at what is there now; None where there is nothing to aim at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Any kind of order around the price."""

    account: int
    symbol: str
    side: Side
    type: OrderType
    quantity: str
    offset: int
    trigger: int
    time_in_force: TimeInForce
    lasts_s: int
    leverage: int | None
    flag: str
    protected: bool
    slices: int
    known_id: int | None

    def aim(self, world: World) -> Act | None:
        """With a new client order id, or one that was used before."""
        account = world.account(self.account)
        used = [name for owner, name in world.client_order_ids if owner == account.pk]
        name = used[self.known_id % len(used)] if used and self.known_id is not None else new_key()
        world.client_order_ids.append((account.pk, name))
        request = self._request(world, name)
        return Act(lambda: place_order(account=ref(account), symbol=self.symbol, request=request).body, admits=True)

    def _request(self, world: World, name: str) -> OrderRequest:
        middle = world.streets[self.symbol].middle
        at_limit, has_trigger = self.type in AT_LIMIT, self.type in WITH_TRIGGER
        lasts = self.time_in_force is TimeInForce.GTT
        away = self.side.sign * (3 if self.offset % 2 else 20)
        return OrderRequest(
            side=self.side,
            type=self.type,
            quantity=D(self.quantity),
            price=D(middle + self.offset) if at_limit else None,
            trigger_price=D(middle + self.trigger) if has_trigger else None,
            time_in_force=self.time_in_force if at_limit else TimeInForce.GTC,
            expires_at=world.now + timedelta(seconds=self.lasts_s) if lasts and at_limit else None,
            leverage=self.leverage,
            post_only=self.flag == "post_only" and at_limit,
            reduce_only=self.flag == "reduce_only",
            client_order_id=name,
            twap=TwapTerms(duration_s=60, slices=self.slices) if self.type is OrderType.TWAP else None,
            stop_loss=D(middle - away) if self.protected else None,
            take_profit=D(middle + away) if self.protected else None,
        )


@dataclass(frozen=True, slots=True)
class Cancel:
    """One order, be it live or not."""

    order: int
    live: bool

    def aim(self, world: World) -> Act | None:
        """The order by its row."""
        order = world.order(self.order, live=self.live)
        if order is None:
            return None
        return Act(lambda: cancel_order(account=ref(order.account), order=OrderRef(order_id=order.pk)))


@dataclass(frozen=True, slots=True)
class Pause:
    """A TWAP order waits, or goes on."""

    order: int
    goes_on: bool

    def aim(self, world: World) -> Act | None:
        """One of those there are."""
        order = world.order(self.order, type=OrderType.TWAP)
        if order is None:
            return None
        change = resume_order if self.goes_on else pause_order
        return Act(lambda: change(account=ref(order.account), order=OrderRef(order_id=order.pk)))


@dataclass(frozen=True, slots=True)
class CancelAll:
    """All of an account."""

    account: int

    def aim(self, world: World) -> Act | None:
        """The account."""
        account = world.account(self.account)
        return Act(lambda: cancel_orders(account=ref(account)))


@dataclass(frozen=True, slots=True)
class Replace:
    """Another price or quantity, of the version that was seen or of whichever there is."""

    order: int
    quantity: str | None
    offset: int | None
    trigger: int | None
    is_versioned: bool

    def aim(self, world: World) -> Act | None:
        """The order by its row."""
        order = world.order(self.order)
        if order is None:
            return None
        middle = world.streets[order.market.symbol].middle
        changes = Changes(
            quantity=D(self.quantity) if self.quantity else None,
            price=D(middle + self.offset) if self.offset is not None and order.price is not None else None,
            trigger_price=D(middle + self.trigger) if self.trigger is not None and order.trigger_price else None,
        )
        version = order.version if self.is_versioned else None
        account, named = ref(order.account), OrderRef(order_id=order.pk)
        return Act(lambda: replace_order(account=account, order=named, changes=changes, version=version), admits=True)


@dataclass(frozen=True, slots=True)
class Close:
    """A position or a part of it, by an order with a client order id."""

    account: int
    symbol: str
    quantity: str | None

    def aim(self, world: World) -> Act | None:
        """Whatever is held then."""
        account, name = world.account(self.account), new_key()
        quantity = D(self.quantity) if self.quantity else None
        world.client_order_ids.append((account.pk, name))
        named: dict[str, Any] = {"symbol": self.symbol, "quantity": quantity, "client_order_id": name}
        return Act(lambda: close_position(account=ref(account), **named).body)


@dataclass(frozen=True, slots=True)
class Protect:
    """Stop loss and take profit of a whole position: set, moved, removed or left alone."""

    account: int
    symbol: str
    stop_loss: int | None
    take_profit: int | None

    def aim(self, world: World) -> Act | None:
        """The position that is open now, if any."""
        account, market = world.account(self.account), market_by_symbol(self.symbol)
        position = read_account(ref(account), market_id=market.id).positions.get(market.id)
        if position is None or not position.quantity:
            return None
        sign = 1 if position.quantity > 0 else -1
        middle = world.streets[self.symbol].middle
        levels = {OrderRole.STOP_LOSS: self.stop_loss, OrderRole.TAKE_PROFIT: self.take_profit}
        away = {OrderRole.STOP_LOSS: -sign, OrderRole.TAKE_PROFIT: sign}
        wanted = {role: D(middle + away[role] * level) if level else None for role, level in levels.items()}
        return Act(lambda: protect_position(account=ref(account), position_uuid=position.uuid, wanted=wanted))


@dataclass(frozen=True, slots=True)
class Leverage:
    """An account's on a market."""

    account: int
    symbol: str
    leverage: int

    def aim(self, world: World) -> Act | None:
        """The account."""
        account, market = world.account(self.account), market_by_symbol(self.symbol)
        return Act(lambda: set_leverage(account=ref(account), market=market, leverage=self.leverage), admits=True)


@dataclass(frozen=True, slots=True)
class Limit:
    """A daily limit of the account's own, or which account is the primary one."""

    account: int
    name: str
    value: str | None

    def aim(self, world: World) -> Act | None:
        """The account, as of now."""
        account, now = world.account(self.account), world.now
        value: Any = True if self.name == "primary" else self.value and D(self.value)
        return Act(lambda: update_account(account=ref(account), changes={self.name: value}, now=now).version)


@dataclass(frozen=True, slots=True)
class Switch:
    """The dead-man switch on, renewed or off."""

    account: int
    timeout_s: int

    def aim(self, world: World) -> Act | None:
        """The account."""
        account = world.account(self.account)
        return Act(lambda: set_switch(account=ref(account), timeout_s=self.timeout_s))


few = st.integers(0, 7)
symbols = st.sampled_from(["BTC-USD", "BTC-USD", "ETH-USD"])
sides = st.sampled_from(Side)
quantities = st.sampled_from(["0.001", "0.003", "0.7", "1", "2.345", "7", "40"])
TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.TWAP, *WITH_TRIGGER)
TIMES = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTT, TimeInForce.IOC, TimeInForce.FOK)
offsets = st.none() | st.integers(-6, 6)
placing: st.SearchStrategy[Plan] = st.builds(
    Place,
    account=few,
    symbol=symbols,
    side=sides,
    type=st.sampled_from(TYPES),
    quantity=quantities,
    offset=st.integers(-6, 6),
    trigger=st.integers(-5, 5),
    time_in_force=st.sampled_from(TIMES),
    lasts_s=st.sampled_from([5, 60, 4000]),
    leverage=st.sampled_from([None, None, 1, 5, 10]),
    flag=st.sampled_from(["", "", "", "post_only", "reduce_only"]),
    protected=st.booleans(),
    slices=st.integers(2, 4),
    known_id=st.none() | st.none() | few,
)
opening: st.SearchStrategy[Plan] = st.builds(
    Place,
    account=few,
    symbol=symbols,
    side=sides,
    type=st.sampled_from([OrderType.MARKET, OrderType.LIMIT]),
    quantity=st.sampled_from(["0.7", "1", "2.345", "7"]),
    offset=st.integers(-3, 3),
    trigger=st.just(0),
    time_in_force=st.just(TimeInForce.GTC),
    lasts_s=st.just(60),
    leverage=st.sampled_from([None, 5, 10]),
    flag=st.just(""),
    protected=st.booleans(),
    slices=st.integers(2, 4),
    known_id=st.none(),
)
changing: st.SearchStrategy[Plan] = st.one_of(
    st.builds(Cancel, few, st.sampled_from([True, True, False])),
    st.builds(Replace, few, st.none() | quantities, offsets, offsets, st.booleans()),
    st.builds(Protect, few, symbols, st.none() | st.integers(1, 5), st.none() | st.integers(1, 5)),
    st.builds(Close, few, symbols, st.none() | quantities),
    st.builds(CancelAll, few),
    st.builds(Pause, few, st.booleans()),
)
setting: st.SearchStrategy[Plan] = st.one_of(
    st.builds(Leverage, few, symbols, st.sampled_from([1, 2, 5, 10, 11])),
    st.builds(Limit, few, st.just("max_daily_loss"), st.sampled_from([None, "5", "500"])),
    st.builds(Limit, few, st.just("max_daily_notional"), st.sampled_from([None, "900", "90000"])),
    st.builds(Limit, few, st.just("primary"), st.none()),
    st.builds(Switch, few, st.sampled_from([0, 30, 3000])),
)
