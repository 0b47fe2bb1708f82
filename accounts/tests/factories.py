"""The smallest valid users, sessions and keys."""

from datetime import timedelta
from typing import Any

from factory.declarations import LazyAttribute, LazyFunction, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory
from factory.helpers import post_generation

from accounts.models import (
    ApiKey,
    KeyOrigin,
    Onboarding,
    RefreshFamily,
    Signing,
    StarkKey,
    User,
    Venue,
    VenueCredential,
)
from accounts.sealing import seal
from accounts.services.sessions import Client, TokenPair, open_session
from accounts.services.venue_connections import PURPOSE
from accounts.stark import as_hex
from accounts.tokens import digest_of, new_api_key
from astrade.core.clock import system_clock
from astrade.core.fields import public_id
from astrade.venues.extended.profiles import Network
from astrade.venues.extended.signing import public_key_of

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


class StarkKeyFactory(DjangoModelFactory[StarkKey]):
    """A key of which only the public half is kept."""

    class Meta:
        model = StarkKey

    user = SubFactory(UserFactory)
    network = Network.TESTNET
    public_key = Sequence(lambda number: as_hex(public_key_of(1_000 + number)))
    origin = KeyOrigin.EXTERNAL
    created_at = LazyFunction(system_clock)


class VenueCredentialFactory(DjangoModelFactory[VenueCredential]):
    """An account that is signed for by the user."""

    class Meta:
        model = VenueCredential

    uuid = LazyFunction(public_id)
    user = SubFactory(UserFactory)
    venue = Venue.EXTENDED
    network = Network.TESTNET
    signing = Signing.USER_SIGNED
    stark_key = SubFactory(StarkKeyFactory, user=SelfAttribute("..user"))
    api_key = LazyAttribute(lambda row: seal(b"a key of the venue", purpose=PURPOSE, row=row.uuid))
    venue_account_id = Sequence(lambda number: 100_001 + number)
    vault = Sequence(lambda number: 10_001 + number)
    created_at = LazyFunction(system_clock)
    checked_at = LazyAttribute(lambda row: row.created_at)


class OnboardingFactory(DjangoModelFactory[Onboarding]):
    """An account that a wallet is to open."""

    class Meta:
        model = Onboarding

    user = SubFactory(UserFactory)
    network = Network.TESTNET
    wallet = Sequence("0x{:040d}".format)
    key_origin = KeyOrigin.DERIVED
    created_at = LazyFunction(system_clock)
    expires_at = LazyAttribute(lambda row: row.created_at + timedelta(minutes=10))


def signed_in(user: User | None = None) -> TokenPair:
    """A session of `user`, as sign-in would open it."""
    return open_session(user or UserFactory.create(), client=Client(), now=system_clock())
