"""Opening an account at Extended by a wallet."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from accounts.api import venue_serializers as shapes
from accounts.api.two_factor_views import FRESH_CODE, fresh_code_of
from accounts.models import KeyOrigin, Onboarding
from accounts.services import onboarding as service
from astrade.core.api.fields import Millis, Text
from astrade.core.api.views import ApiView, body, ok, shape
from astrade.core.clock import system_clock
from astrade.core.http import Answer
from astrade.core.permissions import IsSession, caller_of
from astrade.venues.ethereum import SIGNATURE_BYTES, TypedData, checksummed
from astrade.venues.extended.profiles import Network

ORIGINS = (KeyOrigin.GENERATED.value, KeyOrigin.DERIVED.value)


class AddressField(Text):
    """An Ethereum address; in mixed case its checksum has to be right."""

    default_error_messages = {"address": "An Ethereum address is required."}

    def to_internal_value(self, data: Any) -> str:
        """In its EIP-55 spelling."""
        try:
            return checksummed(super().to_internal_value(data))
        except ValueError:
            self.fail("address")


class SignatureField(Text):
    """A wallet's signature in hexadecimal, with or without `0x`."""

    default_error_messages = {"signature": f"{SIGNATURE_BYTES} bytes in hexadecimal are required."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_only=True, **kwargs)

    def to_internal_value(self, data: Any) -> bytes:  # type: ignore[override]
        """The bytes."""
        try:
            signature = bytes.fromhex(super().to_internal_value(data).removeprefix("0x"))
        except ValueError:
            self.fail("signature")
        if len(signature) != SIGNATURE_BYTES:
            self.fail("signature")
        return signature


class BeginOnboardingSerializer(serializers.Serializer[Any]):
    """A wallet whose account is to be opened. `key`: `generated` here, or `derived` from a third signature of the
    wallet, which can bring it back without us and is what an account opened at Extended itself has.
    """

    network = shapes.DiscreetChoice(choices=[network.value for network in Network], default=Network.TESTNET.value)
    wallet = AddressField()
    key = shapes.DiscreetChoice(choices=ORIGINS, default=KeyOrigin.GENERATED.value)


class ToSignSerializer(serializers.Serializer[Any]):
    """What the wallet signs: `registration` and `wallet` by `eth_signTypedData_v4`, `api_key` by `personal_sign`."""

    registration = serializers.JSONField()
    api_key = serializers.CharField()
    wallet = serializers.JSONField(allow_null=True, help_text="Only for a derived key: AccountCreation")


class OnboardingSerializer(serializers.Serializer[Any]):
    """An onboarding that was begun."""

    id = serializers.UUIDField(source="uuid")
    network = serializers.ChoiceField(choices=[(network.value, network.value) for network in Network])
    wallet = serializers.CharField()
    key = serializers.ChoiceField(choices=[(origin, origin) for origin in ORIGINS], source="key_origin")
    expires_at = Millis()
    sign = ToSignSerializer()


class CompleteOnboardingSerializer(serializers.Serializer[Any]):
    """The signatures of what `sign` held; `wallet_signature` for a derived key."""

    id = serializers.UUIDField()
    registration_signature = SignatureField()
    api_key_signature = SignatureField()
    wallet_signature = SignatureField(required=False)


class OnboardingView(ApiView):
    """The first step."""

    permission_classes = (IsSession,)
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="begin_extended_onboarding",
        request=BeginOnboardingSerializer,
        responses={201: OnboardingSerializer},
    )
    def post(self, request: Request) -> Answer:
        """What the user's wallet must sign to open an account at Extended; it is completed within ten minutes."""
        form = shape(BeginOnboardingSerializer, request.data)
        row = service.begin(
            caller_of(request).user_id,
            network=Network(form["network"]),
            wallet=form["wallet"],
            origin=KeyOrigin(form["key"]),
            now=system_clock(),
        )
        return ok(onboarding_body(row), status=201)


class CompleteOnboardingView(ApiView):
    """The second step."""

    permission_classes = (IsSession,)
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="complete_extended_onboarding",
        request=CompleteOnboardingSerializer,
        parameters=[FRESH_CODE],
        responses=shapes.VenueCredentialSerializer,
    )
    def post(self, request: Request) -> Answer:
        """Register the wallet at Extended and connect its account. Where an answer of Extended's was lost, call it
        again. Wants `X-2FA-Code` where two-factor sign-in is on."""
        form = shape(CompleteOnboardingSerializer, request.data)
        answer = service.WalletAnswer(
            onboarding=form["id"],
            registration=form["registration_signature"],
            api_key=form["api_key_signature"],
            key=form.get("wallet_signature"),
        )
        row = service.complete(
            caller_of(request).user_id, answer=answer, code=fresh_code_of(request), now=system_clock()
        )
        return ok(body(shapes.VenueCredentialSerializer, row))


def onboarding_body(row: Onboarding) -> dict[str, Any]:
    """The row with what is to be signed."""
    wanted = service.to_sign(row)
    sign = {"registration": _typed(wanted.registration), "api_key": wanted.api_key, "wallet": _typed(wanted.key)}
    return {
        "id": row.uuid,
        "network": row.network,
        "wallet": row.wallet,
        "key": row.key_origin,
        "expires_at": Millis().to_representation(row.expires_at),
        "sign": sign,
    }


def _typed(data: TypedData | None) -> dict[str, Any] | None:
    return None if data is None else data.as_json()
