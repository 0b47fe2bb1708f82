"""Reads of the game. A user without any row is at the start of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import Count, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from gamification.domain.levels import level_of, xp_to_next
from gamification.domain.play import HOME_PLANET
from gamification.models import Mission, MissionProgress, Planet, Progress, Unlock, XpEntry

BEFORE_ALL = 2**63 - 1  # xp and precedence that stand before every row of a board


@dataclass(frozen=True, slots=True)
class Standing:
    """A user's progress as the API shows it; the defaults are those of a new user."""

    total_xp: int = 0
    unlocked_planets: Sequence[int] = (HOME_PLANET,)
    completed_missions: Sequence[str] = ()
    achievements: Sequence[str] = ()
    streak: int = 0
    freezes: int = 0
    multiplier: int = 1

    @property
    def level(self) -> int:
        """See `domain.levels`."""
        return level_of(self.total_xp)

    @property
    def xp_to_next(self) -> int:
        """XP missing to the next level."""
        return xp_to_next(self.total_xp)

    @property
    def current_planet(self) -> int:
        """The furthest planet that is open."""
        return max(self.unlocked_planets)


@dataclass(frozen=True, slots=True)
class MissionState:
    """A mission of the catalogue and how far one user is in it."""

    mission: Mission
    count: int
    completed_at: datetime | None

    @property
    def completed(self) -> bool:
        """Done for good."""
        return self.completed_at is not None


@dataclass(frozen=True, slots=True)
class PlanetState:
    """A planet and how far one user is on it."""

    planet: Planet
    unlocked: bool
    unlocked_at: datetime | None
    missions_total: int
    missions_completed: int


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One place on a leaderboard. `display_name` is None unless the user chose one."""

    rank: int
    display_name: str | None
    score: int


@dataclass(frozen=True, slots=True)
class BoardPage:
    """Places in order; `cursor` continues behind the last of them, None at the end."""

    rows: list[BoardRow]
    cursor: int | None


def standing_of(user_id: int) -> Standing:
    """The user's progress, in one query."""
    mine = {"user_id": OuterRef("user_id")}
    planets = Unlock.objects.filter(**mine).order_by("planet__number").values("planet__number")
    completed = MissionProgress.objects.filter(**mine, completed_at__isnull=False).order_by("completed_at", "id")
    row = (
        Progress.objects.filter(user_id=user_id)
        .annotate(opened=ArraySubquery(planets), completed=ArraySubquery(completed.values("mission__slug")))
        .values_list("xp", "opened", "completed")
        .first()
    )
    if row is None:
        return Standing()
    xp, opened, missions = row
    return Standing(xp, unlocked_planets=[HOME_PLANET, *opened], completed_missions=missions)


def xp_entries_of(user_id: int) -> QuerySet[XpEntry]:
    """Every award the user got."""
    return XpEntry.objects.filter(user_id=user_id)


def missions_for(user_id: int) -> list[MissionState]:
    """The catalogue in its order: what can be done now, and what the user has completed even if it is gone."""
    rows = (
        Mission.objects.alias(mine=FilteredRelation("progress", condition=Q(progress__user_id=user_id)))
        .annotate(count=Coalesce(F("mine__count"), 0), completed_at=F("mine__completed_at"))
        .filter(Q(is_active=True) | Q(mine__completed_at__isnull=False))
        .select_related("planet", "opens_planet")
    )
    return [MissionState(row, row.count, row.completed_at) for row in rows]


def planets_for(user_id: int) -> list[PlanetState]:
    """All planets in their order, with the user's missions on each."""
    unlocks = Unlock.objects.filter(user_id=user_id, planet=OuterRef("pk")).values("at")
    done = Q(missions__progress__user_id=user_id, missions__progress__completed_at__isnull=False)
    rows = Planet.objects.annotate(
        unlocked_at=Subquery(unlocks),
        missions_total=Count("missions", filter=Q(missions__is_active=True), distinct=True),
        missions_completed=Count("missions", filter=done & Q(missions__is_active=True), distinct=True),
    )
    return [
        PlanetState(
            planet=row,
            unlocked=row.number == HOME_PLANET or row.unlocked_at is not None,
            unlocked_at=row.unlocked_at,
            missions_total=row.missions_total,
            missions_completed=row.missions_completed,
        )
        for row in rows
    ]


# A board's order is (xp, precedence), falling, as its partial index holds it. A cursor is the precedence of the entry
# that brought the last shown row there: entries stay, so the place behind it is found even after that row has moved on.
_PAGE = """
WITH last AS (
    SELECT total_xp AS xp, precedence FROM gamification_xpentry WHERE precedence = %(cursor)s
    UNION ALL SELECT %(before_all)s::bigint, %(before_all)s::bigint WHERE %(cursor)s::bigint IS NULL
)
SELECT person.display_name, row.xp, row.precedence, (
    SELECT count(*) FROM gamification_progress AS ahead
    WHERE ahead.is_listed AND ahead.xp > 0
      AND (ahead.xp, ahead.precedence) >= ((SELECT xp FROM last), (SELECT precedence FROM last))
)
FROM gamification_progress AS row JOIN accounts_user AS person ON person.id = row.user_id
WHERE row.is_listed AND row.xp > 0
  AND (row.xp, row.precedence) < ((SELECT xp FROM last), (SELECT precedence FROM last))
ORDER BY row.xp DESC, row.precedence DESC
LIMIT %(limit)s
"""
_OWN = """
SELECT person.display_name, row.xp, (
    SELECT count(*) FROM gamification_progress AS ahead
    WHERE ahead.is_listed AND ahead.xp > 0 AND (ahead.xp, ahead.precedence) >= (row.xp, row.precedence)
)
FROM gamification_progress AS row JOIN accounts_user AS person ON person.id = row.user_id
WHERE row.user_id = %(user_id)s AND row.is_listed AND row.xp > 0
"""


def xp_board(*, cursor: int | None, limit: int) -> BoardPage:
    """One page of the XP leaderboard of all time, in one query; equal scores stand in the order they were reached.

    `cursor` is that of the page before; one that nobody was given finds nothing.
    """
    with connection.cursor() as statement:
        statement.execute(_PAGE, {"cursor": cursor, "before_all": BEFORE_ALL, "limit": limit + 1})
        found = statement.fetchall()
    rows = [
        BoardRow(rank=ahead + place, display_name=name or None, score=xp)
        for place, (name, xp, _, ahead) in enumerate(found[:limit], start=1)
    ]
    return BoardPage(rows=rows, cursor=found[limit - 1][2] if len(found) > limit else None)


def xp_board_row(user_id: int) -> BoardRow | None:
    """The user's own place on the XP leaderboard of all time, in one query; None while they have no XP."""
    with connection.cursor() as statement:
        statement.execute(_OWN, {"user_id": user_id})
        found = statement.fetchone()
    return BoardRow(rank=found[2], display_name=found[0] or None, score=found[1]) if found else None
