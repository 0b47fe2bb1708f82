"""The figures of a risk day: what an account stood at when its owner's day began, reckoned back from the present.

No job has to run at any midnight: the first order that needs the day reckons it from ledger, fills and mark candles,
which change no more (DESIGN §4.4).
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import connection, transaction

from accounts.selectors import zones_of
from astrade.core.days import LocalDay
from astrade.core.errors import NotFound
from astrade.core.money import ZERO
from marketdata.selectors import marks_before
from trading import models
from trading.domain.lifecycle import FLOWS
from trading.domain.limits import RiskDay, risk_day
from trading.domain.risk import RiskDayNotOpen
from trading.models import CashBalance, TradingAccount

P = ParamSpec("P")
T = TypeVar("T")
# One statement, so one snapshot. Cash is the running balance of the last entry before the day; all else is as it is now
# less what the day added. A position's cost is its signed entry notional: what was paid for it less what was realised.
_RECKON = """
SELECT
  coalesce((SELECT p.running_balance FROM trading_journalentry e JOIN trading_posting p ON p.entry_id = e.id
            WHERE e.account_id = a.id AND e.number = last.entry AND p.ledger_account = 'cash'), 0),
  a.net_deposits - coalesce((SELECT sum(p.amount)
            FROM trading_journalentry e JOIN trading_posting p ON p.entry_id = e.id
            WHERE e.account_id = a.id AND e.number > last.entry AND e.kind = ANY(%(flows)s)
            AND p.ledger_account = 'cash'), 0),
  a.traded_notional - coalesce((SELECT sum(f.price * f.quantity) FROM trading_fill f
            WHERE f.account_id = a.id AND f.number > last.fill), 0),
  (SELECT json_agg(json_build_array(p.market_id, (p.quantity - coalesce(t.quantity, 0))::text,
                   (sign(p.quantity) * p.entry_notional - coalesce(t.realized, 0) - coalesce(t.paid, 0))::text))
   FROM trading_position p LEFT JOIN (
     SELECT f.market_id, sum(s.sign * f.quantity) AS quantity, sum(s.sign * f.quantity * f.price) AS paid,
            sum(f.realized_pnl) AS realized
     FROM trading_fill f, LATERAL (SELECT CASE f.side WHEN 'buy' THEN 1 ELSE -1 END AS sign) s
     WHERE f.account_id = a.id AND f.number > last.fill GROUP BY f.market_id) t ON t.market_id = p.market_id
   WHERE p.account_id = a.id)
FROM trading_tradingaccount a, LATERAL (SELECT
  coalesce((SELECT number FROM trading_journalentry WHERE account_id = a.id AND at < %(start)s
            ORDER BY number DESC LIMIT 1), 0) AS entry,
  coalesce((SELECT number FROM trading_fill WHERE account_id = a.id AND at < %(start)s
            ORDER BY number DESC LIMIT 1), 0) AS fill) last
WHERE a.id = %(account)s
"""


def opens_risk_day(service: Callable[P, T]) -> Callable[P, T]:
    """`service`, called once more where it found the account's risk day missing; its first try was rolled back."""

    @wraps(service)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return service(*args, **kwargs)
        except RiskDayNotOpen as missing:
            open_risk_day(missing.account_id, user_id=missing.user_id, now=missing.now)
            return service(*args, **kwargs)

    return call


def open_risk_day(account_id: int, *, user_id: int, now: datetime) -> None:
    """Store the account's risk day at `now`; a day that is stored stays as it is.

    Waits for whoever holds the account's lock, so that what was decided before midnight is there, but reckons without
    it.
    """
    with transaction.atomic():
        TradingAccount.objects.select_for_update(no_key=True).filter(pk=account_id).first()
    _store(account_id, reckon_risk_day(account_id, span=_span_of(user_id, now)))


def pass_on_day(account_id: int, *, closed: Iterable[TradingAccount], user_id: int, now: datetime) -> None:
    """Let a new account begin its first risk day with what its user's accounts closed in that day lost and traded:
    the largest loss and the largest volume of them. A profit is not passed on.

    Call it under the user's lock. The closed accounts hold no position, so their cash is their equity.
    """
    span = _span_of(user_id, now)
    figures = [
        _so_far(account, span) for account in closed if account.closed_at and account.closed_at >= span.starts_at
    ]
    loss, traded = (max((figure[n] for figure in figures), default=ZERO) for n in (0, 1))
    if loss > ZERO or traded > ZERO:
        began = RiskDay(
            starts_at=span.starts_at,
            ends_at=span.ends_at,
            equity=max(ZERO, loss),
            net_deposits=ZERO,
            traded_notional=-traded,
        )
        _store(account_id, began)


def _so_far(account: TradingAccount, span: LocalDay) -> tuple[Decimal, Decimal]:
    """What an account without positions lost (less than nothing: earned) and traded in a day that lasts."""
    stored = models.RiskDay.objects.filter(account=account, starts_at__lte=span.starts_at, ends_at__gt=span.starts_at)
    day = stored.first() or reckon_risk_day(account.pk, span=span)
    cash = CashBalance.objects.get(account=account, asset=account.currency).balance
    earned = cash - account.net_deposits
    return day.equity - day.net_deposits - earned, account.traded_notional - day.traded_notional


def _span_of(user_id: int, now: datetime) -> LocalDay:
    zones = zones_of(user_id)
    return risk_day(now, zone=zones.zone, previous=zones.previous, changed_at=zones.changed_at)


def _store(account_id: int, day: RiskDay) -> None:
    row = models.RiskDay(account_id=account_id, **{name: getattr(day, name) for name in RiskDay.__slots__})
    models.RiskDay.objects.bulk_create([row], ignore_conflicts=True)


def reckon_risk_day(account_id: int, *, span: LocalDay) -> RiskDay:
    """What the account stood at when `span` began; a position without a mark candle counts at its entry price."""
    with connection.cursor() as cursor:
        named: dict[str, Any] = {"account": account_id, "start": span.starts_at, "flows": sorted(FLOWS)}
        cursor.execute(_RECKON, named)
        row = cursor.fetchone()
    if row is None:
        raise NotFound
    cash, net_deposits, traded_notional, positions = row
    held = {market: (Decimal(quantity), Decimal(cost)) for market, quantity, cost in positions or ()}
    held = {market: figures for market, figures in held.items() if figures[0]}
    marks = marks_before(span.starts_at, market_ids=held)
    gains = (quantity * marks[market] - cost for market, (quantity, cost) in held.items() if market in marks)
    return RiskDay(
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        equity=cash + sum(gains, ZERO),
        net_deposits=net_deposits,
        traded_notional=traded_notional,
    )
