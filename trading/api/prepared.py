"""The shapes of orders that their users sign."""

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.stark import from_hex
from astrade.core.api.fields import Amount, Millis, Text
from trading.api.forms import REQUIRED, Form, OrderForm


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


class PlaceOrderForm(OrderForm):
    """An order; where its user signs, with `prepared` of `/orders/prepare` and the signature of its hash."""

    prepared = serializers.UUIDField(required=False)
    signature = SignatureForm(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Both or none."""
        for one, other in (("prepared", "signature"), ("signature", "prepared")):
            if one in attrs and other not in attrs:
                raise serializers.ValidationError({other: [REQUIRED]})
        return attrs


class PreparedOrderOut(serializers.Serializer[Any]):
    """What the user's key signs: `hash`, made of `message` under `domain`. The same order is then placed with
    `prepared` and the signature; numbers of the message are decimal text.
    """

    prepared = serializers.UUIDField()
    submit_before = Millis()
    client_order_id = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.CharField()
    type = serializers.CharField()
    quantity = Amount()
    price = Amount(help_text="The worst one; of a market order too")
    fee_rate = Amount(help_text="The highest fee, as a share of the notional")
    nonce = serializers.CharField()
    expires_at = Millis()
    stark_public_key = serializers.CharField()
    domain = serializers.DictField(child=serializers.CharField())
    message = serializers.DictField(child=serializers.CharField())
    hash = serializers.CharField()
