"""The dead-man switch over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.views import ok, shape
from astrade.core.http import Answer
from trading.api.forms import DeadManSwitchForm
from trading.api.schemas import DeadManSwitchOut
from trading.api.views.base import AccountView
from trading.services.due import set_switch


class DeadManSwitchView(AccountView):
    @extend_schema(request=DeadManSwitchForm, responses=DeadManSwitchOut, operation_id="set_dead_man_switch")
    def post(self, request: Request) -> Answer:
        """Cancel all of the account's orders unless this is called again within `timeout_s` seconds; 0 switches it
        off. Take profits and stop losses go too: `unprotected_positions` lists the positions that would lose theirs.
        """
        form = shape(DeadManSwitchForm, request.data)
        return ok(set_switch(account=self.account(request, form.get("account")), timeout_s=form["timeout_s"]))
