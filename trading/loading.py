"""Lock an account and load what a booking is decided on, in one round trip.

Two statements, not one: under READ COMMITTED a statement that had to wait for the account's row would still see every
other table as it was before the wait. The second statement's snapshot is taken once the lock is held. Times are the
database's, so that rows of one account never go back in time however many machines write them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from astrade.core.attributes import attributes
from astrade.core.errors import NotFound
from trading.domain.lifecycle import LIVE, RESTING, Side
from trading.domain.limits import Halt, RiskDay
from trading.domain.slicing import TwapState
from trading.domain.state import (
    ORDER_COLUMNS,
    AccountHead,
    AccountState,
    CashState,
    HeldAmount,
    OpenOrders,
    OrderState,
    PositionState,
)
from trading.models.base import ROW_IDS
from trading.pipeline import Statement, run_together


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRef:
    """Whose account is meant: by row id, or the user's by UUID, or the user's primary one."""

    user_id: int | None = None
    account_uuid: UUID | None = None
    account_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRef:
    """An order of that account: by row id, UUID, number, client order id or its venue's id; exactly one is given."""

    order_id: int | None = None
    uuid: UUID | None = None
    number: int | None = None
    client_order_id: str | None = None
    venue_order_id: int | None = None

    def column_and_value(self) -> tuple[str, Any]:
        """The column that identifies it, and its value."""
        named = {
            "id": self.order_id,
            "uuid": self.uuid,
            "number": self.number,
            "client_order_id": self.client_order_id,
            "venue_order_id": self.venue_order_id,
        }
        return next((column, value) for column, value in named.items() if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersRef:
    """Which of the account's live orders to load: all, or those of these row ids (and with them those that rest), those
    of a market or side, those whose time is over, those that rest, or those that rest within reach of a taker of the
    other side with this limit, and with them those of that side which rest at it. At most `ORDERS_AT_ONCE`, oldest
    first.
    """

    order_ids: tuple[int, ...] = ()
    and_resting: bool = False
    market_id: int | None = None
    side: Side | None = None
    expired: bool = False
    resting: bool = False
    within_reach: Decimal | None = None

    def condition_and_values(self, first: int) -> tuple[str, tuple[object, ...]]:
        """SQL with parameters from `$first` on, and their values."""
        parts, values = [f"status IN ({_LIVE})"], list[object]()
        if self.order_ids:
            values.append(f"{{{','.join(map(str, self.order_ids))}}}")
            named = f"id = ANY(${first}::bigint[])"
            parts.append(f"({named} OR {_RESTS})" if self.and_resting else named)
        if self.market_id is not None:
            values.append(self.market_id)
            parts.append(f"market_id = ${first + len(values) - 1}")
        if self.side is not None and self.within_reach is None:
            parts.append(f"side = '{self.side}'")
        if self.expired:
            parts.append("expires_at <= clock_timestamp()")
        if self.resting or self.within_reach is not None:
            parts.append(_RESTS)
        if self.within_reach is not None:
            reached, limit = "<=" if self.side is Side.SELL else ">=", f"${first + len(values)}"
            in_the_way = f"price = {limit} OR (side = '{self.side}' AND price {reached} {limit})"
            parts.append(f"({in_the_way})")
            values.append(self.within_reach)
        return " AND ".join(parts), tuple(values)


class _Sums(msgspec.Struct):
    market_id: int
    count: int
    buy_quantity: Decimal
    buy_notional: Decimal
    sell_quantity: Decimal
    sell_notional: Decimal


class _Loaded(msgspec.Struct):
    now: datetime
    row_id: int
    cash: CashState
    positions: list[PositionState] | None
    open_orders: list[_Sums] | None
    leverage: dict[int, int] | None
    holds: list[HeldAmount] | None
    cool_off_until: datetime | None
    halts: list[Halt] | None
    risk_day: RiskDay | None
    order: OrderState | None
    protective: list[OrderState] | None
    orders: list[OrderState] | None


_decoder = msgspec.json.Decoder(_Loaded)
_head_decoder = msgspec.json.Decoder(AccountHead)
_LIVE = ", ".join(f"'{status}'" for status in sorted(LIVE))
_RESTING = ", ".join(f"'{status}'" for status in sorted(RESTING))
_RESTS = f"(status IN ({_RESTING}) AND type <> 'twap')"
ORDERS_AT_ONCE = 400  # ending one takes two rows of a booking's block
_ACCOUNT_COLUMNS = ", ".join(f"a.{name}" for name in AccountHead.__slots__ if name != "user_state")
_POSITION_COLUMNS = ", ".join(PositionState.__slots__)
_RISK_DAY_COLUMNS = ", ".join(RiskDay.__slots__)
_TWAP_COLUMNS = ", ".join(TwapState.__slots__)
_ORDER_COLUMNS = (
    ", ".join(ORDER_COLUMNS)
    + """,
    CASE WHEN parent_id IS NOT NULL THEN
      (SELECT p.uuid FROM trading_order p WHERE p.id = trading_order.parent_id) END AS parent_uuid,"""
    + f"""
    CASE WHEN type = 'twap' THEN (SELECT row_to_json(w) FROM (SELECT {_TWAP_COLUMNS} FROM trading_twapplan
      WHERE order_id = trading_order.id) w) END AS twap"""
)
_MARGIN_PRICE = """CASE
      WHEN reduce_only OR status = 'untriggered' OR (status = 'submitted' AND trigger_price IS NOT NULL) THEN NULL
      WHEN type = 'twap' THEN (SELECT reserve_price FROM trading_twapplan w WHERE w.order_id = o.id)
      ELSE coalesce(price, reserve_price) END"""  # as OrderState's
_LOCK = f"""
SELECT row_to_json(h)::text FROM (
  SELECT {_ACCOUNT_COLUMNS}, (SELECT u.state FROM accounts_user u WHERE u.id = a.user_id) AS user_state
  FROM trading_tradingaccount a WHERE {{where}}{{lock}}) h
"""
_FOR_UPDATE = " FOR NO KEY UPDATE OF a"
_LOAD = """
WITH me AS MATERIALIZED (SELECT id, user_id, currency FROM trading_tradingaccount a WHERE {where})
SELECT json_build_object(
  'now', clock_timestamp(),
  'row_id', nextval('{row_ids}'),
  'cash', (SELECT json_build_object('id', c.id, 'asset', c.asset, 'balance', c.balance)
           FROM trading_cashbalance c, me WHERE c.account_id = me.id AND c.asset = me.currency),
  'positions', (SELECT json_agg(p) FROM (SELECT {positions} FROM trading_position
                WHERE account_id = (SELECT id FROM me) AND (quantity <> 0 OR market_id = ${market})) p),
  'open_orders', (SELECT json_agg(s) FROM (SELECT market_id, count(*) AS count,
      coalesce(sum(remaining) FILTER (WHERE side = 'buy' AND margin_price IS NOT NULL), 0) AS buy_quantity,
      coalesce(sum(remaining * margin_price) FILTER (WHERE side = 'buy'), 0) AS buy_notional,
      coalesce(sum(remaining) FILTER (WHERE side = 'sell' AND margin_price IS NOT NULL), 0) AS sell_quantity,
      coalesce(sum(remaining * margin_price) FILTER (WHERE side = 'sell'), 0) AS sell_notional
      FROM (SELECT market_id, side, quantity - filled_quantity AS remaining, {margin_price} AS margin_price
            FROM trading_order o WHERE account_id = (SELECT id FROM me) AND status IN ({live})) o
      GROUP BY market_id) s),
  'leverage', (SELECT json_object_agg(market_id, leverage) FROM trading_marketsetting
               WHERE account_id = (SELECT id FROM me)),
  'holds', (SELECT json_agg(h) FROM (SELECT id, reference, amount FROM trading_hold
            WHERE account_id = (SELECT id FROM me) AND state = 'held' AND asset = (SELECT currency FROM me)) h),
  'cool_off_until', (SELECT cool_off_until FROM accounts_user WHERE id = (SELECT user_id FROM me)),
  'halts', (SELECT json_agg(h) FROM (SELECT scope, venue, reason, since, until FROM trading_tradinghalt
            WHERE ended_at IS NULL AND (market_id IS NULL OR market_id = ${market})
            AND (account_id IS NULL OR account_id = (SELECT id FROM me)) ORDER BY id) h),
  'risk_day', (SELECT row_to_json(d) FROM (SELECT {risk_day} FROM trading_riskday
               WHERE account_id = (SELECT id FROM me) ORDER BY starts_at DESC LIMIT 1) d),
  'order', {order},
  'protective', (SELECT json_agg(o) FROM (SELECT {orders} FROM trading_order WHERE account_id = (SELECT id FROM me)
                 AND status = 'untriggered' AND role IS NOT NULL ORDER BY id) o),
  'orders', {chosen}
)::text
"""
_ORDER = """(SELECT row_to_json(o) FROM (SELECT {columns} FROM trading_order
             WHERE account_id = (SELECT id FROM me) AND {column} = ${order}) o)"""
_ORDERS = """(SELECT json_agg(o) FROM (SELECT {columns} FROM trading_order
              WHERE account_id = (SELECT id FROM me) AND {condition} ORDER BY id LIMIT {limit}) o)"""


def load_account(
    account: AccountRef,
    *,
    market_id: int | None = None,
    order: OrderRef | None = None,
    orders: OrdersRef | None = None,
) -> tuple[AccountState, datetime]:
    """The account's state and the present moment by the database's clock; call it inside a transaction, which then
    holds the account's lock until it ends.

    `market_id` adds the (possibly flat) position of that market, `order` the order it names, `orders` those it
    describes. Raises NotFound.
    """
    return _load(account, market_id=market_id, order=order, orders=orders, lock=_FOR_UPDATE)


def read_account(account: AccountRef, *, market_id: int | None = None, orders: OrdersRef | None = None) -> AccountState:
    """The account's state as it stands, without a lock: to show, never to decide a write on. Raises NotFound."""
    state, _ = _load(account, market_id=market_id, order=None, orders=orders, lock="")
    return state


def read_accounts(account_ids: Sequence[int]) -> list[AccountState]:
    """The states of several accounts in one round trip, in the order asked for; missing ones are left out."""
    pairs = [_statements(AccountRef(account_id=account_id)) for account_id in account_ids]
    values = run_together(*(statement for pair in pairs for statement in pair))
    return [_state(head, loaded)[0] for head, loaded in zip(values[::2], values[1::2], strict=True) if head]


def _load(
    account: AccountRef, *, market_id: int | None, order: OrderRef | None, orders: OrdersRef | None, lock: str
) -> tuple[AccountState, datetime]:
    head, loaded = run_together(*_statements(account, market_id=market_id, order=order, orders=orders, lock=lock))
    if head is None:
        raise NotFound
    return _state(head, loaded)


def _statements(
    account: AccountRef,
    *,
    market_id: int | None = None,
    order: OrderRef | None = None,
    orders: OrdersRef | None = None,
    lock: str = "",
) -> tuple[Statement, Statement]:
    where, values = _condition(account)
    column, value = order.column_and_value() if order else (None, None)
    asked = (*values, market_id) if order is None else (*values, market_id, value)
    condition, more = orders.condition_and_values(len(asked) + 1) if orders else (None, ())
    load = _load_text(where, len(values), column, condition)
    return (_lock_text(where, lock), values), (load, (*asked, *more))


def _state(head: bytes, loaded: bytes | None) -> tuple[AccountState, datetime]:
    account, found = _head_decoder.decode(head), _decoder.decode(loaded or b"")
    protective = _with_named(found.protective or [], found.order)
    state = AccountState(
        **attributes(account, AccountHead.__slots__),
        row_id=found.row_id,
        cash=found.cash,
        positions={position.market_id: position for position in found.positions or ()},
        open_orders={sums.market_id: _open_orders(sums) for sums in found.open_orders or ()},
        leverage=found.leverage or {},
        holds=found.holds or [],
        cool_off_until=found.cool_off_until,
        halts=found.halts or [],
        risk_day=found.risk_day,
        order=found.order,
        protective=protective,
        orders=_with_known(found.orders or [], protective if found.order is None else (*protective, found.order)),
    )
    return state, found.now


def _condition(account: AccountRef) -> tuple[str, tuple[object, ...]]:
    if account.account_id is not None:
        return "a.id = $1", (account.account_id,)
    if account.account_uuid is not None:
        return "a.user_id = $1 AND a.uuid = $2", (account.user_id, account.account_uuid)
    return "a.user_id = $1 AND a.is_primary", (account.user_id,)


@lru_cache
def _lock_text(where: str, lock: str) -> str:
    return _LOCK.format(where=where, lock=lock)


@lru_cache
def _load_text(where: str, values: int, order_column: str | None, condition: str | None) -> str:
    named = {"live": _LIVE, "row_ids": ROW_IDS, "positions": _POSITION_COLUMNS, "market": values + 1}
    named["risk_day"] = _RISK_DAY_COLUMNS
    named |= {"orders": _ORDER_COLUMNS, "margin_price": _MARGIN_PRICE}
    order = _ORDER.format(columns=_ORDER_COLUMNS, column=order_column, order=values + 2) if order_column else "NULL"
    chosen = _ORDERS.format(columns=_ORDER_COLUMNS, condition=condition, limit=ORDERS_AT_ONCE) if condition else "NULL"
    return _LOAD.format(where=where, order=order, chosen=chosen, **named)


def _with_known(orders: list[OrderState], known: Iterable[OrderState]) -> list[OrderState]:
    """`orders` in which those that were loaded for another reason too are the same objects."""
    by_id = {order.id: order for order in known}
    return [by_id.get(order.id, order) for order in orders]


def _with_named(orders: list[OrderState], named: OrderState | None) -> list[OrderState]:
    """`orders` in which the one named by the caller is that same object."""
    return [named if named is not None and order.id == named.id else order for order in orders]


def _open_orders(sums: _Sums) -> OpenOrders:
    values = {name: getattr(sums, name) for name in _Sums.__struct_fields__ if name != "market_id"}
    return OpenOrders(**values)
