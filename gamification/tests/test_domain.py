"""The pure game: levels, rules, and the one evaluator."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamification.domain.levels import level_of, xp_to_next
from gamification.domain.play import Awarded, Completed, Counted, Happening, Levelled, Opened, Player, Tally, play
from gamification.domain.rules import Fact, InvalidFilters, MalformedFact, Rule, applies, filters_of, subject_of

AT = datetime(2026, 3, 1, tzinfo=UTC)
FIVE_MARKET_ORDERS = Rule(
    slug="basics",
    kind="order_update",
    target=5,
    reward_xp=100,
    where={"type": frozenset({"market"}), "status": frozenset({"filled"})},
    unless={"source": frozenset({"liquidation"})},
    opens_planet=2,
)
FIRST_FILL = Rule(slug="first", kind="trade_update", target=1, reward_xp=20)
RULES = [FIRST_FILL, FIVE_MARKET_ORDERS]


def order(identity: int | str = "a", **changed: Any) -> Fact:
    return Fact(1, "order_update", {"id": identity, "type": "market", "status": "filled"} | changed, AT)


def play_all(facts: Sequence[Fact], rules: Sequence[Rule] = RULES) -> tuple[Player, list[Happening]]:
    player, happenings = Player(), []
    for fact in facts:
        player, more = play(player, fact, rules)
        happenings += more
    return player, happenings


@pytest.mark.parametrize(
    ("xp", "level", "missing"), [(0, 1, 100), (99, 1, 1), (100, 2, 100), (120, 2, 80), (199, 2, 1), (200, 3, 100)]
)
def test_a_level_is_a_hundred_xp(xp: int, level: int, missing: int) -> None:
    assert (level_of(xp), xp_to_next(xp)) == (level, missing)


@pytest.mark.parametrize(
    ("fact", "counts"),
    [
        (order(), True),
        (order(type="limit"), False),
        (order(status="open"), False),
        (order(source="app"), True),
        (order(source="liquidation"), False),
        (Fact(1, "balance_update", {}, AT), False),
    ],
)
def test_rule_counts_what_matches_and_is_not_refused(fact: Fact, counts: bool) -> None:
    assert applies(FIVE_MARKET_ORDERS, fact) is counts


@pytest.mark.parametrize(
    "fields", [{}, {"type": "market"}, {"type": None, "status": "filled"}, {"type": ["market"]}, []]
)
def test_fact_without_what_the_rule_looks_at_is_malformed(fields: Any) -> None:
    with pytest.raises(MalformedFact):
        applies(FIVE_MARKET_ORDERS, Fact(1, "order_update", fields, AT))


def test_fact_without_identity_is_malformed() -> None:
    with pytest.raises(MalformedFact):
        subject_of(FIRST_FILL, Fact(1, "trade_update", {"id": ""} | {"id": None}, AT))


@pytest.mark.parametrize(
    "stored", [None, [], "x", {"type": "market"}, {"type": []}, {"": ["a"]}, {"type": [None]}, {1: ["a"]}]
)
def test_filters_of_another_shape_are_refused(stored: Any) -> None:
    with pytest.raises(InvalidFilters):
        filters_of(stored)


def test_filters_keep_their_values() -> None:
    stored: dict[str, list[str | int]] = {"type": ["market", "limit"], "is_taker": [True], "leverage": [1, 2]}

    assert filters_of(stored) == {name: frozenset(values) for name, values in stored.items()}


def test_fifth_order_brings_xp_level_and_planet() -> None:
    player, happenings = play_all([order(number) for number in range(5)])

    assert happenings[:4] == [Counted(FIVE_MARKET_ORDERS, str(number), number + 1) for number in range(4)]
    assert happenings[4:] == [
        Counted(FIVE_MARKET_ORDERS, "4", 5),
        Completed(FIVE_MARKET_ORDERS),
        Awarded(FIVE_MARKET_ORDERS, 100, 100),
        Levelled(2),
        Opened(FIVE_MARKET_ORDERS, 2),
    ]
    assert (player.xp, player.planets) == (100, frozenset({1, 2}))


def test_same_order_counts_once_however_often_it_is_told() -> None:
    player, happenings = play_all([order("a")] * 7)

    assert [type(happening) for happening in happenings] == [Counted]
    assert player.tallies == {"basics": Tally(count=1, seen=frozenset({"a"}))}


def test_completed_mission_counts_no_more() -> None:
    done, _ = play_all([order(number) for number in range(5)])

    assert play(done, order("another"), RULES) == (done, [])


def test_planet_that_is_open_does_not_open_again() -> None:
    second = Rule(slug="other", kind="order_update", target=1, reward_xp=0, opens_planet=1)

    assert play(Player(), order(), [second])[1] == [Counted(second, "a", 1), Completed(second)]


identities = st.integers(min_value=0, max_value=9)
facts = st.lists(
    st.one_of(
        st.builds(
            order, identities, type=st.sampled_from(["market", "limit"]), status=st.sampled_from(["open", "filled"])
        ),
        st.builds(lambda identity: Fact(1, "trade_update", {"id": identity}, AT), identities),
        st.just(Fact(1, "balance_update", {}, AT)),
    ),
    max_size=40,
)


@given(facts, st.randoms(use_true_random=False))
def test_xp_is_the_sum_of_awards_and_does_not_depend_on_order_or_repetition(played: list[Fact], chance: Any) -> None:
    shuffled = played + chance.choices(played, k=len(played)) if played else []
    chance.shuffle(shuffled)

    player, happenings = play_all(played)
    again, _ = play_all(shuffled)

    awards = [happening for happening in happenings if isinstance(happening, Awarded)]
    orders = {fact.fields["id"] for fact in played if applies(FIVE_MARKET_ORDERS, fact)}
    traded = any(fact.kind == "trade_update" for fact in played)
    assert player.xp == sum(award.amount for award in awards) == 20 * traded + 100 * (len(orders) >= 5)
    assert len({award.rule.source for award in awards}) == len(awards)
    assert (again.xp, again.planets) == (player.xp, player.planets)
