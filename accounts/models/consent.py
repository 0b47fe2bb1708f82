"""What someone agreed to."""

from django.db import models

from accounts.models.user import User


class Consent(models.Model):
    """One acceptance of one version of a document; append-only, as the database sees to."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="consents")
    document = models.CharField(max_length=32)
    version = models.CharField(max_length=32)
    at = models.DateTimeField()
    ip = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "document", "version"], name="consent_once")]

    def __str__(self) -> str:
        return f"{self.document} {self.version}"
