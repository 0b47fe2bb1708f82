"""What the back office's lists of accounts' rows share: how they are searched, and how a refusal is told."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.admin import named
from astrade.core.admin import ReadOnlyAdmin
from astrade.core.errors import AstradeError
from trading.models import TradingAccount

ACCOUNTS_MAX = 1000  # that one search looks into


def account_ids_of(word: str) -> list[int]:
    """Accounts by their id, or by their user's id or the beginning of the address; each by an index."""
    ids = TradingAccount.objects.values_list("pk", flat=True)
    found = list(ids.filter(named(word, prefix="user__"))[:ACCOUNTS_MAX])
    return [*found, *ids.filter(uuid=uuid)] if (uuid := uuid_of(word)) else found


class OfAccountAdmin(ReadOnlyAdmin):
    """Rows of accounts, found by account, by user and by `identifiers`; of several words each narrows it down."""

    identifiers: tuple[str, ...] = ()
    search_fields = ("account",)
    search_help_text = "Account id, user id, e-mail address (its beginning), or an id of what is looked for"
    list_select_related: tuple[str, ...] = ("account__user", "market")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Never a search within texts: that reads the whole table."""
        for word in search_term.split():
            queryset = queryset.filter(self._meant_by(word))
        return queryset, False

    def _meant_by(self, word: str) -> Q:
        meant = Q(account_id__in=account_ids_of(word))
        for name in self.identifiers:
            value = uuid_of(word) if name.endswith("uuid") else word
            meant |= Q(**{name: value}) if value else Q()
        return meant


def uuid_of(word: str) -> UUID | None:
    """The UUID that a word is, if it is one."""
    try:
        return UUID(word)
    except ValueError:
        return None


def told(refusal: AstradeError) -> str:
    """A refusal with its figures."""
    figures = ", ".join(f"{name} {value}" for name, value in refusal.details.items())
    return f"{refusal} ({figures})" if figures else str(refusal)
