"""Users' totals of volume, trades and PnL: a reader of account events adds them up in batches, never inside a fill."""

from collections import defaultdict
from decimal import Decimal

from django.db import transaction

from accounts.services.users import TotalsDelta, add_totals
from astrade.core.money import ZERO
from trading.readers import advance, next_events

READER = "totals"
BATCH = 500
TRADE_UPDATE = "trade_update"


@transaction.atomic
def add_next_totals() -> int:
    """Add one batch of events to their users' totals; returns how many events it read, 0 when there are none.

    Safe to call at any time and from several processes: the reader's position is stored with the totals.
    """
    events = next_events(READER, limit=BATCH)
    sums: dict[int, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO, ZERO])
    for event in events:
        if event.kind == TRADE_UPDATE:
            volume_trades_pnl = sums[event.account.user_id]
            volume_trades_pnl[0] += Decimal(event.data["notional"])
            volume_trades_pnl[1] += 1
            volume_trades_pnl[2] += Decimal(event.data["realized_pnl"])
    add_totals(
        [
            TotalsDelta(user_id=user_id, volume=volume, trades=int(trades), realized_pnl=pnl)
            for user_id, (volume, trades, pnl) in sums.items()
        ]
    )
    advance(READER, events)
    return len(events)
