"""What every trading table shares.

Every table that grows with trading names its account, and its unique keys and indexes begin with it; foreign keys get
no index of their own beside those. Where the writer fills parent and child in one statement under the account's lock,
the foreign key is declared to Django only (`db_constraint=False`) on columns that another constrained key already
implies.
"""

from collections.abc import Iterable
from enum import StrEnum

from django.db import models
from django.db.models import Func

ROW_IDS = "trading_row_ids"
ROW_ID_BLOCK = 2000  # ids that one nextval() of the sequence gives away


class NextRowId(Func):
    """The first id of a fresh block of the sequence all booked tables share; a booking numbers its rows from
    one block.
    """

    template = f"nextval('{ROW_IDS}')"
    output_field = models.BigIntegerField()


class CurrentTransaction(Func):
    """The writing transaction's 64-bit id, by which readers over all accounts page (DESIGN §4.6)."""

    template = "(pg_current_xact_id()::text::bigint)"
    output_field = models.BigIntegerField()


class BookedModel(models.Model):
    """A row the booking writer inserts with an id from a block (see `trading.writer`)."""

    id = models.BigIntegerField(primary_key=True, db_default=NextRowId())

    class Meta:
        abstract = True


def choices_of(values: Iterable[StrEnum]) -> list[tuple[str, str]]:
    """Django choices of an enumeration whose values are what the API shows."""
    return [(value.value, value.value) for value in values]
