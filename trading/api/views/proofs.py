"""What lets a user hold the platform to a balance: daily roots, and the proof under them."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from astrade.core.api.pagination import PageQuery, page
from astrade.core.api.views import ApiView, bodies, body, ok
from astrade.core.clock import from_ms, system_clock, to_ms
from astrade.core.errors import ValidationFailed
from astrade.core.http import Answer
from astrade.core.permissions import Public
from trading import selectors
from trading.api.forms import ProofQuery
from trading.api.report_schemas import BalanceProofOut, BalanceRootOut
from trading.api.views.base import AccountView, query
from trading.models import BalanceRoot
from trading.proofs import balance_proof, root_body


class RootsView(ApiView):
    permission_classes = [Public]

    @extend_schema(parameters=[PageQuery], responses=BalanceRootOut(many=True), operation_id="balance_roots")
    def get(self, request: Request) -> Answer:
        """The daily Merkle roots over all accounts' balances, newest first, each chained to the one before."""
        roots, pagination = page(BalanceRoot.objects.all(), request)
        return ok(bodies(BalanceRootOut, [root_body(root) for root in roots]), pagination=pagination)


class ProofView(AccountView):
    @extend_schema(parameters=[ProofQuery], responses=BalanceProofOut, operation_id="account_proof")
    def get(self, request: Request, account_id: UUID) -> Answer:
        """The balance before a moment (the latest root's unless said), with its hash-chain and Merkle evidence.

        `examples/verify_proof.py` checks it without the platform.
        """
        at = query(request, ProofQuery).get("at")
        if at is not None and at > to_ms(system_clock()):
            raise ValidationFailed(details={"fields": {"at": ["It lies in the future."]}})
        account = selectors.account_by_ref(self.account(request, account_id))
        return ok(body(BalanceProofOut, balance_proof(account, at=None if at is None else from_ms(at))))
