"""Orders that their user signs, before they are placed."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.views import ok, shape
from astrade.core.http import Answer
from trading.api.forms import OrderForm
from trading.api.prepared import PreparedOrderOut
from trading.api.views.base import AccountView
from trading.api.views.orders import idempotency_key, order_request, source_of
from trading.services.prepared_orders import prepare_order


class PrepareOrderView(AccountView):
    @extend_schema(request=OrderForm, responses=PreparedOrderOut, operation_id="prepare_order")
    def post(self, request: Request) -> Answer:
        """What the user's own key signs for a market or limit order, on an account that is connected as `user_signed`.
        Then `POST /orders` with the same body, `prepared` and `signature`, within a minute. Nothing is reserved until
        then.
        """
        form = shape(OrderForm, request.data)
        wanted = order_request(form, source=source_of(request), client_order_id=idempotency_key(request))
        return ok(prepare_order(account=self.account(request), symbol=form["symbol"], request=wanted))
