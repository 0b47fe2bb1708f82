"""Decide every fill again from what is stored, and name each digit that differs (DESIGN §5.10).

A fill's price, quantity and fee come from its decision's basis, the order's side and seed, and the market rules that
were in force; its realised PnL from the fills before it; its other columns from order and account, and identifier and
time from the `trade_update` event that told of it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from astrade.core.money import plain
from marketdata.models import Market, MarketRules
from trading.domain.bodies import fill_body
from trading.domain.fill_basis import digest_of, recompute
from trading.domain.lifecycle import Side
from trading.domain.positions import apply_fill
from trading.domain.simulator import Execution, seed_of
from trading.domain.state import PositionState
from trading.models import Event, Fill, TradingAccount

AT_ONCE = 2000  # rows of one fetch
NO_UUID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of a fill that isn't what it has to be; `fill` is the account's number of it."""

    fill: int
    name: str
    stored: str
    computed: str

    def __str__(self) -> str:
        return f"fill {self.fill}: {self.name} is {self.stored}, computed {self.computed}"


def replay_fills(account: TradingAccount) -> Iterator[list[Difference]]:
    """Differences of one fill after the other, and at last of what is missing at the end; call it in a transaction
    that sees one state of the database. Memory grows with the account's partly filled orders only.
    """
    fills = Fill.objects.filter(account=account).select_related("order").order_by("number")
    told = Event.objects.filter(account=account, kind="trade_update").order_by("sequence")
    events, heard, replay = told.iterator(chunk_size=AT_ONCE), 0, _Replay(account)
    for fill in fills.iterator(chunk_size=AT_ONCE):
        event = None
        while heard < fill.number:  # the events of fills that are gone tell of nothing here
            event, heard = next(events, None), heard + 1
        yield list(replay.differences(fill, event))
    yield list(replay.rest())


class _Replay:
    """One account's fills, in their order."""

    def __init__(self, account: TradingAccount) -> None:
        self._account = account
        self._symbols: dict[int, str] = dict(Market.objects.values_list("pk", "symbol"))
        self._number = 0
        self._due: deque[Execution] = deque()  # of the decision being replayed
        self._due_order = 0
        self._is_taker = False
        self._fills_of: dict[int, int] = {}  # orders that are to get more, and how many they got
        self._positions: dict[int, PositionState] = {}
        self._rules: dict[int, MarketRules] = {}

    def differences(self, fill: Fill, event: Event | None) -> Iterator[Difference]:
        """What of `fill` isn't as computed; `event` is the one that should tell of it."""
        if self._due and fill.order_id != self._due_order:
            yield self._missing(fill.number)
            self._due.clear()
        nth = self._fills_of.get(fill.order_id, 0) + 1
        seed = seed_of(self._account.uuid, fill.order.number, nth - 1)
        execution = None
        if self._due:
            if fill.basis is not None:
                yield Difference(fill.number, "basis", "present", "that of an earlier fill")
            execution = self._due.popleft()
        else:
            fault = self._decide(fill, seed=seed)
            if fault:
                yield Difference(fill.number, "basis", fault, "what gives this fill")
            execution = self._due.popleft() if self._due else None
        computed = self._computed(fill, execution, seed=seed, nth=nth)
        stored = {name: getattr(fill, name) for name in computed}
        yield from self._told(fill.number, stored, computed)
        if event is None:
            yield Difference(fill.number, "event", "missing", "a trade_update")
        else:
            body = fill_body(fill, order=fill.order.uuid, symbol=self._symbols[fill.order.market_id])
            names = {f"event {name}": value for name, value in body.items()} | {"event at": fill.at}
            told = {f"event {name}": value for name, value in event.data.items()} | {"event at": event.at}
            yield from self._told(fill.number, names, told)
        self._count(fill, nth=nth)

    def rest(self) -> Iterator[Difference]:
        """What should have followed the last fill."""
        if self._due:
            yield self._missing(self._number + 1)
        if self._number != self._account.fill_count:
            yield Difference(self._number, "number", "the last", f"{self._account.fill_count} fills")

    def _decide(self, fill: Fill, *, seed: int) -> str | None:
        """Recompute the decision that begins with `fill`; returns what is wrong with its basis, if anything."""
        basis: Any = fill.basis
        if not isinstance(basis, dict):
            return "missing"
        try:
            rules = self._rules_of(basis["rules"])
            self._due = deque(recompute(basis, rules, side=Side(fill.order.side), seed=seed))
        except (KeyError, ValueError, TypeError, ArithmeticError, MarketRules.DoesNotExist) as exc:
            return f"unusable ({type(exc).__name__})"
        self._due_order, self._is_taker = fill.order_id, basis["kind"] == "take"
        if digest_of(basis) != basis.get("digest"):
            return f"changed ({digest_of(basis)})"
        if (rules.market_id, basis["book"]) != (fill.market_id, fill.book_sequence):
            return f"of book {basis['book']} under rules {rules}"
        return None

    def _rules_of(self, pk: int) -> MarketRules:
        if pk not in self._rules:
            self._rules[pk] = MarketRules.objects.get(pk=pk)
        return self._rules[pk]

    def _computed(self, fill: Fill, execution: Execution | None, *, seed: int, nth: int) -> dict[str, Any]:
        order, side = fill.order, Side(fill.order.side)
        done = execution or Execution(fill.price, fill.quantity, fill.fee)
        position = self._positions.setdefault(
            order.market_id, PositionState(id=0, uuid=NO_UUID, market_id=order.market_id)
        )
        realized, _ = apply_fill(
            position,
            side=side,
            price=done.price,
            quantity=done.quantity,
            fee=done.fee,
            at=fill.at,
            next_uuid=NO_UUID,
        )
        return {
            "number": self._number + 1,
            "venue_trade_id": f"{order.uuid}:{nth}",
            "market_id": order.market_id,
            "side": side,
            "price": done.price,
            "quantity": done.quantity,
            "fee": done.fee,
            "fee_asset": self._account.currency,
            "is_taker": fill.is_taker if execution is None else self._is_taker,
            "realized_pnl": realized,
            "seed": seed,
        }

    def _told(self, number: int, stored: dict[str, Any], computed: dict[str, Any]) -> Iterator[Difference]:
        for name in computed:
            here, there = _text(stored.get(name)), _text(computed[name])
            if here != there:
                yield Difference(number, name, here, there)

    def _count(self, fill: Fill, *, nth: int) -> None:
        self._number = fill.number
        if nth < fill.order.fill_count:
            self._fills_of[fill.order_id] = nth
        else:
            self._fills_of.pop(fill.order_id, None)

    def _missing(self, number: int) -> Difference:
        due = self._due[0]
        return Difference(number, "fill", "missing", f"{plain(due.quantity)} at {plain(due.price)} before it")


def _text(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
