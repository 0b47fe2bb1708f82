"""The back office's view of people: looked at here, changed by services only."""

import uuid
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts import services
from accounts.models import ApiKey, Consent, Onboarding, RefreshFamily, StarkKey, TotpDevice, User, VenueCredential
from accounts.services import two_factor
from astrade.core.admin import ReadOnlyAdmin
from astrade.core.errors import AstradeError

admin.site.unregister(Group)  # rights are given by `is_superuser` alone


def named(term: str, *, prefix: str = "") -> Q:
    """Users by public id or by how their address begins: both have an index, unlike a search within texts."""
    try:
        return Q(**{f"{prefix}uuid": uuid.UUID(term.strip())})
    except ValueError:
        return Q(**{f"{prefix}email__startswith": term.strip().lower()})


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """People, and stopping them."""

    list_display = ["email", "uuid", "display_name", "state", "tier", "is_staff", "created_at", "last_login"]
    list_filter = ["state", "tier", "is_staff"]
    search_fields = ["email"]
    search_help_text = "E-mail address (its beginning) or id"
    fields = [
        "uuid", "email", "email_verified", "display_name", "time_zone", "cool_off_until", "tier", "state", "is_staff",
        "is_superuser", "provider", "cavos_user_id", "claimed_email", "one_tap_account", "total_volume", "total_trades",
        "total_realized_pnl", "created_at", "last_login",
    ]  # fmt: skip
    actions = ["freeze", "unfreeze"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """By public id or address."""
        return (queryset.filter(named(search_term)) if search_term else queryset), False

    def has_freeze_permission(self, request: HttpRequest) -> bool:
        """Who may see users isn't who may stop them."""
        return request.user.has_perm("accounts.change_user")

    @admin.action(description="Freeze: stop from acting, close sockets", permissions=["freeze"])
    def freeze(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Each in a transaction of its own; who can't be frozen is named."""
        self._each(request, queryset, services.freeze_user, "frozen")

    @admin.action(description="Unfreeze", permissions=["freeze"])
    def unfreeze(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Each in a transaction of its own."""
        self._each(request, queryset, services.unfreeze_user, "unfrozen")

    def _each(self, request: HttpRequest, queryset: QuerySet[User], service: Any, done: str) -> None:
        changed = 0
        for user in queryset:
            try:
                changed += service(user.pk, actor_id=request.user.pk, reason="admin")
            except AstradeError as exc:
                self.message_user(request, f"{user}: {exc}", messages.ERROR)
        self.message_user(request, f"{changed} {done}", messages.SUCCESS)


class OfUsers:
    """Lists whose search finds what belongs to a user."""

    search_fields = ["user__email"]
    search_help_text = "E-mail address (its beginning) or id of the user"
    list_select_related = ["user"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By user."""
        return (queryset.filter(named(search_term, prefix="user__")) if search_term else queryset), False


@admin.register(RefreshFamily)
class SessionAdmin(OfUsers, ReadOnlyAdmin):
    """Where people are signed in."""

    list_display = [
        "created_at",
        "user",
        "ip",
        "user_agent",
        "last_used_at",
        "expires_at",
        "revoked_at",
        "revoke_reason",
    ]
    list_filter = ["revoke_reason"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """What programs sign in with; the secrets themselves are stored nowhere."""

    list_display = [
        "created_at",
        "user",
        "name",
        "prefix",
        "scopes",
        "account_uuid",
        "expires_at",
        "last_used_at",
        "revoked_at",
    ]
    list_select_related = ["user"]
    search_fields = ["prefix"]
    search_help_text = "Prefix of the key, or e-mail address (its beginning) or id of the user"
    exclude = ["digest"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], search_term: str
    ) -> tuple[QuerySet[ApiKey], bool]:
        """By prefix or user."""
        found = named(search_term, prefix="user__") | Q(prefix=search_term.strip())
        return (queryset.filter(found) if search_term else queryset), False


@admin.register(TotpDevice)
class AuthenticatorAdmin(OfUsers, ReadOnlyAdmin):
    """Whose sign-in wants a second factor; the secrets are sealed and never shown."""

    list_display = ["created_at", "user", "confirmed_at"]
    fields = ["user", "created_at", "confirmed_at"]
    actions = ["remove"]

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Who may stop people may help them, too."""
        return request.user.has_perm("accounts.change_user")

    @admin.action(description="Remove: for somebody who lost authenticator and codes", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[TotpDevice]) -> None:
        """Their sign-in is by password alone again; noted in the audit trail."""
        actor_id = int(request.user.pk or 0)
        removed = sum(two_factor.remove_for(device.user_id, actor_id=actor_id) for device in queryset)
        self.message_user(request, f"{removed} removed", messages.SUCCESS)


@admin.register(StarkKey)
class StarkKeyAdmin(OfUsers, ReadOnlyAdmin):
    """Keys of the settlement layer by their public half; the private one is sealed and never shown."""

    list_display = ["created_at", "user", "network", "origin", "public_key"]
    list_filter = ["network", "origin"]
    fields = ["uuid", "user", "network", "origin", "public_key", "created_at"]


@admin.register(VenueCredential)
class VenueCredentialAdmin(OfUsers, ReadOnlyAdmin):
    """Connected accounts at venues; the API keys are sealed and never shown."""

    list_display = ["created_at", "user", "venue", "network", "signing", "vault", "venue_account_id", "state"]
    list_filter = ["venue", "network", "signing", "state"]
    fields = [
        "uuid", "user", "venue", "network", "signing", "stark_key", "venue_account_id", "vault", "state", "checked_at",
        "created_at",
    ]  # fmt: skip


@admin.register(Onboarding)
class OnboardingAdmin(OfUsers, ReadOnlyAdmin):
    """Accounts at venues that wallets are opening; without a connection those that came to nothing yet."""

    list_display = ["created_at", "user", "network", "wallet", "key_origin", "expires_at", "credential"]
    list_filter = ["network", "key_origin", ("credential", admin.EmptyFieldListFilter)]
    fields = [
        "uuid", "user", "network", "wallet", "key_origin", "stark_key", "credential", "created_at", "expires_at",
        "claimed_until",
    ]  # fmt: skip


@admin.register(Consent)
class ConsentAdmin(OfUsers, ReadOnlyAdmin):
    """Who accepted which version of what."""

    list_display = ["at", "user", "document", "version", "ip"]
    list_filter = ["document", "version"]
