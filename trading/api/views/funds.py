"""Transfers, deposits, the faucet and the practice reset over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from astrade.core.api.pagination import PageQuery, page_by_time
from astrade.core.api.views import ok, shape
from astrade.core.clock import system_clock
from astrade.core.errors import NotPermitted
from astrade.core.http import Answer
from astrade.core.idempotency import idempotent, is_known
from astrade.core.permissions import Caller, IsWithdrawer, caller_of
from astrade.venues.extended.profiles import Network
from trading import selectors
from trading.api.forms import AccountQuery, FaucetForm, MovementsQuery, ResetForm, TransferForm
from trading.api.schemas import ClaimOut, DepositInstructionsOut, DepositOut, FaucetOut, ResetOut, TransferOut
from trading.api.views.accounts import one_body
from trading.api.views.base import AccountView, query
from trading.api.views.orders import source_of
from trading.domain.funds import FAUCET_DAILY_MAX, FAUCET_MIN, transfer_body, utc_day
from trading.loading import AccountRef
from trading.models import Deposit, TradingAccount, Transfer, VenueTransfer
from trading.services import funds, resets
from trading.services.bookings import present_board
from trading.venues.choice import venue_account


def unbound(request: Request) -> Caller:
    """The caller; raises NotPermitted for an API key that is bound to one account."""
    caller = caller_of(request)
    if caller.account_id is not None:
        raise NotPermitted("This API key is bound to one account")
    return caller


class MovementsView(AccountView):
    """What moved on one of the caller's accounts, or on all of them, closed ones included."""

    def accounts(self, request: Request) -> list[int]:
        """Row ids of the account that is named, else of all; raises NotFound."""
        if self._named(request) is not None:
            return [self.account_key(request)]
        return list(selectors.accounts_of(caller_of(request)).values_list("pk", flat=True))

    def page(
        self, request: Request, rows: QuerySet[Any], *, time: str = "at"
    ) -> tuple[list[Any], dict[str, int | None]]:
        """A page of those from `from` until before `to`, by their column `time`."""
        asked = query(request, MovementsQuery)
        within = {f"{time}__{name}": asked[key] for name, key in (("gte", "from"), ("lt", "to")) if key in asked}
        return page_by_time(rows.filter(**within), request, key=time)


class TransfersView(MovementsView):
    permission_classes = [IsWithdrawer]

    @extend_schema(
        parameters=[MovementsQuery, PageQuery], responses=TransferOut(many=True), operation_id="list_transfers"
    )
    def get(self, request: Request) -> Answer:
        """Transfers between the user's accounts, newest first."""
        rows, pagination = self.page(request, selectors.transfers_of(self.accounts(request)))
        return ok([_transfer_body(row) for row in rows], pagination=pagination)

    @extend_schema(
        request=TransferForm,
        responses={
            201: TransferOut,
            202: OpenApiResponse(TransferOut, description="Between live accounts: taken, sent after the answer"),
        },
        operation_id="transfer",
    )
    def post(self, request: Request) -> Answer:
        """Move cash between two of the user's own accounts of one venue and network: practice money at once, money at a
        venue as soon as it has carried that out; `transfer_update` events and this list tell what becomes of it.
        """
        caller, form = unbound(request), shape(TransferForm, request.data)
        sender, board = selectors.account_ref(caller, form["from_account"]), present_board()

        def effect() -> Answer:
            made = funds.transfer(
                sender=sender,
                to_account=form["to_account"],
                asset=form.get("asset"),
                amount=form["amount"],
                board=board,
            )
            return ok(_transfer_body(made), status=201 if _at_venue(made) is None else 202)

        return idempotent(request, caller, effect)


def _transfer_body(row: Transfer) -> dict[str, Any]:
    sender, receiver = row.from_account.uuid, row.to_account.uuid
    return transfer_body(row, sender=sender, receiver=receiver, at_venue=_at_venue(row))


def _at_venue(row: Transfer) -> VenueTransfer | None:
    return None if row.from_account.venue == TradingAccount.Venue.PRACTICE else row.at_venue


