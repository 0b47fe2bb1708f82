"""The smallest valid users, sessions and keys."""

from datetime import timedelta
from typing import Any

from factory.declarations import LazyAttribute, LazyFunction, Sequence, SubFactory
from factory.django import DjangoModelFactory
from factory.helpers import post_generation

from accounts.models import ApiKey, RefreshFamily, User
from accounts.services.sessions import Client, TokenPair, open_session
from accounts.tokens import digest_of, new_api_key
from astrade.core.clock import system_clock

PASSWORD = "Correct-Horse-7"


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = Sequence("trader-{}@example.com".format)
    display_name = Sequence("Trader {}".format)

    @post_generation
    def password(self, create: bool, extracted: str | None, **kwargs: Any) -> None:
        self.set_password(extracted or PASSWORD)  # type: ignore[attr-defined]
        self.save()  # type: ignore[attr-defined]


class RefreshFamilyFactory(DjangoModelFactory[RefreshFamily]):
    class Meta:
        model = RefreshFamily

    user = SubFactory(UserFactory)
    created_at = LazyFunction(system_clock)
    last_used_at = LazyAttribute(lambda family: family.created_at)
    expires_at = LazyAttribute(lambda family: family.created_at + timedelta(days=7))


class ApiKeyFactory(DjangoModelFactory[ApiKey]):
    class Meta:
        model = ApiKey
        exclude = ("secret",)

    user = SubFactory(UserFactory)
    name = "bot"
    secret = LazyFunction(lambda: new_api_key()[0])
    prefix = LazyAttribute(lambda key: key.secret[:11])
    digest = LazyAttribute(lambda key: digest_of(key.secret))
    scopes = LazyFunction(lambda: ["read"])
    created_at = LazyFunction(system_clock)


def signed_in(user: User | None = None) -> TokenPair:
    """A session of `user`, as sign-in would open it."""
    return open_session(user or UserFactory.create(), client=Client(), now=system_clock())
