"""What someone trades at a venue with: Stark keys and the credentials of connected accounts."""

from django.db import models
from django.db.models import Q

from accounts.models.user import User
from astrade.core.fields import public_id
from astrade.venues.extended.profiles import Network

VAULT_BELOW = 2**32  # a position id of the settlement is a u32 (extended-api.md §11)
NETWORKS = [(network.value, network.name.title()) for network in Network]  # keys of one never serve the other
STARK_KEY_LENGTH = 66  # `0x` and 64 digits


class Venue(models.TextChoices):
    """Where an account of one's own can be connected."""

    EXTENDED = "extended"


class Signing(models.TextChoices):
    """Who signs orders: the server with a key it keeps, or the user's own client."""

    DELEGATED = "delegated"
    USER_SIGNED = "user_signed"


class KeyOrigin(models.TextChoices):
    """Where a Stark key came from; what was `generated` here, nobody else has."""

    GENERATED = "generated"
    IMPORTED = "imported"
    DERIVED = "derived"  # from a signature of the user's wallet
    EXTERNAL = "external"  # only the public key is known


class CredentialState(models.TextChoices):
    """Whether a connection can be used: a refused one is known to the venue no longer."""

    ACTIVE = "active"
    REFUSED = "refused"
    REMOVED = "removed"


class StarkKey(models.Model):
    """A key of the settlement layer. One public key is one row, whatever its network: signatures of one key draw their
    nonces from one set, and what signed on the testnet signs nothing on the mainnet.
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="stark_keys")
    network = models.CharField(max_length=8, choices=NETWORKS)
    public_key = models.CharField(max_length=STARK_KEY_LENGTH, unique=True)  # `0x`, lower case, no leading zero
    private_key = models.BinaryField(max_length=128, null=True)  # sealed, see accounts.sealing
    origin = models.CharField(max_length=9, choices=KeyOrigin)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(public_key__regex=r"^0x[1-9a-f][0-9a-f]{0,62}$"), name="stark_key_canonical"
            ),
            models.CheckConstraint(condition=Q(network__in=list(Network)), name="stark_key_network_known"),
            models.CheckConstraint(
                condition=~Q(origin=KeyOrigin.EXTERNAL) | Q(private_key__isnull=True),
                name="stark_key_external_is_public",
            ),
        ]

    def __str__(self) -> str:
        return self.public_key


class VenueCredential(models.Model):
    """A user's account at a venue, as it was proven when it was connected; one of several under the user's wallet, each
    with a vault, an API key and a Stark key of its own. Removed ones keep no secret.
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="venue_credentials")
    venue = models.CharField(max_length=8, choices=Venue)
    network = models.CharField(max_length=8, choices=NETWORKS)
    signing = models.CharField(max_length=11, choices=Signing)
    stark_key = models.ForeignKey(StarkKey, on_delete=models.PROTECT, related_name="credentials")
    api_key = models.BinaryField(max_length=256, null=True)  # sealed, see accounts.sealing
    venue_account_id = models.BigIntegerField()
    vault = models.BigIntegerField()
    state = models.CharField(max_length=7, choices=CredentialState, default=CredentialState.ACTIVE)
    checked_at = models.DateTimeField()  # when the venue last confirmed key and vault
    created_at = models.DateTimeField()  # since when it is connected, whatever its keys were

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "venue", "network", "vault"],
                condition=~Q(state=CredentialState.REMOVED),
                name="venue_credential_one_a_vault",
            ),
            models.UniqueConstraint(
                fields=["venue", "network", "vault"],
                condition=Q(state=CredentialState.ACTIVE),
                name="venue_credential_vault_once",
            ),
            models.CheckConstraint(
                condition=Q(state=CredentialState.REMOVED, api_key__isnull=True)
                | (~Q(state=CredentialState.REMOVED) & Q(api_key__isnull=False)),
                name="venue_credential_removed_keeps_nothing",
            ),
            models.CheckConstraint(
                condition=Q(vault__gte=0, vault__lt=VAULT_BELOW), name="venue_credential_vault_in_range"
            ),
            models.CheckConstraint(condition=Q(network__in=list(Network)), name="venue_credential_network_known"),
            models.CheckConstraint(condition=Q(state__in=CredentialState.values), name="venue_credential_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.venue} {self.network} {self.vault}"
