"""The shapes of wallets and venue accounts, as API.md names them. What is secret goes in and never comes out."""

import re
from typing import Any

from rest_framework import serializers

from accounts.api.serializers import EMAIL_LENGTH_MAX, TokenPairSerializer
from accounts.models import CredentialState, KeyOrigin, Signing, Venue
from accounts.models.venue import VAULT_BELOW
from accounts.services.stark_keys import BroughtKey
from accounts.services.venue_connections import Offer
from accounts.stark import WALLET_SIGNATURE_BYTES, from_hex, key_of_wallet
from astrade.core.api.fields import Choice, Millis, Text
from astrade.venues.extended.profiles import Network

PROVIDERS = ("google", "apple", "web3auth")
API_KEY = re.compile(r"[\x21-\x7e]{1,128}")
STARK_KEY = re.compile(r"(0x)?[0-9a-f]{41,64}|0x[0-9a-f]+|[0-9]{50,77}", re.IGNORECASE)  # Extended's have 32 digits
KEYS_OF = {
    Signing.DELEGATED: ("stark_private_key", "wallet_signature"),
    Signing.USER_SIGNED: ("stark_public_key",),
}


class DiscreetChoice(Choice):
    """A choice that doesn't repeat what was sent: it stands beside fields that hold keys."""

    default_error_messages = {"invalid_choice": "Not one of the choices."}


class StarkKeyField(Text):
    """A key in hexadecimal, with or without `0x`."""

    default_error_messages = {"hex": "A hexadecimal number of up to 64 digits is required."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_only=True, **kwargs)

    def to_internal_value(self, data: Any) -> int:  # type: ignore[override]
        """The number."""
        value = from_hex(super().to_internal_value(data))
        if value is None:
            self.fail("hex")
        return value


class WalletSignatureField(Text):
    """A wallet's signature in hexadecimal, with or without `0x`; becomes the private key that it gives."""

    default_error_messages = {"signature": f"{WALLET_SIGNATURE_BYTES} bytes in hexadecimal are required."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_only=True, **kwargs)

    def to_internal_value(self, data: Any) -> int:  # type: ignore[override]
        """The private key."""
        text = super().to_internal_value(data)
        try:
            return key_of_wallet(bytes.fromhex(text.removeprefix("0x")))
        except ValueError:
            self.fail("signature")


class ApiKeyField(Text):
    """A venue's API key: what fits into a header. It is sent to the venue, so what may be a Stark key is no API key."""

    default_error_messages = {
        "key": "Up to 128 visible ASCII characters are required.",
        "stark_key": "This looks like a Stark key; the API key is another one.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_only=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """The key."""
        text = super().to_internal_value(data)
        if not API_KEY.fullmatch(text):
            self.fail("key")
        if STARK_KEY.fullmatch(text):
            self.fail("stark_key")
        return text


class ConnectExtendedSerializer(serializers.Serializer[Any]):
    """An account at Extended. `delegated`: the server signs, with `stark_private_key` or the key that
    `wallet_signature` (of `AccountCreation`) gives. `user_signed`: the client signs, so only `stark_public_key` comes.
    """

    network = DiscreetChoice(choices=[network.value for network in Network], default=Network.TESTNET.value)
    signing = DiscreetChoice(choices=Signing.values, default=Signing.DELEGATED.value)
    api_key = ApiKeyField()
    vault = serializers.IntegerField(min_value=1, max_value=VAULT_BELOW - 1)
    stark_private_key = StarkKeyField(required=False)
    wallet_signature = WalletSignatureField(required=False)
    stark_public_key = StarkKeyField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one key that fits the way of signing."""
        signing = Signing(attrs["signing"])
        wanted = KEYS_OF[signing]
        private = {name for name in KEYS_OF[Signing.DELEGATED] if name in attrs}
        if signing is Signing.USER_SIGNED and private:
            raise serializers.ValidationError(dict.fromkeys(private, "Not wanted: the user's client signs."))
        if len(named := [name for name in wanted if name in attrs]) != 1:
            raise serializers.ValidationError({wanted[0]: f"Exactly one is required of: {', '.join(wanted)}."})
        return {**attrs, "named": named[0]}


def offer_of(form: dict[str, Any]) -> Offer:
    """What a valid body says."""
    origins = {"stark_private_key": KeyOrigin.IMPORTED, "wallet_signature": KeyOrigin.DERIVED}
    origin = origins.get(form["named"], KeyOrigin.EXTERNAL)
    private_key = None if origin is KeyOrigin.EXTERNAL else form[form["named"]]
    return Offer(
        network=Network(form["network"]),
        signing=Signing(form["signing"]),
        vault=form["vault"],
        key=BroughtKey(origin, private_key, form.get("stark_public_key")),
        api_key=form["api_key"],
    )


class VenueAccountQuery(serializers.Serializer[Any]):
    """Which account: the network's, or of several the one of that vault."""

    network = DiscreetChoice(choices=[network.value for network in Network], default=Network.TESTNET.value)
    vault = serializers.IntegerField(min_value=1, max_value=VAULT_BELOW - 1, required=False)


class VenueCredentialSerializer(serializers.Serializer[Any]):
    """A connected account, without its secrets; `checked_at` is when the venue last confirmed it."""

    id = serializers.UUIDField(source="uuid")
    venue = serializers.ChoiceField(choices=Venue.choices)
    network = serializers.ChoiceField(choices=[(network.value, network.value) for network in Network])
    state = serializers.ChoiceField(choices=CredentialState.choices)
    signing = serializers.ChoiceField(choices=Signing.choices)
    account_id = serializers.CharField(source="venue_account_id", help_text="The venue's own")
    vault = serializers.IntegerField()
    stark_public_key = serializers.CharField(source="stark_key.public_key")
    created_at = Millis()
    checked_at = Millis()


class ConnectedAccountsSerializer(VenueCredentialSerializer):
    """A connected account: the one asked for, else the longest connected. `others` comes only where there are some."""

    others = VenueCredentialSerializer(many=True, required=False)


class RemovedSerializer(serializers.Serializer[Any]):
    """A connection that was let go of."""

    state = serializers.ChoiceField(choices=[CredentialState.REMOVED.value])


class ProvisionSerializer(serializers.Serializer[Any]):
    """What a wallet app says of a new user: stored as said, proven by nothing, so it identifies nobody."""

    provider = Choice(choices=PROVIDERS, required=False)
    cavos_user_id = Text(max_length=128, required=False)
    email = serializers.EmailField(max_length=EMAIL_LENGTH_MAX, required=False)
    id_token = Text(max_length=8192, required=False)

    default_error_messages = {"id_token": "Signing in with an identity token is not offered yet."}

    def validate_id_token(self, value: str) -> str:
        """A token wants to be verified, and is not just ignored."""
        self.fail("id_token")


class ProvisionedSerializer(TokenPairSerializer):
    """The new user and their first session; the private half of the key stays here."""

    user_id = serializers.UUIDField()
    created_at = Millis()
    stark_public_key = serializers.CharField()
