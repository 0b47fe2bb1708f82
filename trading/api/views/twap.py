"""Pause and resume of TWAP orders."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.views import ok
from astrade.core.http import Answer
from trading.api.schemas import OrderOut
from trading.api.views.base import AccountView
from trading.loading import OrderRef
from trading.services.twap import pause_order, resume_order


class PauseView(AccountView):
    @extend_schema(request=None, responses=OrderOut, operation_id="pause_order")
    def post(self, request: Request, order_id: UUID) -> Answer:
        """Pause a TWAP order: no slice trades until it is resumed; its margin stays reserved."""
        return ok(pause_order(account=self.account(request), order=OrderRef(uuid=order_id)))


class ResumeView(AccountView):
    @extend_schema(request=None, responses=OrderOut, operation_id="resume_order")
    def post(self, request: Request, order_id: UUID) -> Answer:
        """Resume a paused TWAP order: its remaining slices and its end move on by the pause."""
        return ok(resume_order(account=self.account(request), order=OrderRef(uuid=order_id)))


class AccountPauseView(AccountView):
    @extend_schema(request=None, responses=OrderOut, operation_id="pause_account_order")
    def post(self, request: Request, account_id: UUID, order_id: UUID) -> Answer:
        """Pause a TWAP order of this account."""
        return ok(pause_order(account=self.account(request, account_id), order=OrderRef(uuid=order_id)))


class AccountResumeView(AccountView):
    @extend_schema(request=None, responses=OrderOut, operation_id="resume_account_order")
    def post(self, request: Request, account_id: UUID, order_id: UUID) -> Answer:
        """Resume a paused TWAP order of this account."""
        return ok(resume_order(account=self.account(request, account_id), order=OrderRef(uuid=order_id)))
