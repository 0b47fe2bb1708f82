"""The shapes of identities, as API.md names them."""

from ipaddress import ip_network
from typing import Any
from zoneinfo import available_timezones

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Tier, User, UserState
from accounts.passwords import LENGTH_MAX
from accounts.services.terms import terms_of
from astrade.core.api.fields import Amount, Choice, Millis, Text
from astrade.core.api.views import bodies

EMAIL_LENGTH_MAX = 254
NETWORKS_MAX = 50
DOCUMENTS_MAX = 20
SCOPES = ("read", "trade", "withdraw", "service")
TIME_ZONES = frozenset(available_timezones()) - {"localtime", "Factory"}


class Password(Text):
    """A password: whatever its owner typed, spaces included."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LENGTH_MAX, trim_whitespace=False, **{"write_only": True, **kwargs})


class TimeZone(Text):
    """An IANA name, such as `Europe/Madrid`."""

    default_error_messages = {"unknown": "Unknown time zone."}

    def to_internal_value(self, data: Any) -> str:
        """A name that this server knows."""
        name = super().to_internal_value(data)
        if name not in TIME_ZONES:
            self.fail("unknown")
        return name


class NetworkField(Text):
    """An address or network in CIDR form."""

    default_error_messages = {"network": "An IP address or CIDR network is required."}

    def to_internal_value(self, data: Any) -> str:
        """Text that stands for a network."""
        text = super().to_internal_value(data)
        try:
            ip_network(text, strict=False)
        except ValueError:
            self.fail("network")
        return text


class SignUpSerializer(serializers.Serializer[Any]):
    """A new user."""

    email = Text(max_length=EMAIL_LENGTH_MAX)
    password = Password()
    display_name = Text(max_length=64, required=False)
    time_zone = TimeZone(max_length=64, required=False)


class CredentialsSerializer(serializers.Serializer[Any]):
    """What somebody signs in with."""

    email = Text(max_length=EMAIL_LENGTH_MAX)
    password = Password()


class RefreshSerializer(serializers.Serializer[Any]):
    """A refresh token, which this call spends."""

    refresh_token = Text(max_length=256)


class LogoutSerializer(serializers.Serializer[Any]):
    """Whose session to end; the access token's own where none is named."""

    refresh_token = Text(max_length=256, required=False)


class ChangePasswordSerializer(serializers.Serializer[Any]):
    """The old password proves that it is still the same person."""

    current_password = Password()
    new_password = Password()


class TotalsSerializer(serializers.Serializer[Any]):
    """Everything a user has traded."""

    volume = Amount(source="total_volume")
    trades = serializers.IntegerField(source="total_trades")
    realized_pnl = Amount(source="total_realized_pnl")


class UserSerializer(serializers.Serializer[Any]):
    """A user as they see themself."""

    id = serializers.UUIDField(source="uuid")
    email = serializers.EmailField(allow_null=True)
    email_verified = serializers.BooleanField()
    display_name = serializers.CharField()
    time_zone = serializers.CharField()
    tier = serializers.ChoiceField(choices=Tier.choices)
    state = serializers.ChoiceField(choices=UserState.choices)
    created_at = Millis()
    last_login_at = Millis(source="last_login", allow_null=True)
    totals = TotalsSerializer(source="*")


