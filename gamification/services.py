"""Writes of the game: facts become counts, awards and planets, under the player's lock and all in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection, transaction
from django.db.models.functions import Now

from gamification import frames
from gamification.domain.play import HOME_PLANET, Awarded, Completed, Counted, Happening, Opened, Player, Tally, play
from gamification.domain.rules import Fact, Rule, applies, subject_of
from gamification.models import Mission, MissionProgress, MissionStep, Progress, Unlock, XpEntry


@dataclass(frozen=True, slots=True)
class UserFact:
    """A fact and the user who made it."""

    user_id: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class _News:
    """One happening, of whom and by which fact."""

    user_id: int
    fact: Fact
    happening: Happening


@dataclass(slots=True)
class _Table:
    """Everything one call plays with: catalogue, locked rows and the players made of them."""

    missions: dict[str, Mission]
    rules: list[Rule]
    rows: dict[int, Progress] = field(default_factory=dict)
    players: dict[int, Player] = field(default_factory=dict)


def play_facts(facts: Sequence[UserFact]) -> None:
    """Let every fact count towards its user's missions; what counted before changes nothing.

    Locks the progress rows of the users concerned, in order of their ids; frames leave after the commit. Raises
    MalformedFact for a fact that a rule of its kind can't judge, with nothing written.
    """
    if facts:
        _play(facts)


@transaction.atomic
def _play(facts: Sequence[UserFact]) -> None:
    missions = {
        mission.slug: mission for mission in Mission.objects.filter(is_active=True).select_related("opens_planet")
    }
    table = _Table(missions, [mission.as_rule() for mission in missions.values()])
    relevant = [known for known in facts if any(applies(rule, known.fact) for rule in table.rules)]
    if not relevant:
        return
    _seat(table, relevant)
    news: list[_News] = []
    for known in relevant:
        table.players[known.user_id], happenings = play(table.players[known.user_id], known.fact, table.rules)
        news += [_News(known.user_id, known.fact, happening) for happening in happenings]
    if news:
        _write(table, news)
        messages = [(item.user_id, frames.encoded(item.happening, at=item.fact.at)) for item in news]
        transaction.on_commit(lambda: frames.publish(messages), robust=True)


@transaction.atomic
def leave_boards(*, user_id: int) -> None:
    """Take a user who is leaving the platform off the leaderboards; may be called twice."""
    Progress.objects.filter(user_id=user_id).update(is_listed=False, updated_at=Now())


def _seat(table: _Table, relevant: Sequence[UserFact]) -> None:
    """Lock the users' progress and load what the rules need to know of them."""
    user_ids = sorted({known.user_id for known in relevant})
    table.rows = _locked_progress(user_ids)
    tallies = _tallies(table, relevant)
    planets: dict[int, set[int]] = {user_id: {HOME_PLANET} for user_id in user_ids}
    for user_id, number in Unlock.objects.filter(user_id__in=user_ids).values_list("user_id", "planet__number"):
        planets[user_id].add(number)
    for user_id, row in table.rows.items():
        table.players[user_id] = Player(row.xp, frozenset(planets[user_id]), tallies.get(user_id, {}))


def _locked_progress(user_ids: list[int]) -> dict[int, Progress]:
    """The users' rows, made where missing, locked in one order."""
    locked = Progress.objects.select_for_update().order_by("user_id").filter(user_id__in=user_ids)
    rows = {row.user_id: row for row in locked}
    missing = [user_id for user_id in user_ids if user_id not in rows]
    if missing:
        Progress.objects.bulk_create([Progress(user_id=user_id) for user_id in missing], ignore_conflicts=True)
        rows |= {row.user_id: row for row in locked.filter(user_id__in=missing)}
    return rows


