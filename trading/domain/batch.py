"""Everything one booking writes, collected while it decides: the writer turns it into one statement.

A batch changes the `AccountState` it was made for as it goes, so later steps of a booking decide on what earlier
ones did. If the booking refuses, batch and state are thrown away together.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from astrade.core.attributes import attributes
from trading.domain.bodies import event_frame
from trading.domain.ledger import Line, canonical_text, text_hash
from trading.domain.lifecycle import FLOWS, EntryKind, LedgerAccount, OrderStatus, advance
from trading.domain.positions import Closed
from trading.domain.state import AccountState, OrderState, PositionState

Row = Mapping[str, Any]
SCHEMA = 1


class Batch:
    """Rows to write for one account, with ids, numbers and sequences taken from its state.

    `new_uuid` is the randomness port for identifiers.
    """

    def __init__(self, account: AccountState, *, now: datetime, new_uuid: Callable[[], UUID], row_ids: int) -> None:
        self.account, self.now, self.new_uuid = account, now, new_uuid
        self._last_row_id = account.row_id + row_ids - 1
        self.inserts: dict[str, list[Row]] = {}
        self.orders: dict[int, OrderState] = {}
        self.positions: dict[int, PositionState] = {}
        self.leverage: dict[int, int] = {}
        self.moved: dict[int, PositionState] = {}  # positions that the present decision changed, as `closed`
        self.closed: list[Closed] = []
        self._touched: set[int] = set()  # orders that the present decision changed
        self.told: dict[int, Mapping[str, Any]] = {}  # orders as their owner was told of them last
        self.untold: dict[int, OrderState] = {}  # protective orders that changed since the last announcement
        self.late_funding: list[Row] = []  # of positions that closed before their hour was booked
        self.frames: list[dict[str, Any]] = []
        self.cash_changed = False
        self.ended_holds: list[Row] = []

    def rehearsal(self, order: OrderState) -> tuple["Batch", OrderState]:
        """A batch on a copy of the account, and its copy of `order`: to try out what may have to be refused."""
        account, copied = self.account.with_order(order)
        row_ids = self._last_row_id - account.row_id + 1
        return Batch(account, now=self.now, new_uuid=self.new_uuid, row_ids=row_ids), copied

    def next_decision(self) -> None:
        """Begin another of several decisions in one booking: what the ones before it changed is told of already."""
        self.moved.clear()
        self.closed.clear()
        self.untold.clear()
        self._touched.clear()

    def next_id(self) -> int:
        """The next row id of the block."""
        row_id = self.account.row_id
        if row_id > self._last_row_id:
            raise OverflowError("one booking needs more rows than a block of ids holds")
        self.account.row_id += 1
        return row_id

    def insert(self, table: str, row: Row) -> None:
        """A new row of `table`, named as the writer knows it."""
        self.inserts.setdefault(table, []).append(row)

    def move(self, order: OrderState, to: OrderStatus, *, reason: str = "") -> None:
        """Move an order's status through the lifecycle table, with its transition row."""
        row = {"from_status": order.status, "to_status": advance(order.status, to), "reason": reason, "at": self.now}
        self.insert("transition", {"id": self.next_id(), "order_id": order.id} | row)
        order.status, order.reason = to, reason
        self.touch(order)

    def note_change(self, order: OrderState, change: Mapping[str, Any], *, reason: str) -> None:
        """A transition row of an order whose status stays: `change` is `{name: [before, after]}`, or nothing."""
        row = {"from_status": order.status, "to_status": order.status, "reason": reason, "change": change or None}
        self.insert("transition", {"id": self.next_id(), "order_id": order.id, "at": self.now} | row)
        order.reason = reason
        self.touch(order)

    def touch(self, order: OrderState) -> None:
        """Mark an order as changed by the present decision."""
        if order.id not in self._touched:
            order.version += 1
            self._touched.add(order.id)
        order.updated_at = self.now
        self.orders[order.id] = order

    def position_on(self, market_id: int) -> PositionState:
        """The account's position on a market, marked as changed; a flat one is made where there is none."""
        position = self.account.positions.get(market_id)
        if position is None:
            position = PositionState(id=self.next_id(), uuid=self.new_uuid(), market_id=market_id)
            self.account.positions[market_id] = position
        self.positions[market_id] = self.moved[market_id] = position
        return position

    def close_position(self, closed: Closed, *, market_id: int) -> None:
        """The history row of a position that came to flat by the fill booked last."""
        row = attributes(closed, Closed.__slots__)
        row |= {"id": self.next_id(), "account_id": self.account.id, "market_id": market_id, "closed_at": self.now}
        row["number"] = self.account.fill_count
        self.insert("closed_position", row)
        self.closed.append(closed)

    def post(self, kind: EntryKind, *, amount: Decimal, against: LedgerAccount, reference: str) -> None:
        """Book `amount` (signed, in the account's currency) onto the cash account against a platform account.

        An amount of zero is no fact and leaves no entry.
        """
        if not amount:
            return
        account, cash = self.account, self.account.cash
        cash.balance += amount
        if kind in FLOWS:
            account.net_deposits += amount
        self.cash_changed = True
        lines = (
            Line(LedgerAccount.CASH, cash.asset, amount, cash.balance),
            Line(against, cash.asset, -amount, None),
        )
        account.entry_count += 1
        uuid, entry_id, previous_hash = self.new_uuid(), self.next_id(), account.head_hash
        text = canonical_text(
            account=account.uuid,
            entry=uuid,
            number=account.entry_count,
            kind=kind,
            reference=reference,
            at=self.now,
            previous_hash=previous_hash,
            lines=lines,
        )
        account.head_hash = text_hash(text)
        entry = {"id": entry_id, "uuid": uuid, "account_id": account.id, "number": account.entry_count, "kind": kind}
        chain = {"previous_hash": previous_hash, "hash": account.head_hash}
        self.insert("entry", entry | chain | {"reference": reference, "at": self.now})
        for number, line in enumerate(lines, start=1):
            row = attributes(line, Line.__slots__)
            self.insert("posting", {"id": self.next_id(), "entry_id": entry_id, "line": number} | row)

    def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """An account event with the next sequence."""
        self.account.sequence += 1
        sequence = self.account.sequence
        self.frames.append(event_frame(kind=kind, sequence=sequence, schema=SCHEMA, at=self.now, data=data))
        row = {"id": self.next_id(), "account_id": self.account.id, "sequence": sequence, "kind": kind}
        self.insert("event", row | {"schema": SCHEMA, "data": data, "at": self.now})