class AcceptedTermsSerializer(serializers.Serializer[Any]):
    """A version of a document that the user accepts."""

    document = Text(max_length=32)
    version = Text(max_length=32)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Both, although the profile around it may be a part."""
        if missing := [name for name in ("document", "version") if name not in attrs]:
            raise serializers.ValidationError(dict.fromkeys(missing, "This field is required."))
        return attrs


class TermsSerializer(serializers.Serializer[Any]):
    """A document in force; `accepted_at` is null until this version of it is accepted."""

    document = serializers.CharField()
    version = serializers.CharField()
    accepted_at = Millis(allow_null=True)


class ProfileSerializer(UserSerializer):
    """A user with their settings. `accepted_terms` lists what has to be accepted before live trading."""

    one_tap_account = serializers.UUIDField(allow_null=True)
    cool_off_until = Millis(allow_null=True)
    two_factor_enabled = serializers.BooleanField()
    accepted_terms = serializers.SerializerMethodField()

    @extend_schema_field(TermsSerializer(many=True))
    def get_accepted_terms(self, user: User) -> list[Any]:
        """The documents in force, as the user stands to them."""
        return bodies(TermsSerializer, terms_of(user.pk))


class UpdateProfileSerializer(serializers.Serializer[Any]):
    """What a user may change about themself; `one_tap_account` null is practice. Until `cool_off_until` no order may
    add risk: it may be set later, never earlier."""

    display_name = Text(max_length=64)
    time_zone = TimeZone(max_length=64)
    one_tap_account = serializers.UUIDField(allow_null=True)
    cool_off_until = Millis(allow_null=True)
    accepted_terms = serializers.ListField(child=AcceptedTermsSerializer(), max_length=DOCUMENTS_MAX)


class TokenPairSerializer(serializers.Serializer[Any]):
    """What a client acts with; `expires_in` in seconds."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()
    user = UserSerializer()


class RevokedSerializer(serializers.Serializer[Any]):
    """How many sessions or keys ended."""

    revoked = serializers.IntegerField()


class TwoFactorSetupSerializer(serializers.Serializer[Any]):
    """What an authenticator needs: secret (base32), `otpauth://` URI, and that as a QR code (SVG). Shown once."""

    secret = serializers.CharField()
    uri = serializers.CharField()
    qr_svg = serializers.CharField()


class CodeSerializer(serializers.Serializer[Any]):
    """A code of the authenticator."""

    code = Text(max_length=32)


class ChallengeAnswerSerializer(CodeSerializer):
    """The challenge that signing in was answered with, and a code of the authenticator or a recovery code."""

    challenge = Text(max_length=1024)


class TwoFactorSerializer(serializers.Serializer[Any]):
    """Whether signing in wants a second factor."""

    enabled = serializers.BooleanField()


class RecoveryCodesSerializer(TwoFactorSerializer):
    """The codes for a lost authenticator, each good once; shown this once."""

    recovery_codes = serializers.ListField(child=serializers.CharField())


class ClosedSerializer(serializers.Serializer[Any]):
    """The user is gone."""

    state = serializers.ChoiceField(choices=UserState.choices)


class TicketSerializer(serializers.Serializer[Any]):
    """A one-time ticket for `?ticket=` of a socket; `expires_in` in seconds."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField()


class SessionSerializer(serializers.Serializer[Any]):
    """One signed-in device; last used means when it last fetched tokens."""

    id = serializers.UUIDField(source="uuid")
    user_agent = serializers.CharField()
    ip = serializers.IPAddressField(allow_null=True)
    created_at = Millis()
    last_used_at = Millis()
    expires_at = Millis()
    current = serializers.BooleanField(help_text="Whether it is the one that asks")


class CreateApiKeySerializer(serializers.Serializer[Any]):
    """A key to be made; `account` is a trading account's id, the allow-list holds addresses or networks."""

    name = Text(max_length=64)
    scopes = serializers.ListField(child=Choice(choices=SCOPES), min_length=1, max_length=len(SCOPES))
    account = serializers.UUIDField(required=False, allow_null=True)
    ip_allow_list = serializers.ListField(child=NetworkField(max_length=43), required=False, max_length=NETWORKS_MAX)
    expires_at = Millis(required=False, allow_null=True)


class ApiKeySerializer(serializers.Serializer[Any]):
    """A key without its secret."""

    id = serializers.UUIDField(source="uuid")
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    account = serializers.UUIDField(source="account_uuid", allow_null=True)
    ip_allow_list = serializers.ListField(child=serializers.CharField())
    created_at = Millis()
    expires_at = Millis(allow_null=True)
    last_used_at = Millis(allow_null=True)


class NewApiKeySerializer(ApiKeySerializer):
    """A key with its secret, which is shown this once."""

    secret = serializers.CharField()
