"""`/api/v3`: Binance's calls with its raw bodies, for its clients (API.md, "Binance-compatible surface")."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.api.authentication import CREDENTIAL_LENGTH_MAX, client_ip_of
from accounts.services import authenticate_token
from accounts.tokens import API_KEY_MARK
from astrade.core.api.renderers import encode
from astrade.core.api.views import ApiView, http_request
from astrade.core.clock import system_clock
from astrade.core.errors import DuplicateClientOrderId, NotAuthenticated
from astrade.core.http import JSON
from astrade.core.permissions import Caller, Public, caller_of, optional_caller
from astrade.core.throttling import limit_of
from trading import selectors
from trading.api.binance import bodies, orders
from trading.api.binance.errors import Code
from trading.api.binance.market_data import server_time
from trading.api.binance.parameters import Parameters, parameters_of
from trading.api.binance.symbols import exchange_info
from trading.api.binance.words import ResponseType
from trading.domain.lifecycle import OrderSource
from trading.loading import AccountRef, read_account
from trading.models import TradingAccount
from trading.services.bookings import present_board

Read = Callable[[Parameters, datetime], Any]


class KeyAuthentication(BaseAuthentication):
    """`X-MBX-APIKEY` is an AsTrade API key; the signature that comes along isn't looked at."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """The caller; None where no key came. Raises IdentityError for one that isn't good."""
        key = request.META.get("HTTP_X_MBX_APIKEY", "").strip()
        if not key:
            return None
        if not key.startswith(API_KEY_MARK):
            raise NotAuthenticated
        return authenticate_token(key[:CREDENTIAL_LENGTH_MAX], client_ip=client_ip_of(request)), None

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


def raw(data: Any) -> HttpResponse:
    """`data` as it is."""
    return HttpResponse(encode(data), content_type=JSON)


class RawView(ApiView):
    """A call on the account that the API key is bound to, else on the primary one."""

    authentication_classes = [KeyAuthentication]

    def account(self, request: Request) -> AccountRef:
        """Reference to it; whether it exists shows when it is loaded."""
        return selectors.account_ref(caller_of(request))

    def account_row(self, request: Request) -> TradingAccount:
        """Its row; raises NotFound."""
        return selectors.account_by_ref(self.account(request))


class ReadView(RawView):
    """Market data, for anybody: `read` says which."""

    permission_classes = [Public]
    read: Read = staticmethod(lambda sent, now: {})

    def get(self, request: Request) -> HttpResponse:
        return raw(self.read(parameters_of(request), system_clock()))


class TimeView(RawView):
    permission_classes = [Public]

    def get(self, request: Request) -> HttpResponse:
        return raw(server_time(system_clock()))


class ExchangeInfoView(RawView):
    permission_classes = [Public]

    def get(self, request: Request) -> HttpResponse:
        return raw(exchange_info_for(request))


def exchange_info_for(request: Request) -> dict[str, Any]:
    """The markets asked for, and the caller's own limit."""
    return exchange_info(
        parameters_of(request).markets(),
        requests=limit_of(optional_caller(request)),
        at_most=http_request(request).rate_verdict.limit,
        now=system_clock(),
    )


def cancel_id_of(sent: Parameters) -> str:
    """A cancel's own name, drawn where the client gives none."""
    return sent.client_id("newClientOrderId") or secrets.token_hex(11)


class OrderView(RawView):
    def post(self, request: Request) -> HttpResponse:
        wish = orders.wish_of(parameters_of(request), source=OrderSource.API_KEY)
        placed = orders.place(self.account(request), wish)
        if placed.replayed:  # Binance's clients take an answer for a new order
            raise DuplicateClientOrderId
        return raw(placed_answer(placed.body, wish))

    def get(self, request: Request) -> HttpResponse:
        account = self.account_row(request)
        ref = AccountRef(account_id=account.pk)
        found = orders.find(ref, parameters_of(request), absent=Code.NO_SUCH_ORDER)
        return raw(bodies.order_body(orders.shown_order(found, account)))

    def delete(self, request: Request) -> HttpResponse:
        sent = parameters_of(request)
        cancel_id = cancel_id_of(sent)
        return raw(bodies.cancelled_body(orders.cancel(self.account(request), sent), cancel_id=cancel_id))


def placed_answer(body: Any, wish: orders.Wish) -> dict[str, Any]:
    """In as much detail as was asked for; only what needs the fills asks for them."""
    fills = None if wish.response is ResponseType.ACK else bodies.fills_of(body)
    return bodies.placed_body(body, fills=fills, response=wish.response, quote_quantity=wish.quote_quantity)


class OpenOrdersView(RawView):
    def get(self, request: Request) -> HttpResponse:
        account = self.account_row(request)
        found = orders.open_orders(account, parameters_of(request))
        return raw([bodies.order_body(orders.shown_order(order, account)) for order in found])

    def delete(self, request: Request) -> HttpResponse:
        sent = parameters_of(request)
        cancelled = orders.cancel_all(self.account(request), sent)
        return raw([bodies.cancelled_body(order, cancel_id=cancel_id_of(sent)) for order in cancelled])


class AllOrdersView(RawView):
    def get(self, request: Request) -> HttpResponse:
        account = self.account_row(request)
        found = orders.all_orders(account, parameters_of(request))
        return raw([bodies.order_body(orders.shown_order(order, account)) for order in found])


class OwnTradesView(RawView):
    def get(self, request: Request) -> HttpResponse:
        found = orders.own_trades(self.account_row(request), parameters_of(request))
        return raw([bodies.trade_body(fill) for fill in found])


class AccountView(RawView):
    def get(self, request: Request) -> HttpResponse:
        omit_zero, caller = parameters_of(request).text("omitZeroBalances") == "true", caller_of(request)
        state, board = read_account(self.account(request)), present_board()
        can_trade = "trade" in caller.scopes
        return raw(bodies.account_body(state, board, can_trade=can_trade, omit_zero=omit_zero, now=system_clock()))
