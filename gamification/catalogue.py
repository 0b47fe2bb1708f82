"""Changes of the catalogue by staff, on record."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.forms.models import model_to_dict

from astrade.core import audit
from gamification.models import Mission


@transaction.atomic
def save_mission(mission: Mission, *, actor_id: int | None) -> None:
    """Store a validated mission and note what changed. What players have completed stays completed."""
    known = Mission.objects.select_for_update().filter(pk=mission.pk).first() if mission.pk else None
    before = _values(known) if known else {}
    mission.save()
    after = _values(mission)
    changed = {name for name, value in after.items() if before.get(name) != value}
    audit.record(
        "mission.changed" if known else "mission.created",
        actor_id=actor_id,
        subject=mission,
        before={name: before[name] for name in before if name in changed},
        after={name: after[name] for name in changed},
    )


def _values(mission: Mission) -> Mapping[str, Any]:
    return model_to_dict(mission)
