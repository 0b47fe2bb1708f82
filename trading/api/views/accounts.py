"""Trading accounts, their money and their history over HTTP."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.pagination import PageQuery, page, page_by_time
from astrade.core.api.views import ok, shape
from astrade.core.clock import system_clock
from astrade.core.errors import NotPermitted
from astrade.core.http import Answer
from astrade.core.idempotency import idempotent
from astrade.core.money import plain
from astrade.core.permissions import caller_of
from marketdata.selectors import all_markets, market_by_symbol
from trading import selectors
from trading.api.forms import AccountForm, AccountPatch, EventsQuery, LeverageForm, MarketQuery
from trading.api.report_schemas import LedgerLineOut
from trading.api.schemas import (
    AccountOut,
    BalanceOut,
    EventOut,
    FeeOut,
    LeverageOut,
    PortfolioOut,
)
from trading.api.views.base import AccountView, query
from trading.domain.admission import leverage_cap
from trading.domain.margin import Board
from trading.domain.simulator import CLASSIC_FEE_MIN, CLASSIC_FEE_RATE
from trading.loading import AccountRef, read_account, read_accounts
from trading.models import TradingAccount
from trading.services import accounts as services
from trading.services.bookings import present_board
from trading.valuation import account_body, balance_of, portfolio_body

OPENED_WITH = ("name", "max_leverage", "simulator", "simulated_latency_ms")


def one_body(account: AccountRef, board: Board) -> dict[str, Any]:
    """One account with its money; raises NotFound."""
    row = selectors.account_as_opened(account)
    return account_body(row, read_account(AccountRef(account_id=row.pk)), board, now=system_clock())


class AccountsView(AccountView):
    @extend_schema(parameters=[PageQuery], responses=AccountOut(many=True), operation_id="list_accounts")
    def get(self, request: Request) -> Answer:
        """The user's trading accounts, newest first."""
        owned = selectors.as_opened(selectors.accounts_of(caller_of(request)))
        rows, pagination = page_by_time(owned, request, key="created_at")
        states, board, now = read_accounts([row.pk for row in rows]) if rows else [], present_board(), system_clock()
        found = [account_body(row, state, board, now=now) for row, state in zip(rows, states, strict=True)]
        return ok(found, pagination=pagination)

    @extend_schema(request=AccountForm, responses={201: AccountOut}, operation_id="open_account")
    def post(self, request: Request) -> Answer:
        """Open a practice account with virtual money."""
        caller = caller_of(request)
        if caller.account_id is not None:
            raise NotPermitted("This API key is bound to one account")
        form = shape(AccountForm, request.data)
        wanted, board = {name: form[name] for name in OPENED_WITH}, present_board()

        def effect() -> Answer:
            account = services.open_practice_account(
                user_id=caller.user_id,
                initial_balance=form.get("initial_balance"),
                max_daily_loss=form.get("max_daily_loss"),
                max_daily_notional=form.get("max_daily_notional"),
                **wanted,
            )
            return ok(one_body(AccountRef(account_id=account.pk), board), status=201)

        return idempotent(request, caller, effect)


class AccountDetailView(AccountView):
    @extend_schema(responses=AccountOut, operation_id="get_account")
    def get(self, request: Request, account_id: UUID) -> Answer:
        """One trading account."""
        return ok(one_body(self.account(request, account_id), present_board()))

    @extend_schema(request=AccountPatch, responses=AccountOut, operation_id="update_account")
    def patch(self, request: Request, account_id: UUID) -> Answer:
        """Change name, limits, or make it the primary account. A looser daily limit holds after 24 hours."""
        changes = shape(AccountPatch, request.data, partial=True)
        version = changes.pop("version", None)
        account = self.account(request, account_id)
        changed = services.update_account(account=account, changes=changes, now=system_clock(), version=version)
        return ok(one_body(AccountRef(account_id=changed.pk), present_board()))

    @extend_schema(responses=AccountOut, operation_id="close_account")
    def delete(self, request: Request, account_id: UUID) -> Answer:
        """Close the account; refused while anything is open on it. Its history stays."""
        closed = services.close_account(account=self.account(request, account_id))
        return ok(one_body(AccountRef(account_id=closed.pk), present_board()))


class BalanceView(AccountView):
    @extend_schema(responses=BalanceOut, operation_id="account_balance")
    def get(self, request: Request) -> Answer:
        """Balance, equity, margin, and every asset's free, locked and total amount."""
        return ok(balance_of(read_account(self.account(request)), present_board()))


