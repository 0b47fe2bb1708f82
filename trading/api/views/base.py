"""What trading's views share: which account a call acts on, and the rows behind it."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request

from astrade.core.api.views import ApiView, shape
from astrade.core.errors import ValidationFailed
from astrade.core.permissions import caller_of
from trading import selectors
from trading.api.forms import AccountQuery
from trading.loading import AccountRef

ACCOUNT_HEADER, ACCOUNT_META = "X-Account-Id", "HTTP_X_ACCOUNT_ID"  # META spares building all headers


class AccountView(ApiView):
    """A view that acts on one account: the path's, else the one of `X-Account-Id` or `?account=`, else the
    primary one.
    """

    def account(self, request: Request, account_id: UUID | None = None) -> AccountRef:
        """Reference to the account; whether it exists and is the caller's shows when it is loaded."""
        return selectors.account_ref(caller_of(request), account_id or self._named(request))

    def account_key(self, request: Request, account_id: UUID | None = None) -> int:
        """Row id of the account; raises NotFound."""
        return selectors.account_by_ref(self.account(request, account_id)).pk

    def _named(self, request: Request) -> UUID | None:
        header, query = request.META.get(ACCOUNT_META), request.query_params.get("account")
        if not header and not query:
            return None
        if header and query and header != query:
            raise ValidationFailed(details={"fields": {"account": [f"{ACCOUNT_HEADER} names another account."]}})
        named: UUID = shape(AccountQuery, {"account": header or query})["account"]
        return named


def expected_version(request: Request, named: int | None) -> int | None:
    """The version the caller saw: `If-Match` (an entity tag or a bare number, `*` for any) or the body's `version`."""
    tag = request.META.get("HTTP_IF_MATCH", "").strip()
    if not tag or tag == "*":
        return named
    digits = tag.removeprefix("W/").strip('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise ValidationFailed(details={"fields": {"If-Match": ["The object's version is required."]}})
    if named not in (None, int(digits)):
        raise ValidationFailed(details={"fields": {"version": ["If-Match names another version."]}})
    return int(digits)


def query(request: Request, form: Any) -> dict[str, Any]:
    """The query parameters by their form."""
    return shape(form, request.query_params.dict())