def _tallies(table: _Table, relevant: Sequence[UserFact]) -> dict[int, dict[str, Tally]]:
    """Counts of the users' missions, with the subjects of `relevant` that counted already."""
    subjects = {subject_of(rule, known.fact) for known in relevant for rule in table.rules if applies(rule, known.fact)}
    concerned = {"user_id__in": table.rows.keys(), "mission__in": list(table.missions.values())}
    steps = MissionStep.objects.filter(subject__in=subjects, **concerned)
    seen: dict[tuple[int, str], set[str]] = {}
    for user_id, slug, subject in steps.values_list("user_id", "mission__slug", "subject"):
        seen.setdefault((user_id, slug), set()).add(subject)
    tallies: dict[int, dict[str, Tally]] = {}
    kept = MissionProgress.objects.filter(**concerned).values_list("user_id", "mission__slug", "count", "completed_at")
    for user_id, slug, count, completed_at in kept:
        tally = Tally(count, frozenset(seen.get((user_id, slug), ())), completed_at is not None)
        tallies.setdefault(user_id, {})[slug] = tally
    return tallies


def _write(table: _Table, news: Sequence[_News]) -> None:
    """Store what happened: evidence, counts, awards, planets."""
    MissionStep.objects.bulk_create(_steps(table, news))
    MissionProgress.objects.bulk_create(
        _mission_progress(table, news),
        update_conflicts=True,
        unique_fields=["user", "mission"],
        update_fields=["count", "completed_at"],
    )
    Unlock.objects.bulk_create(_unlocks(table, news))
    _book_awards(table, [(item, item.happening) for item in news if isinstance(item.happening, Awarded)])


def _steps(table: _Table, news: Iterable[_News]) -> list[MissionStep]:
    return [
        MissionStep(
            user_id=item.user_id,
            mission=table.missions[counted.rule.slug],
            subject=counted.subject,
            event_id=item.fact.event_id,
            at=item.fact.at,
        )
        for item in news
        if isinstance(counted := item.happening, Counted)
    ]


def _mission_progress(table: _Table, news: Iterable[_News]) -> list[MissionProgress]:
    """One row a user and mission, as it stands at the end."""
    rows: dict[tuple[int, str], MissionProgress] = {}
    for item in news:
        match item.happening:
            case Counted(rule=rule, count=count):
                mission = table.missions[rule.slug]
                rows[item.user_id, rule.slug] = MissionProgress(user_id=item.user_id, mission=mission, count=count)
            case Completed(rule=rule):
                rows[item.user_id, rule.slug].completed_at = item.fact.at
    return list(rows.values())


def _unlocks(table: _Table, news: Iterable[_News]) -> list[Unlock]:
    return [
        Unlock(
            user_id=item.user_id,
            planet_id=planet_id,
            source=opened.rule.source,
            at=item.fact.at,
        )
        for item in news
        if isinstance(opened := item.happening, Opened)
        and (planet_id := table.missions[opened.rule.slug].opens_planet_id) is not None
    ]


def _book_awards(table: _Table, awards: Sequence[tuple[_News, Awarded]]) -> None:
    """Append the entries and bring the cached totals up to them."""
    entries = []
    for (item, award), precedence in zip(awards, _precedences(len(awards)), strict=True):
        row = table.rows[item.user_id]
        row.xp, row.entry_count, row.precedence = award.total_xp, row.entry_count + 1, precedence
        entries.append(_entry(row, award=award, mission=table.missions[award.rule.slug], at=item.fact.at))
    XpEntry.objects.bulk_create(entries)
    changed = {item.user_id: table.rows[item.user_id] for item, _ in awards}
    for row in changed.values():
        row.updated_at = Now()
    Progress.objects.bulk_update(changed.values(), ["xp", "entry_count", "precedence", "updated_at"])


def _entry(row: Progress, *, award: Awarded, mission: Mission, at: datetime) -> XpEntry:
    return XpEntry(
        user_id=row.user_id,
        number=row.entry_count,
        amount=award.amount,
        total_xp=award.total_xp,
        reason=XpEntry.Reason.MISSION,
        source=award.rule.source,
        description=f"Mission completed: {mission.title}",
        precedence=row.precedence,
        at=at,
    )


def _precedences(count: int) -> list[int]:
    """The next `count` numbers of the falling sequence that orders equal scores."""
    if not count:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('gamification_precedence') FROM generate_series(1, %s)", [count])
        return [number for (number,) in cursor.fetchall()]
