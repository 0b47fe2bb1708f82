"""What the margin watcher keeps of an account: its distance from liquidation as a sum over marks."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import F, QuerySet

from trading.models import CashBalance, Position, TradingAccount


@dataclass(frozen=True, slots=True)
class Exposure:
    """One account with open positions. `base` is cash less what the positions cost (shorts: plus), quote units.

    `holdings` are market row ids with signed quantities.
    """

    account_id: int
    base: Decimal
    holdings: tuple[tuple[int, Decimal], ...]

    def spare(self, marks: Mapping[int, Decimal], rates: Mapping[int, Decimal]) -> Decimal | None:
        """Equity less maintenance margin, exact, by marks and maintenance rates by market; None without a mark."""
        spare = self.base
        for market_id, quantity in self.holdings:
            mark = marks.get(market_id)
            if mark is None:
                return None
            spare += mark * (quantity - abs(quantity) * rates[market_id])
        return spare


def exposures(*, shard: int, shards: int) -> dict[int, Exposure]:
    """Every practice account of a shard that holds an open position."""
    held = _held().annotate(shard=F("account_id") % shards).filter(shard=shard)
    return _exposures(held)


def exposures_of(account_ids: Collection[int]) -> dict[int, Exposure]:
    """Those of the accounts that hold an open position, as they are now."""
    return _exposures(_held().filter(account_id__in=account_ids))


def _held() -> QuerySet[Position]:
    return Position.objects.filter(account__venue=TradingAccount.Venue.PRACTICE).exclude(quantity=0)


def _exposures(held: QuerySet[Position]) -> dict[int, Exposure]:
    """Two queries; a booking between them is told of by its events, and the service decides by what it locks."""
    cost: dict[int, Decimal] = defaultdict(Decimal)
    holdings: dict[int, list[tuple[int, Decimal]]] = defaultdict(list)
    rows = held.order_by("account_id", "market_id").values_list("account_id", "market_id", "quantity", "entry_notional")
    for account_id, market_id, quantity, entry_notional in rows:
        holdings[account_id].append((market_id, quantity))
        cost[account_id] += entry_notional if quantity > 0 else -entry_notional
    cash = CashBalance.objects.filter(account_id__in=list(holdings), asset=F("account__currency"))
    return {
        account_id: Exposure(account_id, balance - cost[account_id], tuple(holdings[account_id]))
        for account_id, balance in cash.values_list("account_id", "balance")
    }
