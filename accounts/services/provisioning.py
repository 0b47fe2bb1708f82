"""Sign-up from a wallet app: a new user with a Stark key of the server's making, and no proof of who they are."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import signals
from accounts.models import User
from accounts.services import sessions
from accounts.services.sessions import Client, TokenPair
from accounts.services.stark_keys import generate_stark_key
from accounts.services.users import new_name
from astrade.venues.extended.profiles import Network


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A new user's first session, and the public half of their key."""

    pair: TokenPair
    stark_public_key: str


@transaction.atomic
def provision_user(
    *, client: Client, now: datetime, provider: str = "", cavos_user_id: str = "", claimed_email: str = ""
) -> Provisioned:
    """Always a new user: what they say of themselves is stored as said and identifies nobody.

    Whoever listens to `user_registered` takes part in the transaction. The key is for `STARKNET_NETWORK`.
    """
    user = User.objects.create(
        password=make_password(None),
        display_name=new_name(),
        provider=provider,
        cavos_user_id=cavos_user_id,
        claimed_email=claimed_email,
    )
    key = generate_stark_key(user, network=Network(settings.STARKNET_NETWORK), now=now)
    signals.user_registered.send(sender=User, user_id=user.pk)
    return Provisioned(sessions.open_session(user, client=client, now=now), key.public_key)
