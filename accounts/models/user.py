"""Who someone is."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone

from astrade.core.fields import AmountField, public_id


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
    provider = models.CharField(max_length=16, blank=True, default="", db_default="")  # of the wallet they came with
    cavos_user_id = models.CharField(max_length=128, blank=True, default="", db_default="")  # stated, never proven
    claimed_email = models.EmailField(max_length=254, blank=True, default="", db_default="")  # likewise: not `email`
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
                condition=~Q(state=UserState.CLOSED)
                | Q(email__isnull=True, is_staff=False, cavos_user_id="", claimed_email=""),
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
        return User.objects.filter(pk=self.pk, totp__confirmed_at__isnull=False).exists()

    def renew_password(self, password: str) -> None:
        """Hash the known password anew, with today's hasher and cost."""
        self.set_password(password)
        self.save(update_fields=["password"])
