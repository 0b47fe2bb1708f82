"""The shapes of what users sign."""

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.stark import from_hex
from astrade.core.api.fields import Amount, Millis, Text
from astrade.venues.extended.signing import Signature
from trading.api.forms import REQUIRED, Form, OrderForm, WithdrawalForm
from trading.api.schemas import choice
from trading.domain.payments import PaymentState
from trading.services.signatures import Signed


class Felt(Text):
    """A number of the Stark field, in hexadecimal."""

    default_error_messages: ClassVar = {"hex": "A hexadecimal number of up to 64 digits is required."}

    def to_internal_value(self, data: Any) -> int:  # type: ignore[override]
        """The number."""
        value = from_hex(super().to_internal_value(data))
        if value is None:
            self.fail("hex")
        return value


class SignatureForm(Form):
    r = Felt()
    s = Felt()


class SignedForm(Form):
    """Where the user signs: what was prepared, and the signature of its hash."""

    prepared = serializers.UUIDField(required=False)
    signature = SignatureForm(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Both or none."""
        for one, other in (("prepared", "signature"), ("signature", "prepared")):
            if one in attrs and other not in attrs:
                raise serializers.ValidationError({other: [REQUIRED]})
        return attrs


def signed_of(form: dict[str, Any]) -> Signed | None:
    """The user's signature in a validated `SignedForm`."""
    pair = form.get("signature")
    return None if pair is None else Signed(form["prepared"], Signature(pair["r"], pair["s"]))


class PlaceOrderForm(SignedForm, OrderForm):
    """An order; where its user signs, with `prepared` of `/orders/prepare` and the signature of its hash."""


class AskWithdrawalForm(SignedForm, WithdrawalForm):
    """A withdrawal; where its user signs, with `prepared` of `/withdrawals/prepare` and the signature of its hash."""


class PreparedOut(serializers.Serializer[Any]):
    """What the user's key signs: `hash`, made of `message` under `domain`, whose numbers are decimal text. The same
    call is then made with `prepared` and the signature.
    """

    prepared = serializers.UUIDField()
    submit_before = Millis()
    nonce = serializers.CharField()
    stark_public_key = serializers.CharField()
    domain = serializers.DictField(child=serializers.CharField())
    message = serializers.DictField(child=serializers.CharField())
    hash = serializers.CharField()


class PreparedOrderOut(PreparedOut):
    """An order to be signed."""

    client_order_id = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.CharField()
    type = serializers.CharField()
    quantity = Amount()
    price = Amount(help_text="The worst one; of a market order too")
    fee_rate = Amount(help_text="The highest fee, as a share of the notional")
    expires_at = Millis()


class PreparedWithdrawalOut(PreparedOut):
    """A withdrawal to be signed; `status` is the one that it will begin with."""

    account = serializers.UUIDField()
    address_id = serializers.UUIDField()
    address = serializers.CharField()
    asset = serializers.CharField()
    amount = Amount()
    status = choice([PaymentState.REQUESTED, PaymentState.AWAITING_APPROVAL])
    send_before = Millis(help_text="Not sent by then, it fails: what was signed expires")
