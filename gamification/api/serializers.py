"""Bodies of the game's part of API.md."""

from typing import Any

from rest_framework import serializers

from astrade.core.api.fields import Choice, Millis
from astrade.core.api.pagination import PageQuery

PERIODS = ["all"]
METRICS = ["xp"]


class ProgressSerializer(serializers.Serializer[Any]):
    """Where a player stands."""

    total_xp = serializers.IntegerField()
    level = serializers.IntegerField()
    xp_to_next = serializers.IntegerField()
    current_planet = serializers.IntegerField()
    unlocked_planets = serializers.ListField(child=serializers.IntegerField())
    completed_missions = serializers.ListField(child=serializers.CharField())
    achievements = serializers.ListField(child=serializers.CharField())
    streak = serializers.IntegerField()
    freezes = serializers.IntegerField()
    multiplier = serializers.IntegerField()


class XpEntrySerializer(serializers.Serializer[Any]):
    """One award of XP and why it was given."""

    id = serializers.UUIDField(source="uuid")
    number = serializers.IntegerField()
    amount = serializers.IntegerField()
    total_xp = serializers.IntegerField(help_text="The player's total after this entry.")
    reason = serializers.CharField()
    source = serializers.CharField(help_text="The cause; each counts once.")  # type: ignore[assignment]
    description = serializers.CharField()
    at = Millis()


class MissionSerializer(serializers.Serializer[Any]):
    """A mission and how far the player is in it."""

    slug = serializers.CharField(source="mission.slug")
    title = serializers.CharField(source="mission.title")
    description = serializers.CharField(source="mission.description")
    planet = serializers.IntegerField(source="mission.planet.number")
    target = serializers.IntegerField(source="mission.target")
    reward_xp = serializers.IntegerField(source="mission.reward_xp")
    opens_planet = serializers.IntegerField(source="mission.opens_planet.number", default=None, allow_null=True)
    count = serializers.IntegerField()
    completed = serializers.BooleanField()
    completed_at = Millis(allow_null=True)


class PlanetSerializer(serializers.Serializer[Any]):
    """A planet and how far the player is on it."""

    number = serializers.IntegerField(source="planet.number")
    slug = serializers.CharField(source="planet.slug")
    name = serializers.CharField(source="planet.name")
    description = serializers.CharField(source="planet.description")
    unlocked = serializers.BooleanField()
    unlocked_at = Millis(allow_null=True)
    missions_total = serializers.IntegerField()
    missions_completed = serializers.IntegerField()


class BoardQuery(PageQuery):
    """Which leaderboard, and which page of it."""

    period = Choice(choices=PERIODS, default="all")
    metric = Choice(choices=METRICS, default="xp")


class BoardRowSerializer(serializers.Serializer[Any]):
    """One place."""

    rank = serializers.IntegerField()
    display_name = serializers.CharField(allow_null=True, help_text="Null unless the user chose a name.")
    score = serializers.IntegerField()


class BoardSerializer(serializers.Serializer[Any]):
    """A page of a leaderboard, and the caller's own place on it."""

    period = serializers.CharField()
    metric = serializers.CharField()
    entries = BoardRowSerializer(many=True)
    me = BoardRowSerializer(allow_null=True, help_text="Null for anonymous callers and for users without a score.")
