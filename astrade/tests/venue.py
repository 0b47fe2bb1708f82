"""A server whose testnet is an emulator, and people who have an account there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accounts.models import User, VenueCredential
from accounts.tests.client import Answer, Api
from accounts.tests.factories import UserFactory, signed_in
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.server import BASE
from astrade.venues.extended.client import client_of
from astrade.venues.extended.profiles import Network, profile_of

EXTENDED = "/venue-credentials/extended"


@contextmanager
def extended_at(url: str, settings: Any) -> Iterator[None]:
    """What the server takes for Extended's testnet."""
    settings.EXTENDED_TESTNET_API_URL = url + BASE
    profile_of.cache_clear()
    client = client_of(profile_of(Network.TESTNET))
    try:
        yield
    finally:
        client.close()
        client_of.cache_clear()
        profile_of.cache_clear()


class Person:
    """Somebody signed in, who connects accounts."""

    def __init__(self, user: User | None = None) -> None:
        self.user: User = user or UserFactory.create()
        self.api = Api().bearer(signed_in(self.user).access_token)

    def connect(self, account: Account, *, code: str | None = None, **changes: Any) -> Answer:
        """Connect an account by its own keys, but for what is changed; None leaves out."""
        body = body_of(account) | changes
        headers = {"X_2FA_Code": code} if code else {}
        return self.api.call(
            "PUT", EXTENDED, {name: value for name, value in body.items() if value is not None}, **headers
        )


def body_of(account: Account) -> dict[str, Any]:
    """What connects an account."""
    assert account.private_key is not None
    return {
        "network": "testnet",
        "api_key": account.api_key,
        "stark_private_key": hex(account.private_key),
        "vault": account.vault,
    }


def states() -> list[str]:
    """Of all connections, oldest first."""
    return list(VenueCredential.objects.order_by("pk").values_list("state", flat=True))


def at_fault(answer: Answer) -> set[str]:
    """The fields that a refusal names."""
    return set(answer.content["error"]["details"]["fields"])
