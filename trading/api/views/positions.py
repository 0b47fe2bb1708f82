"""Positions over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.pagination import PageQuery, page
from astrade.core.api.views import ok, shape
from astrade.core.errors import NotFound
from astrade.core.http import Answer
from astrade.core.permissions import caller_of
from marketdata.selectors import market_by_symbol
from trading import selectors
from trading.api.forms import ClosePositionForm, PositionHistoryQuery, PositionsQuery, ProtectionForm
from trading.api.schemas import AccountPositionOut, OrderOut, PositionOut
from trading.api.views.base import AccountView, expected_version, query
from trading.api.views.orders import REPLAYED, idempotency_key, source_of
from trading.domain.lifecycle import OrderRole
from trading.loading import read_account, read_accounts
from trading.models import ClosedPosition, TradingAccount
from trading.portfolio import closed_between
from trading.services.bookings import present_board
from trading.services.positions import close_position, protect_position
from trading.valuation import closed_positions, open_positions


class PositionsView(AccountView):
    @extend_schema(
        parameters=[PositionsQuery, PageQuery], responses=PositionOut(many=True), operation_id="list_positions"
    )
    def get(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Open positions, all of them; `is_open=false` lists closed ones by page."""
        asked = query(request, PositionsQuery)
        return self.listing(request, account_id, asked, is_open=asked["is_open"])

    def listing(self, request: Request, account_id: UUID | None, asked: Mapping[str, Any], *, is_open: bool) -> Answer:
        """Open positions whole, closed ones by page."""
        state, board = read_account(self.account(request, account_id)), present_board()
        market_id = market_by_symbol(asked["symbol"]).id if "symbol" in asked else None
        if is_open:
            query(request, PageQuery)  # bounds hold here too; what is open comes whole
            found = open_positions(state, board, market_id=market_id)
            return ok(found, pagination={"cursor": None, "count": len(found)})
        rows = closed_between(state, begin=asked.get("from"), end=asked.get("to"))
        if market_id is not None:
            rows = rows.filter(market_id=market_id)
        shown, pagination = page(rows, request)
        return ok(closed_positions(shown, state, board), pagination=pagination)


class AccountPositionsView(PositionsView):
    @extend_schema(
        parameters=[PositionsQuery, PageQuery], responses=PositionOut(many=True), operation_id="list_account_positions"
    )
    def get(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Positions of the account that the path names."""
        return super().get(request, account_id)


class PositionHistoryView(PositionsView):
    @extend_schema(
        parameters=[PositionHistoryQuery, PageQuery], responses=PositionOut(many=True), operation_id="position_history"
    )
    def get(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Closed positions, newest first; those closed from `from` until before `to`."""
        return self.listing(request, account_id, query(request, PositionHistoryQuery), is_open=False)


class AllPositionsView(AccountView):
    @extend_schema(responses=AccountPositionOut(many=True), operation_id="list_all_positions")
    def get(self, request: Request) -> Answer:
        """Open positions with PnL across the user's accounts."""
        rows = selectors.accounts_of(caller_of(request)).exclude(state=TradingAccount.State.CLOSED).order_by("id")
        uuids, board = dict(rows.values_list("id", "uuid")), present_board()
        found = [
            body | {"account_id": uuids[state.id]}
            for state in read_accounts(list(uuids))
            for body in open_positions(state, board)
        ]
        return ok(found, pagination={"cursor": None, "count": len(found)})


class PositionView(AccountView):
    @extend_schema(responses=PositionOut, operation_id="get_position")
    def get(self, request: Request, account_id: UUID, position_id: UUID) -> Answer:
        """One position, open or closed."""
        state, board = read_account(self.account(request, account_id)), present_board()
        closed = ClosedPosition.objects.filter(account_id=state.id, uuid=position_id)
        for body in (*open_positions(state, board), *closed_positions(closed, state, board)):
            if body["id"] == str(position_id):
                return ok(body)
        raise NotFound

    @extend_schema(request=ProtectionForm, responses=PositionOut, operation_id="protect_position")
    def patch(self, request: Request, account_id: UUID, position_id: UUID) -> Answer:
        """Set, change or remove (null) stop loss and take profit of the whole position, whatever its size becomes.

        `If-Match` or `version` names the version that was seen.
        """
        form = shape(ProtectionForm, request.data)
        version = expected_version(request, form.pop("version", None))
        return ok(
            protect_position(
                account=self.account(request, account_id),
                position_uuid=position_id,
                wanted={OrderRole(name): price for name, price in form.items()},
                version=version,
            )
        )


class ClosePositionView(AccountView):
    @extend_schema(request=ClosePositionForm, responses=OrderOut, operation_id="close_position")
    def post(self, request: Request, account_id: UUID) -> Answer:
        """Close a position, whole or in part, at market; the answer is the order that did."""
        form = shape(ClosePositionForm, request.data)
        placed = close_position(
            account=self.account(request, account_id),
            position_uuid=form.get("position_id"),
            symbol=form.get("symbol"),
            quantity=form.get("quantity"),
            client_order_id=form.get("client_order_id") or idempotency_key(request),
            source=source_of(request),
        )
        response = ok(placed.body)
        if placed.replayed:
            response[REPLAYED] = "true"
        return response
