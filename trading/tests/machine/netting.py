"""The arithmetic of positions and margin told a second time, from rows alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

ZERO = Decimal(0)
CASH = Decimal("0.000001")


@dataclass(slots=True)
class Netting:
    """A position that its fills make: signed quantity, and what is paid for what is open."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    def take(self, signed: Decimal, price: Decimal) -> Decimal:
        """What the fill realises: a part gives its share of the cost free, rounded down once, the last one all."""
        closing = min(abs(self.quantity), abs(signed)) if self.quantity * signed < 0 else ZERO
        free, realized = ZERO, ZERO
        if closing:
            is_whole = closing == abs(self.quantity)
            free = self.cost if is_whole else (self.cost * closing / abs(self.quantity)).quantize(CASH, ROUND_FLOOR)
            realized = (price * closing - free) * (1 if self.quantity > 0 else -1)
        self.quantity += signed
        self.cost += (abs(signed) - closing) * price - free
        return realized


@dataclass(slots=True)
class Reckoned:
    """An account's worth and what its positions, orders and holds bind, in quote units."""

    equity: Decimal = ZERO
    initial: Decimal = ZERO
    held: Decimal = ZERO


def reckon(rows: Iterable[tuple[Any, ...]], marks: Mapping[int, Decimal]) -> dict[int, Reckoned]:
    """By account, from rows of `audit.RESERVED` and the marks by market."""
    found: dict[int, Reckoned] = {}
    for account_id, cash, held, market_id, quantity, cost, leverage, buys, sells in rows:
        reckoned = found.setdefault(account_id, Reckoned(equity=cash, held=held))
        if market_id is None:
            continue
        exposure = quantity * marks[market_id]
        reckoned.equity += exposure - (cost if quantity > 0 else -cost)
        reckoned.initial += max(abs(exposure), abs(exposure + buys), abs(exposure - sells)) / leverage
    return found
