"""Opening an account at Extended by a wallet's signatures (extended-api.md §13): what is signed, and the calls.

    registration = Registration.at(now, wallet=…, profile=profile)
    registration.typed(profile).digest              signed by the wallet: opens the main account
    message_digest(registration.api_key_message)    signed by the wallet: makes an API key for it
    key_derivation(wallet, profile).digest          signed by the wallet, where its signature is the Stark key's seed
    registration_hash(…)                            of `signing`: signed by the Stark key

§13 doesn't say what registering a second time is answered with. It is the venue's only way to tell what account a
wallet has, so the same registration is sent again where an answer was lost; an account of another key is for the caller
to see.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from astrade.venues.budget import Cost
from astrade.venues.ethereum import TypedData
from astrade.venues.extended.account_wire import Account
from astrade.venues.extended.calls import Call, one
from astrade.venues.extended.profiles import API_PATH, Profile
from astrade.venues.extended.signing import Signature
from astrade.venues.extended.wire import Envelope
from astrade.venues.wire import Wire

MAIN_ACCOUNT = 0
REGISTER = "REGISTER"
REGISTER_PATH = "/auth/onboard"
API_KEY_PATH = f"{API_PATH}/user/account/api-key"
SIGNATURE_HEADER, TIME_HEADER, ACCOUNT_HEADER = "L1_SIGNATURE", "L1_MESSAGE_TIME", "X-X10-ACTIVE-ACCOUNT"
CREATION_FIELDS = (("accountIndex", "int8"), ("wallet", "address"), ("tosAccepted", "bool"))
REGISTRATION_FIELDS = (*CREATION_FIELDS, ("time", "string"), ("action", "string"), ("host", "string"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The opening of a wallet's main account, at one moment; `wallet` in its EIP-55 spelling. Its owner accepts the
    venue's own terms by signing it.
    """

    wallet: str
    time: str  # YYYY-MM-DDTHH:MM:SSZ
    host: str

    @classmethod
    def at(cls, moment: datetime, *, wallet: str, profile: Profile) -> "Registration":
        """The same for a moment, which is cut to its second."""
        return cls(wallet=wallet, time=time_text(moment), host=profile.onboarding_url)

    def as_json(self) -> dict[str, Any]:
        """As it is signed, and sent."""
        return _creation(self.wallet) | {"time": self.time, "action": REGISTER, "host": self.host}

    def typed(self, profile: Profile) -> TypedData:
        """What the wallet signs."""
        return TypedData(
            domain=profile.signing_domain,
            primary_type="AccountRegistration",
            fields=REGISTRATION_FIELDS,
            message=self.as_json(),
        )

    @property
    def api_key_message(self) -> str:
        """What the wallet signs by `personal_sign` for an API key, at the same moment."""
        return request_message(API_KEY_PATH, self.time)


class Onboarded(Wire, frozen=True, kw_only=True):
    """A wallet's client and its main account."""

    l1_address: str
    default_account: Account


class _MadeKey(Wire, frozen=True, kw_only=True):
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRegistration:
    """A registration with both signatures: the wallet's, and the Stark key's of `registration_hash`."""

    registration: Registration
    wallet_signature: bytes = field(repr=False)
    public_key: int
    stark_signature: Signature


def key_derivation(wallet: str, profile: Profile) -> TypedData:
    """What the wallet signs for the seed of its main account's Stark key (`accounts.stark.key_of_wallet`)."""
    return TypedData(
        domain=profile.signing_domain,
        primary_type="AccountCreation",
        fields=CREATION_FIELDS,
        message=_creation(wallet),
    )


def time_text(moment: datetime) -> str:
    """A moment as the venue's signatures have it, cut to its second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def request_message(path: str, time: str) -> str:
    """What a wallet signs to make a request at a time."""
    return f"{path}@{time}"


def register(signed: SignedRegistration) -> Call[Onboarded]:
    """Opens the main account of the wallet."""
    return Call(
        name="onboard",
        method="POST",
        path=REGISTER_PATH,
        read=one(Onboarded),
        body={
            "l1Signature": f"0x{signed.wallet_signature.hex()}",
            "l2Key": hex(signed.public_key),
            "l2Signature": {"r": hex(signed.stark_signature.r), "s": hex(signed.stark_signature.s)},
            "accountCreation": signed.registration.as_json(),
            "referralCode": None,
        },
        cost=Cost.ORDER,
        is_private=False,
        onboards=True,
    )


def create_api_key(account_id: int, *, time: str, signature: bytes, description: str) -> Call[str]:
    """Makes an API key for the wallet's account; `signature` is that of `api_key_message` at `time`. Each call makes
    another key."""
    return Call(
        name="create_api_key",
        method="POST",
        path=API_KEY_PATH,
        read=_key_in,
        body={"description": description},
        cost=Cost.ORDER,
        is_private=False,
        onboards=True,
        headers={
            SIGNATURE_HEADER: f"0x{signature.hex()}",
            TIME_HEADER: time,
            ACCOUNT_HEADER: str(account_id),
        },
    )


def _key_in(envelope: Envelope) -> str:
    return one(_MadeKey)(envelope).key


def _creation(wallet: str) -> dict[str, Any]:
    return {"accountIndex": MAIN_ACCOUNT, "wallet": wallet, "tosAccepted": True}
