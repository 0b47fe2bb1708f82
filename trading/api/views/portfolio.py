"""Equity curve, risk figures and statements over HTTP."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.views import ok
from astrade.core.clock import system_clock
from astrade.core.errors import FundsLimitExceeded
from astrade.core.http import Answer
from astrade.core.money import plain, round_display
from marketdata.timeframes import LENGTH_MS
from trading import selectors
from trading.api.forms import HistoryQuery, RiskQuery, StatementQuery
from trading.api.periods import Period, period_of
from trading.api.report_schemas import PortfolioHistoryOut, PortfolioRiskOut, StatementOut
from trading.api.views.base import AccountView, query
from trading.domain import performance
from trading.domain.bodies import DISPLAY_SCALE
from trading.domain.margin import summarise
from trading.loading import AccountRef, read_account
from trading.models import TradingAccount
from trading.portfolio import POINTS_MAX, Curve, curve_of, moments_between, trade_sums
from trading.services.bookings import present_board
from trading.statements import LINES_MAX, PERIOD_MAX, csv_of, lines_of, statement_of

HISTORY_POINTS = 100
RISK_PERIOD = timedelta(days=30)
STATEMENT_PERIOD = timedelta(days=30)
YEAR = timedelta(days=365)  # these markets never close


def _shown(value: Decimal | None) -> str | None:
    return None if value is None else plain(round_display(value, scale=DISPLAY_SCALE))


def _span(interval: str, count: int) -> timedelta:
    return timedelta(milliseconds=LENGTH_MS[interval] * count)


def _period(asked: dict[str, Any], *, now: datetime, length: timedelta) -> Period:
    return period_of(asked, now=now, length=length, at_most=_span(asked["interval"], POINTS_MAX))


class HistoryView(AccountView):
    @extend_schema(parameters=[HistoryQuery], responses=PortfolioHistoryOut, operation_id="portfolio_history")
    def get(self, request: Request) -> Answer:
        """Equity curve by interval (UTC; weeks from Monday), PnL of each, and the time-weighted return: deposits and
        transfers are taken out. The last point is the present unless `to` is in the past.
        """
        asked, now = query(request, HistoryQuery), system_clock()
        begin, end = _period(asked, now=now, length=_span(asked["interval"], HISTORY_POINTS))
        account = selectors.account_by_ref(self.account(request))
        is_live = end == now and account.state != TradingAccount.State.CLOSED
        moments = moments_between(begin, end, interval=asked["interval"])
        curve = curve_of(account, moments, live_board=present_board() if is_live else None)
        return ok(_history_body(account, curve) | {"interval": asked["interval"], "from": moments[0], "to": end})


def _history_body(account: TradingAccount, curve: Curve) -> dict[str, Any]:
    start, end = curve.start, curve.end
    came = end.flows - start.flows
    return {
        "account_id": account.uuid,
        "starting_equity": start.equity,
        "ending_equity": end.equity,
        "net_deposits": came,
        "pnl": end.equity - start.equity - came,
        "time_weighted_return": _shown(end.unit_value / start.unit_value - 1),
        "points": [
            {
                "at": point.at,
                "snapshot_at": point.worth.at,
                "balance": point.worth.balance,
                "equity": point.worth.equity,
                "net_deposits": point.net_deposits,
                "pnl": point.pnl,
                "return": _shown(point.growth),
                "cumulative_return": _shown(point.worth.unit_value / start.unit_value - 1),
                "bridged": point.bridged,
            }
            for point in curve.points
        ],
    }


class RiskView(AccountView):
    @extend_schema(parameters=[RiskQuery], responses=PortfolioRiskOut, operation_id="portfolio_risk")
    def get(self, request: Request) -> Answer:
        """Exposure and leverage now; volatility, drawdown and Sharpe ratio by interval; what the positions closed in
        the period came to. A figure that is not defined is null.
        """
        asked, now = query(request, RiskQuery), system_clock()
        longest = _span(asked["interval"], POINTS_MAX)
        begin, end = _period(asked, now=now, length=min(RISK_PERIOD, longest))
        account = selectors.account_by_ref(self.account(request))
        moments = moments_between(begin, end, interval=asked["interval"])
        curve = curve_of(account, moments)
        body = {"account_id": account.uuid, "interval": asked["interval"], "from": moments[0], "to": end}
        figures = _exposure_body(account) | _curve_body(curve, interval=asked["interval"])
        return ok(body | figures | _trades_body(trade_sums(account, begin=moments[0], end=end)))


def _exposure_body(account: TradingAccount) -> dict[str, Any]:
    board, state = present_board(), read_account(AccountRef(account_id=account.pk))
    equity = summarise(state, board).equity
    values = [position.quantity * board.mark_of(position) for position in state.positions.values()]
    now = performance.exposure(values, equity=equity)
    return {
        "equity": equity,
        "gross_exposure": now.gross,
        "net_exposure": now.net,
        "gross_leverage": _shown(now.gross_leverage),
        "net_leverage": _shown(now.net_leverage),
    }


def _curve_body(curve: Curve, *, interval: str) -> dict[str, Any]:
    returns = performance.measured_returns(curve.points)
    periods = Decimal(YEAR // timedelta(milliseconds=1)) / LENGTH_MS[interval]
    return {
        "volatility": _shown(performance.volatility(returns, periods_a_year=periods)),
        "sharpe_ratio": _shown(performance.sharpe_ratio(returns, periods_a_year=periods)),
        "max_drawdown": _shown(performance.max_drawdown(point.worth.unit_value for point in curve.points)),
    }


def _trades_body(sums: performance.TradeSums) -> dict[str, Any]:
    return {
        "trades": sums.count,
        "win_rate": _shown(sums.win_rate),
        "profit_factor": _shown(sums.profit_factor),
        "expectancy": _shown(sums.expectancy),
        "largest_loss": sums.largest_loss,
    }


class StatementView(AccountView):
    @extend_schema(
        parameters=[StatementQuery],
        responses={(200, "application/json"): StatementOut, (200, "text/csv"): OpenApiTypes.STR},
        operation_id="account_statement",
    )
    def get(self, request: Request, account_id: UUID) -> HttpResponseBase:
        """A period's statement, the last 30 days unless said, at most 366 days. JSON holds up to 10,000 lines, CSV
        any number; the last line of a whole CSV is the closing balance.
        """
        asked = query(request, StatementQuery)
        begin, end = period_of(asked, now=system_clock(), length=STATEMENT_PERIOD, at_most=PERIOD_MAX)
        statement = statement_of(selectors.account_by_ref(self.account(request, account_id)), begin=begin, end=end)
        if asked["format"] == "csv":
            name = f"statement-{statement.account.uuid}-{begin:%Y%m%d}-{end:%Y%m%d}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
            return StreamingHttpResponse(csv_of(statement), content_type="text/csv; charset=utf-8", headers=headers)
        if statement.line_count > LINES_MAX:
            raise FundsLimitExceeded(details={"lines": statement.line_count, "max": LINES_MAX, "format": "csv"})
        return ok(statement.body | {"lines": [line | {"id": line["entry_id"]} for line in lines_of(statement)]})
