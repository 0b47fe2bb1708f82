"""Sealed columns under the key ring's first key, while everything runs (`manage.py rotate_keys`)."""

from collections.abc import Iterator
from typing import Any

from django.db import models, transaction

from accounts.models import StarkKey, TotpDevice, VenueCredential
from accounts.sealing import is_current, seal, unseal
from accounts.services import stark_keys, two_factor, venue_connections

BATCH = 200
SEALED: tuple[tuple[type[models.Model], str, str], ...] = (  # model, column, purpose
    (TotpDevice, "secret", two_factor.PURPOSE),
    (StarkKey, "private_key", stark_keys.PURPOSE),
    (VenueCredential, "api_key", venue_connections.PURPOSE),
)


def reseal() -> Iterator[tuple[str, int, int]]:
    """Seal anew what another key than the first sealed; yields table, rows looked at and rows sealed after each batch.

    Each batch is a transaction that locks the rows it changes. May be interrupted and run again. Raises SealBroken for
    a row whose key is not in the ring, or that was tampered with; what was done before stays done.
    """
    for model, column, purpose in SEALED:
        looked_at = changed = last = 0
        while True:
            with transaction.atomic():
                rows: list[Any] = list(model._default_manager.filter(pk__gt=last).order_by("pk")[:BATCH])
                changed += sum(_reseal(model, row.pk, column, purpose) for row in rows if _is_old(row, column))
            if not rows:
                break
            looked_at, last = looked_at + len(rows), rows[-1].pk
            yield model._meta.db_table, looked_at, changed


def _is_old(row: Any, column: str) -> bool:
    sealed = getattr(row, column)
    return sealed is not None and not is_current(sealed)


def _reseal(model: type[models.Model], pk: int, column: str, purpose: str) -> int:
    row: Any = model._default_manager.select_for_update(no_key=True).filter(pk=pk).first()
    if row is None or not _is_old(row, column):
        return 0
    secret = unseal(getattr(row, column), purpose=purpose, row=row.uuid)
    setattr(row, column, seal(secret, purpose=purpose, row=row.uuid))
    row.save(update_fields=[column])
    return 1