def _deposit_body(row: Deposit) -> dict[str, Any]:
    what = {"source": row.source, "asset": row.asset, "amount": row.amount, "at": row.at}
    return {"id": row.uuid, "account": row.account.uuid} | what


class DepositsView(MovementsView):
    @extend_schema(
        parameters=[MovementsQuery, PageQuery], responses=DepositOut(many=True), operation_id="list_deposits"
    )
    def get(self, request: Request) -> Answer:
        """Deposits on the user's accounts, newest first. What an account was opened with is in its ledger only."""
        rows, pagination = self.page(request, selectors.deposits_of(self.accounts(request)))
        return ok([_deposit_body(row) for row in rows], pagination=pagination)


class DepositInstructionsView(AccountView):
    @extend_schema(parameters=[AccountQuery], responses=DepositInstructionsOut, operation_id="deposit_instructions")
    def get(self, request: Request) -> Answer:
        """How money comes onto an account: onto a practice account from the faucet, and how much of it today; onto a
        live one as its venue says.
        """
        account, today = selectors.account_by_ref(self.account(request)), utc_day(system_clock())
        if account.venue != TradingAccount.Venue.PRACTICE:
            return ok(_live_instructions(account))
        granted = selectors.faucet_granted(account.user_id, since=today)
        return ok(
            {
                "account": account.uuid,
                "venue": account.venue,
                "network": account.network,
                "method": "faucet",
                "contract": None,
                "asset": account.currency,
                "minimum": FAUCET_MIN,
                "max_a_day": FAUCET_DAILY_MAX,
                "granted_today": granted,
                "left_today": FAUCET_DAILY_MAX - granted,
                "next_day_at": today + timedelta(days=1),
                "chains": [],
            }
        )


def _live_instructions(account: TradingAccount) -> dict[str, Any]:
    """The venue is asked for its bridges; on the testnet it gives test money itself."""
    chains = venue_account(account.pk).funds.deposit_chains()
    limits = dict.fromkeys(("contract", "minimum", "max_a_day", "granted_today", "left_today", "next_day_at"))
    return limits | {
        "account": account.uuid,
        "venue": account.venue,
        "network": account.network,
        "method": "faucet" if account.network == Network.TESTNET else "bridge",
        "asset": account.currency,
        "chains": [{"chain": one.chain, "contract": one.contract} for one in chains],
    }


class FaucetView(AccountView):
    @extend_schema(request=FaucetForm, responses={201: FaucetOut, 202: ClaimOut}, operation_id="faucet")
    def post(self, request: Request) -> Answer:
        """Virtual money for a practice account: at most 100,000 a user and UTC day. On a live account of a testnet the
        venue is asked for its own: as much, and as often, as it gives.
        """
        caller, form = caller_of(request), shape(FaucetForm, request.data)
        account, board = self.account(request, form.get("account")), present_board()
        if not is_known(request, caller) and (claimed := funds.claim_test_money(account, amount=form.get("amount"))):
            return idempotent(request, caller, lambda: ok(claimed, status=202))

        def effect() -> Answer:
            granted = funds.grant_faucet(account=account, amount=form.get("amount"), board=board)
            today = {"granted_today": granted.granted_today, "max_a_day": FAUCET_DAILY_MAX}
            return ok(_deposit_body(granted.deposit) | today, status=201)

        return idempotent(request, caller, effect)


class ResetView(AccountView):
    @extend_schema(request=ResetForm, responses={201: ResetOut}, operation_id="reset_account")
    def post(self, request: Request, account_id: UUID) -> Answer:
        """Cancel all orders of a practice account, close its positions at market, close it, and open its successor."""
        caller, form = unbound(request), shape(ResetForm, request.data)
        account, board = selectors.account_ref(caller, account_id), present_board()
        if not is_known(request, caller):
            resets.clear_account(account=account, source=source_of(request))

        def effect() -> Answer:
            replaced = resets.replace_account(account=account, initial_balance=form.get("initial_balance"))
            successor = replaced.successor
            body = one_body(AccountRef(account_id=successor.pk), board)
            return ok({"account": body, "predecessor_id": replaced.closed.uuid}, status=201)

        return idempotent(request, caller, effect)
