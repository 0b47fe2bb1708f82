"""What a user agreed to: needed before live trading (API.md, 3019), asked for again when a document changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from accounts.models import Consent, User
from astrade.core.errors import ValidationFailed

REMEMBERED_MAX = 100_000
_accepted: set[tuple[int, frozenset[tuple[str, str]]]] = set()


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
    """Whether the user has accepted the present version of every document. A consent is never taken back, so that a yes
    is remembered: no query from the second time on.
    """
    known = user_id, frozenset(settings.TERMS_VERSIONS.items())
    if known in _accepted:
        return True
    if any(terms.accepted_at is None for terms in terms_of(user_id)):
        return False
    if len(_accepted) >= REMEMBERED_MAX:
        _accepted.clear()
    _accepted.add(known)
    return True


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
