"""How someone is signed in, and the keys their programs use."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models.user import User
from astrade.core.fields import public_id

DIGEST_BYTES = 32  # SHA-256


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
