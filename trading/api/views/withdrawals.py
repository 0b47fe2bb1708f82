"""Withdrawals and the addresses they may go to, over HTTP."""

from uuid import UUID

import orjson
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from accounts.api.two_factor_views import FRESH_CODE, fresh_code_of
from accounts.services import two_factor
from astrade.core.api.pagination import PageQuery, page_by_time
from astrade.core.api.views import ApiView, bodies, body, ok, shape
from astrade.core.clock import system_clock
from astrade.core.errors import ApprovalRequired, NotFound
from astrade.core.http import Answer
from astrade.core.idempotency import idempotent, is_known
from astrade.core.permissions import IsWithdrawer, caller_of
from astrade.venues.extended.profiles import Network
from trading import selectors
from trading.api.forms import MovementsQuery, WithdrawalAddressForm, WithdrawalForm
from trading.api.prepared import AskWithdrawalForm, PreparedWithdrawalOut, signed_of
from trading.api.schemas import WithdrawalAddressOut, WithdrawalOut
from trading.api.views.funds import MovementsView, unbound
from trading.domain.payments import PaymentState
from trading.models import Withdrawal
from trading.services.bookings import present_board
from trading.services.payments import body_of
from trading.services.prepared_withdrawals import prepare_withdrawal
from trading.services.withdrawal_addresses import add_address, remove_address
from trading.services.withdrawals import cancel_withdrawal, request_withdrawal


class WithdrawalsView(MovementsView):
    permission_classes = [IsWithdrawer]

    @extend_schema(
        parameters=[MovementsQuery, PageQuery], responses=WithdrawalOut(many=True), operation_id="list_withdrawals"
    )
    def get(self, request: Request) -> Answer:
        """Withdrawals from the user's accounts, newest first."""
        found = selectors.withdrawals_of(self.accounts(request))
        rows, pagination = self.page(request, found, time="requested_at")
        return ok([body_of(row) for row in rows], pagination=pagination)

    @extend_schema(
        request=AskWithdrawalForm,
        parameters=[FRESH_CODE],
        responses={202: OpenApiResponse(WithdrawalOut, description="Taken; code 4004 where staff has to approve it")},
        operation_id="withdraw",
    )
    def post(self, request: Request) -> Answer:
        """Withdraw collateral from a live account to one of the user's addresses. Wants a fresh `X-2FA-Code`. It is
        sent after the answer; `withdrawal_update` events and this list tell what becomes of it. What the user signs is
        prepared first: see `/withdrawals/prepare`.
        """
        caller, form = caller_of(request), shape(AskWithdrawalForm, request.data)
        account, board = self.account(request, form.get("account")), present_board()

        def effect(code: str) -> Answer:
            made = request_withdrawal(
                account=account,
                address=form["address_id"],
                amount=form["amount"],
                asset=form.get("asset"),
                code=code,
                board=board,
                now=system_clock(),
                signed=signed_of(form),
            )
            return ok(body_of(made), status=202)

        if is_known(request, caller):
            return _or_approval(idempotent(request, caller, lambda: effect("")))
        with two_factor.trying(caller.user_id, code=fresh_code_of(request)) as code:
            answer = idempotent(request, caller, lambda: effect(code))
        return _or_approval(answer)


def _or_approval(answer: Answer) -> Answer:
    """The answer, a replay's too; raises ApprovalRequired for a withdrawal that waits for staff."""
    made = orjson.loads(answer.content)["data"]
    if made["status"] == PaymentState.AWAITING_APPROVAL:
        raise ApprovalRequired(details={"withdrawal": made})
    return answer


class PrepareWithdrawalView(MovementsView):
    permission_classes = [IsWithdrawer]

    @extend_schema(request=WithdrawalForm, responses=PreparedWithdrawalOut, operation_id="prepare_withdrawal")
    def post(self, request: Request) -> Answer:
        """What the user's own key signs for a withdrawal, on an account that is connected as `user_signed`. Then
        `POST /withdrawals` with the same body, `prepared` and `signature`, within a minute. Nothing is held until then.
        """
        form = shape(WithdrawalForm, request.data)
        shown = prepare_withdrawal(
            account=self.account(request, form.get("account")),
            address=form["address_id"],
            amount=form["amount"],
            asset=form.get("asset"),
            board=present_board(),
        )
        return ok(shown)


class WithdrawalView(MovementsView):
    permission_classes = [IsWithdrawer]

    @extend_schema(responses=WithdrawalOut, operation_id="get_withdrawal")
    def get(self, request: Request, withdrawal_id: UUID) -> Answer:
        """One withdrawal."""
        return ok(body_of(self._owned(request, withdrawal_id)))

    @extend_schema(responses=WithdrawalOut, operation_id="cancel_withdrawal")
    def delete(self, request: Request, withdrawal_id: UUID) -> Answer:
        """Take a withdrawal back before it is sent."""
        row = self._owned(request, withdrawal_id)
        return ok(body_of(cancel_withdrawal(row.pk, user_id=caller_of(request).user_id)))

    def _owned(self, request: Request, withdrawal_id: UUID) -> Withdrawal:
        row = selectors.withdrawals_of(self.accounts(request)).filter(uuid=withdrawal_id).first()
        if row is None:
            raise NotFound
        return row


class WithdrawalAddressesView(ApiView):
    permission_classes = [IsWithdrawer]

    @extend_schema(
        parameters=[PageQuery], responses=WithdrawalAddressOut(many=True), operation_id="list_withdrawal_addresses"
    )
    def get(self, request: Request) -> Answer:
        """The addresses that withdrawals may go to, newest first, each from its `usable_at` on."""
        rows = selectors.withdrawal_addresses_of(caller_of(request).user_id)
        found, pagination = page_by_time(rows, request, key="added_at")
        return ok(bodies(WithdrawalAddressOut, found), pagination=pagination)

    @extend_schema(
        request=WithdrawalAddressForm,
        parameters=[FRESH_CODE],
        responses={201: WithdrawalAddressOut},
        operation_id="add_withdrawal_address",
    )
    def post(self, request: Request) -> Answer:
        """Add an address; it is usable 24 hours later. Wants `X-2FA-Code`."""
        caller, form = unbound(request), shape(WithdrawalAddressForm, request.data)
        row = add_address(
            caller.user_id,
            network=Network(form["network"]),
            address=form["address"],
            label=form["label"],
            code=fresh_code_of(request),
            now=system_clock(),
        )
        return ok(body(WithdrawalAddressOut, row), status=201)


class WithdrawalAddressView(ApiView):
    permission_classes = [IsWithdrawer]

    @extend_schema(responses=WithdrawalAddressOut, operation_id="remove_withdrawal_address")
    def delete(self, request: Request, address_id: UUID) -> Answer:
        """Take an address off the list, at once."""
        row = remove_address(unbound(request).user_id, address=address_id, now=system_clock())
        return ok(body(WithdrawalAddressOut, row))
