"""The game's one evaluator: a player, a fact and the rules make a new player and what happened on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gamification.domain.levels import level_of
from gamification.domain.rules import Fact, Rule, applies, subject_of

HOME_PLANET = 1  # open to everybody from the start


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a player is in one mission. `seen` holds the subjects that counted, as far as they may come up again."""

    count: int = 0
    seen: frozenset[str] = frozenset()
    completed: bool = False


@dataclass(frozen=True, slots=True)
class Player:
    """What the rules need to know of a user."""

    xp: int = 0
    planets: frozenset[int] = frozenset({HOME_PLANET})
    tallies: Mapping[str, Tally] = field(default_factory=dict)  # by mission slug


@dataclass(frozen=True, slots=True)
class Counted:
    """One more subject counted towards a mission."""

    rule: Rule
    subject: str
    count: int


@dataclass(frozen=True, slots=True)
class Completed:
    """A mission reached its target."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class Awarded:
    """XP for one cause; `total_xp` is the player's total afterwards."""

    rule: Rule
    amount: int
    total_xp: int


@dataclass(frozen=True, slots=True)
class Levelled:
    """The player's level rose to `level`."""

    level: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A planet opened, by the mission `rule`."""

    rule: Rule
    planet: int


Happening = Counted | Completed | Awarded | Levelled | Opened


def play(player: Player, fact: Fact, rules: Sequence[Rule]) -> tuple[Player, list[Happening]]:
    """The player after `fact`, and what happened, in order. Playing the same fact again changes nothing.

    Raises MalformedFact when a rule that concerns the fact's kind can't judge it.
    """
    happenings: list[Happening] = []
    for rule in rules:
        if applies(rule, fact):
            player, more = _count(player, rule, subject_of(rule, fact))
            happenings += more
    return player, happenings


def _count(player: Player, rule: Rule, subject: str) -> tuple[Player, list[Happening]]:
    tally = player.tallies.get(rule.slug, Tally())
    if tally.completed or subject in tally.seen:
        return player, []
    count = tally.count + 1
    counted = Tally(count=count, seen=tally.seen | {subject}, completed=count >= rule.target)
    player = replace(player, tallies={**player.tallies, rule.slug: counted})
    happenings: list[Happening] = [Counted(rule, subject, count)]
    if not counted.completed:
        return player, happenings
    player, rewards = _reward(player, rule)
    return player, [*happenings, Completed(rule), *rewards]


def _reward(player: Player, rule: Rule) -> tuple[Player, list[Happening]]:
    happenings: list[Happening] = []
    xp = player.xp + rule.reward_xp
    if rule.reward_xp:
        happenings.append(Awarded(rule, rule.reward_xp, xp))
    if level_of(xp) > level_of(player.xp):
        happenings.append(Levelled(level_of(xp)))
    planets = player.planets
    if rule.opens_planet is not None and rule.opens_planet not in planets:
        planets |= {rule.opens_planet}
        happenings.append(Opened(rule, rule.opens_planet))
    return replace(player, xp=xp, planets=planets), happenings
