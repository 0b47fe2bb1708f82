"""The game: its catalogue as data, what each player did, and XP as a ledger that only grows (DESIGN §4.7)."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from astrade.core.fields import public_id
from gamification.domain.play import HOME_PLANET
from gamification.domain.rules import InvalidFilters, Rule, filters_of
from trading.models import Event

MAX_REWARD_XP = 10_000
MAX_TARGET = 1_000_000


class Planet(models.Model):
    """A place in the game. `number` is its order; the first is open to everybody."""

    number = models.PositiveSmallIntegerField(unique=True, validators=[MinValueValidator(HOME_PLANET)])
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=64)
    description = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        ordering = ["number"]
        constraints = [models.CheckConstraint(condition=Q(number__gte=HOME_PLANET), name="planet_number_from_home")]

    def __str__(self) -> str:
        return self.name


class Mission(models.Model):
    """A rule and its reward: `target` different things of `event_kind` that match `where` and not `unless`."""

    class EventKind(models.TextChoices):
        ORDER_UPDATE = "order_update"
        TRADE_UPDATE = "trade_update"

    slug = models.SlugField(max_length=64, unique=True, help_text="Names the cause of the award; never changes.")
    title = models.CharField(max_length=80)
    description = models.CharField(max_length=255, blank=True, default="")
    planet = models.ForeignKey(Planet, on_delete=models.PROTECT, related_name="missions")
    position = models.PositiveSmallIntegerField(default=0, help_text="Order among the missions of its planet.")
    event_kind = models.CharField(max_length=32, choices=EventKind)
    where = models.JSONField(default=dict, blank=True, help_text='What has to match: {"type": ["market"]}')
    unless = models.JSONField(default=dict, blank=True, help_text='What must not match: {"source": ["liquidation"]}')
    counted_by = models.CharField(max_length=64, default="id", help_text="The field that tells things apart.")
    target = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MAX_TARGET)])
    reward_xp = models.PositiveIntegerField(validators=[MaxValueValidator(MAX_REWARD_XP)])
    opens_planet = models.ForeignKey(Planet, on_delete=models.PROTECT, null=True, blank=True, related_name="opened_by")
    is_active = models.BooleanField(
        default=True, help_text="An inactive mission counts nothing and takes nothing away."
    )

    class Meta:
        ordering = ["planet__number", "position", "slug"]
        constraints = [
            models.CheckConstraint(condition=Q(target__gte=1), name="mission_target_positive"),
            models.CheckConstraint(condition=Q(reward_xp__lte=MAX_REWARD_XP), name="mission_reward_capped"),
        ]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """Filters have their shape, also where Django takes them for empty and asks no validator."""
        problems: dict[str, str] = {}
        for name in ("where", "unless"):
            try:
                filters_of(getattr(self, name))
            except InvalidFilters as exc:
                problems[name] = str(exc)
        if problems:
            raise ValidationError(problems)

    def as_rule(self) -> Rule:
        """The row as the evaluator's value; needs `opens_planet` loaded."""
        return Rule(
            slug=self.slug,
            kind=self.event_kind,
            target=self.target,
            reward_xp=self.reward_xp,
            where=filters_of(self.where),
            unless=filters_of(self.unless),
            counted_by=self.counted_by,
            opens_planet=self.opens_planet.number if self.opens_planet else None,
        )


class Progress(models.Model):
    """A user's standing; made at the first award or count, and the lock of everything the game writes about them.

    `xp` caches the sum of the user's entries, `entry_count` numbers them. `precedence` is that of the latest entry:
    among equal scores the higher one got there first.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="progress")
    xp = models.BigIntegerField(default=0)
    entry_count = models.BigIntegerField(default=0)
    precedence = models.BigIntegerField(default=0)
    is_listed = models.BooleanField(default=True)  # stands on the leaderboards
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "progress"
        constraints = [models.CheckConstraint(condition=Q(xp__gte=0), name="progress_xp_not_negative")]
        indexes = [
            models.Index(fields=["xp", "precedence"], condition=Q(is_listed=True, xp__gt=0), name="progress_board"),
        ]

    def __str__(self) -> str:
        return f"{self.xp} XP"


class XpEntry(models.Model):
    """One award of XP; append-only (the database refuses more). `source` is its cause, which counts once a user."""

    class Reason(models.TextChoices):
        MISSION = "mission"

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="xp_entries")
    number = models.BigIntegerField()
    amount = models.IntegerField()
    total_xp = models.BigIntegerField()
    reason = models.CharField(max_length=16, choices=Reason)
    source = models.CharField(max_length=128)
    description = models.CharField(max_length=160)
    precedence = models.BigIntegerField(unique=True)  # from a sequence that falls, so that who got there first leads
    at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "XP entry"
        verbose_name_plural = "XP entries"
        constraints = [
            models.UniqueConstraint(fields=["user", "source"], name="xp_one_award_a_cause"),
            models.UniqueConstraint(fields=["user", "number"], name="xp_number_once"),
            models.CheckConstraint(condition=~Q(amount=0), name="xp_moves_something"),
            models.CheckConstraint(condition=Q(total_xp__gte=0), name="xp_total_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.amount:+d} XP: {self.source}"


class MissionProgress(models.Model):
    """How far a user is in a mission; `completed_at` stays whatever becomes of the mission's rule."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="mission_progress")
    mission = models.ForeignKey(Mission, on_delete=models.PROTECT, related_name="progress")
    count = models.PositiveIntegerField(default=0)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "mission progress"
        constraints = [models.UniqueConstraint(fields=["user", "mission"], name="mission_progress_once")]

    def __str__(self) -> str:
        return f"{self.count}"


class MissionStep(models.Model):
    """One thing that counted towards a mission: the evidence behind its award. The same thing counts once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    mission = models.ForeignKey(Mission, on_delete=models.PROTECT, related_name="steps")
    subject = models.CharField(max_length=128)
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "mission", "subject"], name="mission_step_once")]

    def __str__(self) -> str:
        return self.subject


class Unlock(models.Model):
    """A planet that opened to a user, and by which cause; the home planet needs no row."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="unlocks")
    planet = models.ForeignKey(Planet, on_delete=models.PROTECT, related_name="unlocks")
    source = models.CharField(max_length=128)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "planet"], name="unlock_once")]

    def __str__(self) -> str:
        return self.source


class SkippedEvent(models.Model):
    """An event the game could not process: kept, so that the reader went on, and tried again until it succeeds."""

    event = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    error = models.CharField(max_length=255)
    attempts = models.PositiveIntegerField(default=1)
    skipped_at = models.DateTimeField(db_default=Now())
    retry_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["retry_at"], condition=Q(resolved_at__isnull=True), name="skipped_event_due"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}: {self.error}"
