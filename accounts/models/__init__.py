"""Who someone is: one module for each part of it."""

from accounts.models.consent import Consent
from accounts.models.onboarding import Onboarding
from accounts.models.session import ApiKey, RecoveryCode, RefreshFamily, RefreshToken, TotpDevice
from accounts.models.user import Tier, User, UserManager, UserState
from accounts.models.venue import CredentialState, KeyOrigin, Signing, StarkKey, Venue, VenueCredential

__all__ = [
    "ApiKey",
    "Consent",
    "CredentialState",
    "KeyOrigin",
    "Onboarding",
    "RecoveryCode",
    "RefreshFamily",
    "RefreshToken",
    "Signing",
    "StarkKey",
    "Tier",
    "TotpDevice",
    "User",
    "UserManager",
    "UserState",
    "Venue",
    "VenueCredential",
]
