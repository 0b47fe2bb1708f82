"""What every app shares in the database: idempotency records, the audit trail, leases."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now


class IdempotencyRecord(models.Model):
    """The stored answer to one write, inserted in that write's own transaction (see core.idempotency)."""

    caller = models.CharField(max_length=80)  # whose key it is: `u:<user id>`, or `ip:<address>` before sign-up
    key = models.CharField(max_length=128)
    request_hash = models.BinaryField(max_length=32)  # SHA-256 of method, path and body
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.BinaryField(default=b"")  # the JSON of `data`; request id and time are the replaying request's own
    sealed = models.BooleanField(default=False)  # whether `answer` is encrypted because it shows a secret
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]

    def __str__(self) -> str:
        return f"{self.caller} {self.key}"


class AuditEvent(models.Model):
    """Who did what to which object; append-only. Holds ids, never names, addresses of mail or secrets."""

    at = models.DateTimeField(db_default=Now())
    actor_id = models.BigIntegerField(null=True, blank=True)  # user row key; empty for the system itself
    on_behalf_of_id = models.BigIntegerField(null=True, blank=True)  # the user whose things were touched, if another
    action = models.CharField(max_length=64)  # `user.frozen`, `api_key.created`, …
    object_type = models.CharField(max_length=64, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["actor_id", "-id"], name="audit_by_actor"),
            models.Index(fields=["on_behalf_of_id", "-id"], name="audit_by_subject"),
            BrinIndex(fields=["at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"


class Lease(models.Model):
    """The right to run one thing in one process at a time; `token` grows with each new holder (see core.leases)."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=100, blank=True)
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField()  # by the database's clock

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(token__gte=0), name="lease_token_not_negative")]

    def __str__(self) -> str:
        return self.name
