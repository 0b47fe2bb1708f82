"""Model fields and defaults that every app shares."""

import uuid
from typing import Any

from django.db import models

from astrade.core.money import SCALE


class AmountField(models.DecimalField):  # type: ignore[type-arg]
    """An exact price, quantity or amount: numeric(38, 18)."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 38)
        kwargs.setdefault("decimal_places", SCALE)
        super().__init__(**kwargs)


def public_id() -> uuid.UUID:
    """A new identifier that may leave the platform."""
    return uuid.uuid4()
