"""The audit trail: who did what to which object (DESIGN §3), append-only.

    record("user.frozen", actor_id=staff.pk, on_behalf_of_id=user.pk, subject=user, before={…}, after={…}, ip=…)

Call it in the transaction of what it tells of. It holds ids, no e-mail address and no secret: rows can't be changed.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from astrade.core import context
from astrade.core.errors import json_safe
from astrade.core.logging import masked
from astrade.core.models import AuditEvent


def record(
    action: str,
    *,
    actor_id: int | None,
    on_behalf_of_id: int | None = None,
    subject: Model | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    ip: str | None = None,
) -> AuditEvent:
    """Add one event; `actor_id` None means the system itself. Secrets among the values are blanked by their names."""
    return AuditEvent.objects.create(
        action=action,
        actor_id=actor_id,
        on_behalf_of_id=on_behalf_of_id,
        object_type=subject._meta.label_lower if subject is not None else "",
        object_id=str(subject.pk) if subject is not None else "",
        before=masked(json_safe(dict(before or {}))),
        after=masked(json_safe(dict(after or {}))),
        ip=ip,
        request_id=context.request_id(),
    )
