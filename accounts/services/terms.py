"""What a user agreed to: needed before live trading (API.md, 3019), asked for again when a document changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from accounts.models import Consent, User
from astrade.core.errors import ValidationFailed


@dataclass(frozen=True, slots=True)
class Terms:
    """A document in force, and when the user accepted this version of it (None: not yet)."""

    document: str
    version: str
    accepted_at: datetime | None


def terms_of(user_id: int) -> list[Terms]:
    """Every document in force, as the user stands to it; one query."""
    accepted = {
        (document, version): at
        for document, version, at in Consent.objects.filter(user_id=user_id).values_list("document", "version", "at")
    }
    return [
        Terms(document, version, accepted.get((document, version)))
        for document, version in settings.TERMS_VERSIONS.items()
    ]


def has_accepted_terms(user_id: int) -> bool:
    """Whether the user has accepted the present version of every document."""
    return all(terms.accepted_at is not None for terms in terms_of(user_id))


def accept(user: User, documents: Iterable[Mapping[str, str]], *, ip: str | None, now: datetime) -> None:
    """Note that the user accepts these documents (`document`, `version`); a second time changes nothing.

    Raises ValidationFailed for a document or version that is not in force.
    """
    named = {(one["document"], one["version"]) for one in documents}
    if not named <= settings.TERMS_VERSIONS.items():
        in_force = ", ".join(f"{document} {version}" for document, version in settings.TERMS_VERSIONS.items())
        raise ValidationFailed(details={"fields": {"accepted_terms": [f"In force: {in_force}."]}})
    rows = [Consent(user=user, document=document, version=version, at=now, ip=ip) for document, version in named]
    Consent.objects.bulk_create(rows, ignore_conflicts=True)
