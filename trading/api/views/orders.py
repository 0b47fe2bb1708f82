"""Orders over HTTP: shape in, one service call, shape out."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core import errors
from astrade.core.api.pagination import PageQuery, page
from astrade.core.api.views import ok, shape
from astrade.core.http import Answer
from astrade.core.permissions import IsReader, caller_of
from marketdata.selectors import market_by_symbol, markets_by_id
from trading import selectors
from trading.api.forms import PENDING, CancelQuery, OrderForm, OrdersQuery, ReplaceForm, SideQuery
from trading.api.prepared import PlaceOrderForm, signed_of
from trading.api.schemas import FillOut, OrderDetailOut, OrderOut, PreviewOut
from trading.api.views.base import AccountView, expected_version, query
from trading.domain import bodies
from trading.domain.lifecycle import LIVE, OrderSource, OrderStatus, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.replacing import Changes
from trading.domain.slicing import TwapTerms
from trading.domain.state import OrderRequest
from trading.loading import OrderRef
from trading.models import Fill, Order, TradingAccount
from trading.services import orders as services
from trading.services.previews import preview_order
from trading.services.replacing import replace_order

REPLAYED = "Idempotent-Replayed"


def order_request(form: dict[str, Any], *, source: OrderSource, client_order_id: str = "") -> OrderRequest:
    """The request a validated `OrderForm` asks for."""
    by, twap = form.get("trigger_by"), form.get("twap")
    return OrderRequest(
        side=Side(form["side"]),
        type=OrderType(form["type"]),
        quantity=form["quantity"],
        price=form.get("price"),
        trigger_price=form.get("trigger_price"),
        trigger_by=TriggerBy(by) if by else None,
        take_profit=form.get("take_profit"),
        stop_loss=form.get("stop_loss"),
        time_in_force=TimeInForce(form["time_in_force"]),
        expires_at=form.get("expires_at"),
        post_only=form["post_only"],
        reduce_only=form["reduce_only"],
        leverage=form.get("leverage"),
        client_order_id=form.get("client_order_id") or client_order_id,
        tag=form["tag"],
        twap=TwapTerms(**twap) if twap else None,
        source=source,
    )


def source_of(request: Request) -> OrderSource:
    """Whether a person's app or an API key is asking."""
    return OrderSource(caller_of(request).source)


def _rows_to_bodies(rows: list[Order], account: UUID, venue: str) -> list[bodies.Body]:
    markets = markets_by_id()
    return [bodies.order_body(row, account=account, venue=venue, symbol=markets[row.market_id].symbol) for row in rows]


def _columns(asked: dict[str, Any]) -> dict[str, Any]:
    """The query's filters as look-ups on an order or a fill; raises UnknownMarket."""
    columns: dict[str, Any] = {"side": asked["side"]} if "side" in asked else {}
    if "status" in asked:
        status = asked["status"]
        columns["status__in"] = [OrderStatus.NEW, OrderStatus.SUBMITTED] if status == PENDING else [status]
    if "parent_id" in asked:
        columns["parent__uuid"] = asked["parent_id"]
    if "symbol" in asked:
        columns["market_id"] = market_by_symbol(asked["symbol"]).id
    return columns


def _orders_page(request: Request, account: TradingAccount, orders: QuerySet[Order]) -> Answer:
    """One page of an account's orders by the query's filters."""
    rows, pagination = page(orders.filter(**_columns(query(request, OrdersQuery))), request)
    return ok(_rows_to_bodies(rows, account.uuid, account.venue), pagination=pagination)


def _fill_bodies(rows: list[Fill]) -> list[bodies.Body]:
    markets = markets_by_id()
    return [bodies.fill_body(row, order=row.order.uuid, symbol=markets[row.market_id].symbol) for row in rows]


