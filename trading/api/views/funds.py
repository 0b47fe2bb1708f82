"""Transfers, the faucet and the practice reset over HTTP."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from astrade.core.api.views import ok, shape
from astrade.core.clock import system_clock
from astrade.core.errors import NotPermitted
from astrade.core.idempotency import idempotent, is_known
from astrade.core.permissions import Caller, IsWithdrawer, caller_of
from trading import selectors
from trading.api.forms import FaucetForm, ResetForm, TransferForm
from trading.api.schemas import FaucetOut, ResetOut, TransferOut
from trading.api.views.base import AccountView
from trading.api.views.orders import source_of
from trading.domain.funds import FAUCET_DAILY_MAX
from trading.loading import AccountRef, read_account
from trading.services import funds, resets
from trading.services.bookings import present_board
from trading.valuation import account_body


def unbound(request: Request) -> Caller:
    """The caller; raises NotPermitted for an API key that is bound to one account."""
    caller = caller_of(request)
    if caller.account_id is not None:
        raise NotPermitted("This API key is bound to one account")
    return caller


class TransfersView(AccountView):
    permission_classes = [IsWithdrawer]

    @extend_schema(request=TransferForm, responses={201: TransferOut}, operation_id="transfer")
    def post(self, request: Request) -> Response:
        """Move cash between two of the user's own accounts of one venue and network."""
        caller, form = unbound(request), shape(TransferForm, request.data)
        sender, board = selectors.account_ref(caller, form["from_account"]), present_board()

        def effect() -> Response:
            made = funds.transfer(
                sender=sender,
                to_account=form["to_account"],
                asset=form.get("asset"),
                amount=form["amount"],
                board=board,
            )
            body = {"id": made.uuid, "from_account": form["from_account"], "to_account": form["to_account"]}
            return ok(body | {"asset": made.asset, "amount": made.amount, "at": made.at}, status=201)

        return idempotent(request, caller, effect)


class FaucetView(AccountView):
    @extend_schema(request=FaucetForm, responses={201: FaucetOut}, operation_id="faucet")
    def post(self, request: Request) -> Response:
        """Virtual money for a practice account: at most 100,000 a user and UTC day."""
        caller, form = caller_of(request), shape(FaucetForm, request.data)
        account, board = self.account(request, form.get("account")), present_board()

        def effect() -> Response:
            granted = funds.grant_faucet(account=account, amount=form["amount"], board=board)
            made = granted.deposit
            body = {"id": made.uuid, "account": made.account.uuid, "asset": made.asset, "amount": made.amount}
            today = {"granted_today": granted.granted_today, "max_a_day": FAUCET_DAILY_MAX, "at": made.at}
            return ok(body | today, status=201)

        return idempotent(request, caller, effect)


class ResetView(AccountView):
    @extend_schema(request=ResetForm, responses={201: ResetOut}, operation_id="reset_account")
    def post(self, request: Request, account_id: UUID) -> Response:
        """Cancel all orders of a practice account, close its positions at market, close it, and open its successor."""
        caller, form = unbound(request), shape(ResetForm, request.data)
        account, board = selectors.account_ref(caller, account_id), present_board()
        if not is_known(request, caller):
            resets.clear_account(account=account, source=source_of(request))

        def effect() -> Response:
            replaced = resets.replace_account(account=account, initial_balance=form.get("initial_balance"))
            successor = replaced.successor
            state = read_account(AccountRef(account_id=successor.pk))
            body = account_body(successor, state, board, now=system_clock())
            return ok({"account": body, "predecessor_id": replaced.closed.uuid}, status=201)

        return idempotent(request, caller, effect)
