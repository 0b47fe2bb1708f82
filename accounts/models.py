"""Who someone is, how they are signed in, and the keys their programs use."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone

from astrade.core.fields import AmountField, public_id

DIGEST_BYTES = 32  # SHA-256


class Tier(models.TextChoices):
    """What a user's rate limits are."""

    STANDARD = "standard"
    MARKET_MAKER = "market_maker"


class UserState(models.TextChoices):
    """Whether a user may act: a frozen one may not, a closed one is gone for good."""

    ACTIVE = "active"
    FROZEN = "frozen"
    CLOSED = "closed"


class UserManager(BaseUserManager["User"]):
    """Finds and makes users by their normalised e-mail address."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user who signs in with this address, whatever its case."""
        return self.get(email=(username or "").strip().lower())

    def create_user(self, email: str | None = None, password: str | None = None, **fields: Any) -> "User":
        """A stored user; without a password nobody can sign in as them by one."""
        user = self.model(email=email.strip().lower() if email else None, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """As `createsuperuser` asks: staff with all rights in the admin."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. `email`, where there is one, is stored in lower case and is what they sign in with."""

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    email = models.EmailField(max_length=254, unique=True, null=True, blank=True)
    email_verified = models.BooleanField(default=False)
    display_name = models.CharField(max_length=64, blank=True, default="")
    time_zone = models.CharField(max_length=64, default="UTC")  # IANA name
    previous_time_zone = models.CharField(max_length=64, blank=True, default="", db_default="")
    time_zone_changed_at = models.DateTimeField(null=True, blank=True)
    cool_off_until = models.DateTimeField(null=True, blank=True)  # set by the user: no more risk until then
    tier = models.CharField(max_length=16, choices=Tier, default=Tier.STANDARD)
    state = models.CharField(max_length=8, choices=UserState, default=UserState.ACTIVE)
    is_staff = models.BooleanField(default=False)
    one_tap_account = models.UUIDField(null=True, blank=True)  # public id of a trading account; none means practice
    total_volume = AmountField(default=0)
    total_trades = models.BigIntegerField(default=0)
    total_realized_pnl = AmountField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(email=Lower(F("email"))), name="user_email_lower_case"),
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="user_tier_known"),
            models.CheckConstraint(condition=Q(state__in=UserState.values), name="user_state_known"),
            models.CheckConstraint(
                condition=~Q(state=UserState.CLOSED) | Q(email__isnull=True, is_staff=False),
                name="user_closed_is_anonymous",
            ),
        ]
        indexes = [models.Index(fields=["state"], condition=Q(state=UserState.FROZEN), name="user_frozen")]

    def __str__(self) -> str:
        return self.email or str(self.uuid)

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """What Django's own sign-in asks."""
        return self.state == UserState.ACTIVE

    @property
    def two_factor_enabled(self) -> bool:
        """Whether signing in wants a code of an authenticator; one query."""
        return TotpDevice.objects.filter(user=self, confirmed_at__isnull=False).exists()

    def renew_password(self, password: str) -> None:
        """Hash the known password anew, with today's hasher and cost."""
        self.set_password(password)
        self.save(update_fields=["password"])


class RefreshFamily(models.Model):
    """One sign-in on one device and every refresh token that descends from it; shown as a session."""

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="families")
    user_agent = models.CharField(max_length=200, blank=True, default="")
    ip = models.GenericIPAddressField(null=True, blank=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoke_reason = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        verbose_name = "session"
        indexes = [
            models.Index(
                fields=["user", "-created_at"], condition=Q(revoked_at__isnull=True), name="family_live_by_user"
            ),
            models.Index(fields=["revoked_at"], condition=Q(revoked_at__isnull=False), name="family_revoked_at"),
            models.Index(fields=["expires_at"], name="family_expires_at"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class RefreshToken(models.Model):
    """One refresh token, known by its SHA-256 only; spent by the first use."""

    family = models.ForeignKey(RefreshFamily, on_delete=models.CASCADE, related_name="tokens")
    digest = models.BinaryField(max_length=DIGEST_BYTES, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    spent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["family"], condition=Q(spent_at__isnull=True), name="refresh_one_unspent"),
        ]

    def __str__(self) -> str:
        return f"refresh token {self.pk}"


class ApiKey(models.Model):
    """A program's credential: 256 random bits, stored as SHA-256, limited by scope, account, address and time."""

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=64)
    prefix = models.CharField(max_length=16)  # the start of the secret, for people to tell keys apart
    digest = models.BinaryField(max_length=DIGEST_BYTES, unique=True)
    scopes = ArrayField(models.CharField(max_length=16))
    account_id = models.BigIntegerField(null=True, blank=True)  # row of the trading account it is bound to
    account_uuid = models.UUIDField(null=True, blank=True)  # and its public id
    ip_allow_list = ArrayField(models.CharField(max_length=43), default=list, blank=True)  # CIDR
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(account_id__isnull=True, account_uuid__isnull=True)
                | Q(account_id__isnull=False, account_uuid__isnull=False),
                name="api_key_account_whole",
            ),
            models.CheckConstraint(condition=Q(scopes__len__gt=0), name="api_key_has_scope"),
        ]
        indexes = [
            models.Index(
                fields=["user", "-created_at"], condition=Q(revoked_at__isnull=True), name="api_key_live_by_user"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class TotpDevice(models.Model):
    """A user's authenticator (RFC 6238: SHA-1, six digits, 30 s); good for signing in once it was confirmed."""

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="totp")
    secret = models.BinaryField(max_length=128)  # sealed, see accounts.sealing
    last_step = models.BigIntegerField(default=0)  # of the code used last: neither it nor an earlier one works again
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "authenticator"

    def __str__(self) -> str:
        return f"authenticator of {self.user_id}"


class RecoveryCode(models.Model):
    """One of the codes that stand in for a lost authenticator, known by its SHA-256; spent by its use."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.BinaryField(max_length=DIGEST_BYTES)
    spent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"
