"""Mission rules as data: which facts count towards a mission, and as what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Scalar = str | int | bool
Filters = Mapping[str, frozenset[Scalar]]  # field of the fact → the values it may have


class MalformedFact(ValueError):
    """A fact lacks what a rule has to know; it can't be judged and must not be dropped either."""


class InvalidFilters(ValueError):
    """A rule's filters don't have the shape {"field": ["value", …]}."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something a player did: an account event's kind and data, and when it was."""

    event_id: int
    kind: str
    fields: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """`target` different things (told apart by field `counted_by`) of `kind` that match `where` and not `unless`."""

    slug: str
    kind: str
    target: int
    reward_xp: int
    where: Filters = field(default_factory=dict)
    unless: Filters = field(default_factory=dict)
    counted_by: str = "id"
    opens_planet: int | None = None

    @property
    def source(self) -> str:
        """The cause under which the reward is booked; a player gets one award for one cause."""
        return f"mission:{self.slug}"


def filters_of(stored: Any) -> Filters:
    """Filters from their JSON form; raises InvalidFilters for anything else than field → list of plain values."""
    if not isinstance(stored, Mapping):
        raise InvalidFilters('An object such as {"type": ["market"]} is required.')
    return {_name(name): _values(name, values) for name, values in stored.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidFilters("Field names are non-empty strings.")
    return name


def _values(name: str, values: Any) -> frozenset[Scalar]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise InvalidFilters(f"{name}: a list of at least one value is required.")
    if not all(isinstance(value, str | int | bool) for value in values):
        raise InvalidFilters(f"{name}: values are strings, whole numbers or true and false.")
    return frozenset(values)


def applies(rule: Rule, fact: Fact) -> bool:
    """Whether `fact` counts under `rule`; raises MalformedFact when a field that has to match is missing."""
    if fact.kind != rule.kind:
        return False
    if any(_required(fact, name) not in allowed for name, allowed in rule.where.items()):
        return False
    return not any(fact.fields.get(name) in refused for name, refused in rule.unless.items())


def subject_of(rule: Rule, fact: Fact) -> str:
    """What the fact is about: the same subject counts once, in however many facts it appears."""
    return str(_required(fact, rule.counted_by))


def _required(fact: Fact, name: str) -> Any:
    if not isinstance(fact.fields, Mapping):
        raise MalformedFact(f"event {fact.event_id}: data is no object")
    value = fact.fields.get(name)
    if not isinstance(value, str | int | bool):
        raise MalformedFact(f"event {fact.event_id}: {name} is missing")
    return value
