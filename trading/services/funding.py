"""Hourly funding: on practice accounts every hour whose rate is known is booked once, however late; on others what
their venue booked.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db import DatabaseError, connection
from django.db.models import Exists, OuterRef

from astrade.core.errors import AstradeError
from astrade.core.metrics import counter
from marketdata.models import Candle, FundingRate, PriceKind
from marketdata.selectors import market_by_symbol
from marketdata.timeframes import BASE
from trading.domain import funding
from trading.domain.funding import Held, Rate
from trading.domain.margin import Board
from trading.domain.reports import VenueFunding
from trading.loading import AccountRef
from trading.models import FundingHour
from trading.pipeline import run_together
from trading.services.bookings import booking, present_board

FUNDING_ENTRIES = counter("astrade_funding_payments_total", "Funding payments that were booked")
SETTLE_AFTER = timedelta(minutes=1)  # the hour's fills are all visible by then, and its minute is stored
HOURS_MAX = 500  # of one call
logger = logging.getLogger(__name__)

# Present quantity less what was filled since: what was held at the hour, whatever happened after it.
HOLDERS = """
WITH later AS (SELECT account_id, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS moved
               FROM trading_fill WHERE at > %(hour)s AND market_id = %(market)s GROUP BY account_id)
SELECT p.account_id FROM trading_position p
JOIN trading_tradingaccount a ON a.id = p.account_id AND a.venue = 'practice' AND a.state <> 'closed'
LEFT JOIN later l ON l.account_id = p.account_id
WHERE p.market_id = %(market)s AND p.quantity <> coalesce(l.moved, 0)
  AND NOT EXISTS (SELECT 1 FROM trading_fundingpayment f
                  WHERE f.account_id = p.account_id AND f.position_id = p.id AND f.hour = %(hour)s)
ORDER BY p.account_id
"""
HELD = """
SELECT json_build_object(
  'is_booked', EXISTS (SELECT 1 FROM trading_fundingpayment
                       WHERE account_id = $1 AND position_id = $2 AND hour = $4::timestamptz),
  'moved', (SELECT coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END), 0) FROM trading_fill
            WHERE account_id = $1 AND market_id = $3 AND at > $4::timestamptz),
  'closed', (SELECT row_to_json(c) FROM (SELECT id, uuid FROM trading_closedposition
             WHERE account_id = $1 AND market_id = $3 AND opened_at <= $4::timestamptz AND closed_at > $4::timestamptz
             ORDER BY number DESC LIMIT 1) c)
)::text
"""


class _Closed(msgspec.Struct):
    id: int
    uuid: UUID


class _Facts(msgspec.Struct):
    is_booked: bool
    moved: Decimal
    closed: _Closed | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What one call booked."""

    hours: int
    payments: int


_decoder = msgspec.json.Decoder(_Facts)


def settle_funding(*, now: datetime) -> Settled:
    """Book every known hour up to `now` that is not booked yet, oldest first, on every account that held a position.

    Safe to run twice and at once: an hour of a position is booked once, by constraint. An hour in which something was
    held waits for its mark.
    """
    hours = payments = 0
    for applied in _open_rates(now):
        booked, is_complete = _settle_hour(applied)
        payments += booked
        hours += is_complete
    return Settled(hours, payments)


def _settle_hour(applied: FundingRate) -> tuple[int, bool]:
    """Payments booked, and whether the hour is done; an account that can't be booked now keeps it open for the next
    call, but nobody else waiting.
    """
    market_id, hour = applied.market_id, applied.at
    holders, mark = _holders(market_id, hour), _mark_at(market_id, hour)
    booked = failed = 0
    if mark is not None:
        rate, board = Rate(market_id=market_id, hour=hour, rate=applied.rate, mark=mark), present_board()
        for account_id in holders:
            try:
                booked += settle_position(account_id, rate=rate, board=board)
            except (AstradeError, DatabaseError):
                failed += 1
                logger.exception("funding_not_booked", extra={"account": account_id, "market": market_id})
    elif holders:
        logger.warning("funding_without_mark", extra={"market": market_id, "hour": hour, "accounts": len(holders)})
        return 0, False
    if not failed:
        row = FundingHour(market_id=market_id, hour=hour, rate=applied.rate, mark=mark)
        FundingHour.objects.bulk_create([row], ignore_conflicts=True)
    return booked, not failed


def settle_position(account_id: int, *, rate: Rate, board: Board) -> bool:
    """Book one hour on one account's position; False if it is booked or nothing was held. Locks the account."""
    with booking(AccountRef(account_id=account_id), market_id=rate.market_id) as batch:
        position = batch.account.positions.get(rate.market_id)
        if position is None:
            return False
        facts = _facts(account_id, position.id, rate)
        quantity = position.quantity - facts.moved
        if facts.is_booked or not quantity:
            return False
        closed = facts.closed
        held = Held(
            quantity=quantity, closed_id=closed.id if closed else None, closed_uuid=closed.uuid if closed else None
        )
        funding.settle(batch, position, held=held, rate=rate, board=board)
    FUNDING_ENTRIES.inc()
    return True


def record_payment(account_id: int, told: VenueFunding) -> bool:
    """Book what a venue paid or took for one hour of a position, once; False where it is booked or nothing is known of
    such a position. Locks the account. Raises UnknownMarket.
    """
    market, board = market_by_symbol(told.symbol), present_board()
    rate = Rate(market_id=market.id, hour=told.hour, rate=told.rate, mark=told.mark)
    with booking(AccountRef(account_id=account_id), market_id=market.id) as batch:
        position = batch.account.positions.get(market.id)
        if position is None:
            return False
        facts = _facts(account_id, position.id, rate)
        if facts.is_booked:
            return False
        closed = facts.closed
        held = Held(
            quantity=told.quantity, closed_id=closed.id if closed else None, closed_uuid=closed.uuid if closed else None
        )
        funding.settle(batch, position, held=held, rate=rate, board=board, paid=told.amount)
    FUNDING_ENTRIES.inc()
    return True


def _facts(account_id: int, position_id: int, rate: Rate) -> _Facts:
    """What the database knows of the position at the hour; under the account's lock, so nothing changes it."""
    (found,) = run_together((HELD, (account_id, position_id, rate.market_id, rate.hour.isoformat())))
    return _decoder.decode(found or b"")


def _open_rates(now: datetime) -> list[FundingRate]:
    """Applied rates whose hour is not booked, oldest first."""
    booked = FundingHour.objects.filter(market_id=OuterRef("market_id"), hour=OuterRef("at"))
    due = FundingRate.objects.filter(~Exists(booked), at__lte=now - SETTLE_AFTER)
    return list(due.order_by("at", "market_id")[:HOURS_MAX])


def _mark_at(market_id: int, hour: datetime) -> Decimal | None:
    """The mark at the hour: the open of its minute, else the last known one before it."""
    minutes = Candle.objects.filter(market_id=market_id, kind=PriceKind.MARK, timeframe=BASE, open_time__lte=hour)
    last = minutes.order_by("-open_time").values("open_time", "open", "close").first()
    if last is None:
        return None
    return last["open"] if last["open_time"] == hour else last["close"]


def _holders(market_id: int, hour: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS, {"market": market_id, "hour": hour})
        return [account_id for (account_id,) in cursor.fetchall()]
