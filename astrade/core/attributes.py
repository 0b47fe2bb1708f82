"""Several attributes of an object at once."""

from functools import lru_cache
from operator import attrgetter
from typing import Any


def attributes(source: object, names: tuple[str, ...]) -> dict[str, Any]:
    """The attributes `names` (two or more) of `source` by name."""
    return dict(zip(names, _getter(names)(source), strict=True))


@lru_cache
def _getter(names: tuple[str, ...]) -> "attrgetter[tuple[Any, ...]]":
    return attrgetter(*names)
