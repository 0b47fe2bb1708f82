"""What staff must look at: opened where a difference is found, closed by somebody who says why."""

import logging
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from astrade.core import audit
from astrade.core.errors import ValidationFailed, VersionConflict
from trading.models import Case

logger = logging.getLogger(__name__)


def open_case(account_id: int, kind: Case.Kind, *, subject: str, figures: Mapping[str, Any]) -> None:
    """Let staff look at something; while a case of this kind and subject is open, there is no second."""
    case = Case(account_id=account_id, kind=kind, subject=subject, figures=dict(figures))
    Case.objects.bulk_create([case], ignore_conflicts=True)
    logger.warning("case_opened", extra={"account": account_id, "kind": kind, "subject": subject})


def close_case(case_id: int, *, staff_id: int, note: str) -> None:
    """Close a case with what was found. It changes nothing else: what still differs opens the next one.

    Raises ValidationFailed without a note, VersionConflict for a case that was closed meanwhile.
    """
    if not note.strip():
        raise ValidationFailed(details={"fields": {"note": ["Say what was found."]}})
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        if case.closed_at is not None:
            raise VersionConflict(details={"closed_at": case.closed_at})
        Case.objects.filter(pk=case_id).update(closed_at=Now(), closed_by_id=staff_id, note=note.strip())
        after = {"kind": case.kind, "subject": case.subject, "note": note.strip()}
        audit.record("case.closed", actor_id=staff_id, subject=case, after=after)