class AssetsView(BalanceView):
    @extend_schema(responses=BalanceOut, operation_id="account_assets")
    def get(self, request: Request) -> Answer:
        """The same, at the path of the account itself."""
        return super().get(request)


class PortfolioBalanceView(AccountView):
    @extend_schema(responses=PortfolioOut, operation_id="portfolio_balance")
    def get(self, request: Request) -> Answer:
        """All of the user's open accounts, valued at present marks."""
        rows = list(selectors.accounts_of(caller_of(request)).exclude(state=TradingAccount.State.CLOSED).order_by("id"))
        states = read_accounts([row.pk for row in rows])
        return ok(portfolio_body(zip(rows, states, strict=True), present_board()))


class FeesView(AccountView):
    @extend_schema(parameters=[MarketQuery], responses=FeeOut(many=True), operation_id="account_fees")
    def get(self, request: Request) -> Answer:
        """Fee rates of each market, or of one, as this account pays them."""
        asked = query(request, MarketQuery)
        markets = [market_by_symbol(asked["symbol"])] if "symbol" in asked else all_markets()
        classic = read_account(self.account(request)).simulator == TradingAccount.Simulator.CLASSIC
        found = [
            {
                "symbol": market.symbol,
                "maker_fee_rate": plain(CLASSIC_FEE_RATE if classic else market.maker_fee_rate),
                "taker_fee_rate": plain(CLASSIC_FEE_RATE if classic else market.taker_fee_rate),
                "minimum_fee": plain(CLASSIC_FEE_MIN) if classic else "0",
            }
            for market in markets
        ]
        return ok(found, pagination={"cursor": None, "count": len(found)})


class LeverageView(AccountView):
    @extend_schema(parameters=[MarketQuery], responses=LeverageOut(many=True), operation_id="account_leverage")
    def get(self, request: Request) -> Answer:
        """The account's leverage on each market, or on one."""
        asked, state = query(request, MarketQuery), read_account(self.account(request))
        markets = [market_by_symbol(asked["symbol"])] if "symbol" in asked else all_markets()
        found = [
            {
                "symbol": market.symbol,
                "leverage": state.leverage_on(market.id),
                "max_leverage": leverage_cap(state, market),
            }
            for market in markets
        ]
        return ok(found, pagination={"cursor": None, "count": len(found)})

    @extend_schema(request=LeverageForm, responses=LeverageOut, operation_id="set_account_leverage")
    def patch(self, request: Request) -> Answer:
        """Set the leverage of one market."""
        form = shape(LeverageForm, request.data)
        market, account = market_by_symbol(form["symbol"]), self.account(request)
        leverage, cap = services.set_leverage(account=account, market=market, leverage=form["leverage"])
        return ok({"symbol": market.symbol, "leverage": leverage, "max_leverage": cap})


class LedgerView(AccountView):
    @extend_schema(parameters=[PageQuery], responses=LedgerLineOut(many=True), operation_id="account_ledger")
    def get(self, request: Request, account_id: UUID) -> Answer:
        """The account's cash postings with running balance, newest first."""
        entries, pagination = page(selectors.entries_of(self.account_key(request, account_id)), request)
        postings = selectors.cash_postings(entries)
        lines = [
            {
                "id": entry.uuid,
                "number": entry.number,
                "kind": entry.kind,
                "asset": postings[entry.pk].asset,
                "amount": postings[entry.pk].amount,
                "running_balance": postings[entry.pk].running_balance,
                "entry_id": entry.uuid,
                "reference": entry.reference,
                "at": entry.at,
            }
            for entry in entries
        ]
        return ok(lines, pagination=pagination)


class EventsView(AccountView):
    @extend_schema(parameters=[EventsQuery], responses=EventOut(many=True), operation_id="account_events")
    def get(self, request: Request) -> Answer:
        """What happened on the account after a sequence, oldest first; go on from the last one."""
        asked, account_key = query(request, EventsQuery), self.account_key(request)
        events = selectors.events_after(account_key, after=asked["after"], limit=asked["limit"] + 1)
        more, events = len(events) > asked["limit"], events[: asked["limit"]]
        last = events[-1]["sequence"] if events else None
        return ok(events, pagination={"cursor": last if more else None, "count": len(events)})