class OrdersView(AccountView):
    """The open orders of an account."""

    @extend_schema(request=PlaceOrderForm, responses={201: OrderOut}, operation_id="place_order")
    def post(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Place an order. `client_order_id` (or `Idempotency-Key`) makes it safe to send again. What the user signs is
        prepared first: see `/orders/prepare`.
        """
        form = shape(PlaceOrderForm, request.data)
        signed = signed_of(form)
        named = idempotency_key(request) or (signed.prepared.hex if signed else "")
        wanted = order_request(form, source=source_of(request), client_order_id=named)
        account = self.account(request, account_id)
        placed = services.place_order(account=account, symbol=form["symbol"], request=wanted, signed=signed)
        response = ok(placed.body, status=201)
        if placed.replayed:
            response[REPLAYED] = "true"
        return response

    @extend_schema(parameters=[OrdersQuery, PageQuery], responses=OrderOut(many=True), operation_id="list_open_orders")
    def get(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Open orders, newest first."""
        return self.listing(request, account_id, open_only=True)

    @extend_schema(parameters=[CancelQuery], responses=OrderOut(many=True), operation_id="cancel_orders")
    def delete(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Cancel all open orders, or those of a market or side; the answer lists what was cancelled."""
        if request.data:
            raise errors.Malformed("Orders are chosen by query parameters")
        asked = query(request, CancelQuery)
        side = Side(asked["side"]) if "side" in asked else None
        account = self.account(request, account_id)
        cancelled = services.cancel_orders(account=account, symbol=asked.get("symbol"), side=side)
        return ok(cancelled, status=ended_or_asked(cancelled))

    def listing(self, request: Request, account_id: UUID | None, *, open_only: bool) -> Answer:
        """One page of orders by the query's filters."""
        account = selectors.account_by_ref(self.account(request, account_id))
        orders = selectors.open_orders(account.pk) if open_only else selectors.orders_of(account.pk)
        return _orders_page(request, account, orders)


def ended_or_asked(orders: Iterable[Mapping[str, Any]]) -> int:
    """200 for orders that have ended, 202 where one waits for its venue's word."""
    return 202 if any(order["status"] in LIVE for order in orders) else 200


def idempotency_key(request: Request) -> str:
    """The header's value, which names an order where the body doesn't; raises ValidationError."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    if not key:
        return ""
    form = OrderForm().fields["client_order_id"].run_validation(key)
    return str(form)


class AccountOrdersView(OrdersView):
    """All orders of the account that the path names."""

    @extend_schema(request=PlaceOrderForm, responses={201: OrderOut}, operation_id="place_account_order")
    def post(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Place an order on this account."""
        return super().post(request, account_id)

    @extend_schema(
        parameters=[OrdersQuery, PageQuery], responses=OrderOut(many=True), operation_id="list_account_orders"
    )
    def get(self, request: Request, account_id: UUID | None = None) -> Answer:
        """All orders, open or not, newest first."""
        return self.listing(request, account_id, open_only=False)

    @extend_schema(parameters=[CancelQuery], responses=OrderOut(many=True), operation_id="cancel_account_orders")
    def delete(self, request: Request, account_id: UUID | None = None) -> Answer:
        """Cancel this account's open orders, or those of a market or side."""
        return super().delete(request, account_id)


class OrderHistoryView(AccountView):
    @extend_schema(parameters=[OrdersQuery, PageQuery], responses=OrderOut(many=True), operation_id="order_history")
    def get(self, request: Request) -> Answer:
        """Orders that ended, newest first."""
        account = selectors.account_by_ref(self.account(request))
        return _orders_page(request, account, selectors.past_orders(account.pk))


class OrderView(AccountView):
    """One order."""

    @extend_schema(responses=OrderDetailOut, operation_id="get_order")
    def get(self, request: Request, order_id: UUID, account_id: UUID | None = None) -> Answer:
        """The order with its fills and state history; a TWAP order with its slices (`children`) and their fills."""
        account = selectors.account_by_ref(self.account(request, account_id))
        order = selectors.orders_of(account.pk).filter(uuid=order_id).first()
        if order is None:
            raise errors.NotFound
        symbol = markets_by_id()[order.market_id].symbol
        detail = bodies.order_body(order, account=account.uuid, venue=account.venue, symbol=symbol)
        fills = selectors.fills_of_order(order)
        moves = order.transitions.order_by("id")
        detail["children"] = [bodies.slice_body(child) for child in selectors.slices_of(order)]
        detail["fills"] = [bodies.fill_body(fill, order=fill.order.uuid, symbol=symbol) for fill in fills]
        detail["transitions"] = [
            {
                "from": move.from_status,
                "to": move.to_status,
                "reason": move.reason,
                "change": move.change,
                "at": move.at,
            }
            for move in moves
        ]
        return ok(detail)

    @extend_schema(request=ReplaceForm, responses=OrderOut, operation_id="replace_order")
    def patch(self, request: Request, order_id: UUID, account_id: UUID | None = None) -> Answer:
        """Change price or quantity of an open order; it keeps its identity and loses its place in the queue. A new
        price that crosses fills at once. `If-Match` or `version` names the version that was seen.
        """
        form = shape(ReplaceForm, request.data)
        version = expected_version(request, form.pop("version", None))
        return ok(
            replace_order(
                account=self.account(request, account_id),
                order=OrderRef(uuid=order_id),
                changes=Changes(**form),
                version=version,
            )
        )

    @extend_schema(responses=OrderOut, operation_id="cancel_order")
    def delete(self, request: Request, order_id: UUID, account_id: UUID | None = None) -> Answer:
        """Cancel the order. At a venue it ends when the venue says so: 202 until then."""
        account = self.account(request, account_id)
        cancelled = services.cancel_order(account=account, order=OrderRef(uuid=order_id))
        return ok(cancelled, status=ended_or_asked([cancelled]))


class AccountOrderView(OrderView):
    """One order of the account that the path names."""

    @extend_schema(responses=OrderDetailOut, operation_id="get_account_order")
    def get(self, request: Request, order_id: UUID, account_id: UUID | None = None) -> Answer:
        """The order with its fills and state history."""
        return super().get(request, order_id, account_id)

    @extend_schema(request=ReplaceForm, responses=OrderOut, operation_id="replace_account_order")
    def patch(self, request: Request, order_id: UUID, account_id: UUID | None = None) -> Answer:
        """Change price or quantity of an open order of this account."""
        return super().patch(request, order_id, account_id)

    @extend_schema(responses=OrderOut, operation_id="cancel_account_order")
    def delete(self, request: Request, order_id: UUID, account_id: UUID | None = None) -> Answer:
        """Cancel the order."""
        return super().delete(request, order_id, account_id)


class TradesView(AccountView):
    @extend_schema(parameters=[SideQuery, PageQuery], responses=FillOut(many=True), operation_id="list_trades")
    def get(self, request: Request) -> Answer:
        """Own fills, newest first."""
        fills = selectors.fills_of(self.account_key(request)).filter(**_columns(query(request, SideQuery)))
        rows, pagination = page(fills, request)
        return ok(_fill_bodies(rows), pagination=pagination)


class PreviewView(AccountView):
    permission_classes = (IsReader,)

    @extend_schema(request=OrderForm, responses=PreviewOut, operation_id="preview_order")
    def post(self, request: Request) -> Answer:
        """What an order would do on the present book; nothing is placed."""
        form = shape(OrderForm, request.data)
        wanted = order_request(form, source=source_of(request))
        return ok(preview_order(account=self.account(request), symbol=form["symbol"], request=wanted))
