"""Accounts at venues on their way to be opened."""

from django.db import models
from django.db.models import Q

from accounts.models.user import User
from accounts.models.venue import NETWORKS, KeyOrigin, StarkKey, VenueCredential
from astrade.core.fields import public_id
from astrade.venues.extended.profiles import Network

ADDRESS_LENGTH = 42


class Onboarding(models.Model):
    """What a user's wallet was given to sign, and what became of it; it ends in one connection. Keeps no signature.

    `wallet` in its EIP-55 spelling. `stark_key` is the key of the server's making that the wallet is registered with:
    known from before it is sent, so that whoever registers the wallet again does it with the same one.
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="onboardings")
    network = models.CharField(max_length=8, choices=NETWORKS)
    wallet = models.CharField(max_length=ADDRESS_LENGTH)
    key_origin = models.CharField(max_length=9, choices=KeyOrigin)
    stark_key = models.ForeignKey(StarkKey, on_delete=models.PROTECT, null=True, related_name="onboardings")
    credential = models.OneToOneField(VenueCredential, on_delete=models.PROTECT, null=True, related_name="onboarding")
    created_at = models.DateTimeField()  # what is signed names this time
    expires_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)  # one call at a time completes it

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(wallet__regex=r"^0x[0-9a-fA-F]{40}$"), name="onboarding_wallet_shape"),
            models.CheckConstraint(condition=Q(network__in=list(Network)), name="onboarding_network_known"),
            models.CheckConstraint(
                condition=Q(key_origin__in=[KeyOrigin.GENERATED, KeyOrigin.DERIVED]), name="onboarding_origin_known"
            ),
            models.CheckConstraint(
                condition=~Q(key_origin=KeyOrigin.DERIVED) | Q(stark_key__isnull=True),
                name="onboarding_derived_keeps_no_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.network} {self.wallet}"
