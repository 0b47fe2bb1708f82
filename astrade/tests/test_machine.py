"""The whole platform in one stateful machine (DESIGN §5): trading as `trading.tests.machine` works it, and the readers
of what came of it. What breaking each lock and constraint did to it: docs/mutations.md.
"""

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from accounts.tests.factories import UserFactory
from gamification.intake import process_batch
from marketdata.selectors import forget_markets
from trading.models import ReaderPosition
from trading.tests.conftest import forget_prices, make_market
from trading.tests.machine.actors import Cast
from trading.tests.machine.audit import AUDIT, query_of
from trading.tests.machine.funds_acts import Read
from trading.tests.machine.machine import Machine, manners
from trading.tests.machine.stage import set_stage
from trading.tests.machine.world import Backdrop, listening
from trading.totals import add_next_totals

FULL = bool(os.environ.get("CAMPAIGN"))
EXAMPLES = 2_000 if FULL else 200
STEPS = 12
FIRST_MISSIONS = "gamification.migrations.0003_first_planets_and_missions"


PLAYERS = "(SELECT user_id FROM trading_tradingaccount)"
READ_BY = """trading_event e JOIN trading_tradingaccount a ON a.id = e.account_id
            JOIN public.trading_readerposition r ON r.name = '{}' AND (e.xid, e.id) <= (r.xid, r.row_id)
            WHERE e.kind = 'trade_update'"""
GAME = {
    "XP": f"""
        SELECT 'user ' || user_id || ': entry ' || number || ' of ' || amount || ' makes ' || total_xp
        FROM (SELECT *, sum(amount) OVER w AS total, row_number() OVER w AS due,
                     count(*) OVER (PARTITION BY user_id, source) AS causes
              FROM gamification_xpentry WHERE user_id IN {PLAYERS} WINDOW w AS (PARTITION BY user_id ORDER BY number)) x
        WHERE (number, total_xp, causes) <> (due, total, 1)""",
    "totals": f"""
        SELECT 'user ' || u.id || ': ' || u.total_trades || ' trades of ' || u.total_volume || ' are not ' || t.trades
        FROM accounts_user u LEFT JOIN LATERAL (
            SELECT count(*) AS trades, coalesce(sum((e.data->>'notional')::numeric), 0) AS volume,
                   coalesce(sum((e.data->>'realized_pnl')::numeric), 0) AS pnl
            FROM {READ_BY.format("totals")} AND a.user_id = u.id) t ON true
        WHERE u.id IN {PLAYERS}
        AND (u.total_trades, u.total_volume, u.total_realized_pnl) <> (t.trades, t.volume, t.pnl)""",
    "first trade": f"""
        SELECT 'user ' || u.id || ': ' || x.awards || ' awards' FROM accounts_user u, LATERAL (
            SELECT count(*) AS awards FROM gamification_xpentry e
            WHERE e.user_id = u.id AND e.source = 'mission:first_trade') x
        WHERE u.id IN {PLAYERS} AND x.awards <> (
            SELECT count(*) FROM (SELECT FROM {READ_BY.format("game")} AND a.user_id = u.id LIMIT 1) t)""",
    "progress": f"""
        SELECT 'user ' || p.user_id || ': ' || p.xp || ' XP in ' || p.entry_count FROM gamification_progress p
        WHERE p.user_id IN {PLAYERS} AND (p.xp, p.entry_count) <> (
            SELECT coalesce(sum(amount), 0), count(*) FROM gamification_xpentry x WHERE x.user_id = p.user_id)""",
}


class Platform(Machine):
    """Trading with its readers: users' totals and the game."""

    query = query_of({**AUDIT, **GAME})

    @rule(manner=manners, twice=st.booleans())
    def play(self, manner: str, twice: bool) -> None:
        """The game reads, alone or beside another reader of its name."""
        if twice:
            self.world.cast.overtaken(process_batch, process_batch, commits=1)
            self.go_on()
        else:
            self.make(Read(process_batch), manner)

    @rule()
    def count(self) -> None:
        """Two readers of totals at once."""
        self.world.cast.overtaken(add_next_totals, add_next_totals, commits=1)
        self.go_on()


@pytest.fixture
def backdrop(transactional_db: None) -> Iterator[Backdrop]:
    """The stage, two markets, two members of staff, and the game's catalogue."""
    import_module(FIRST_MISSIONS).install(apps)
    forget_prices()
    with set_stage() as stage:
        for name in ("totals", "game"):
            ReaderPosition.objects.get_or_create(name=name)
        markets = {"BTC-USD": make_market("BTC-USD"), "ETH-USD": make_market("ETH-USD", taker_fee_rate="0.00045")}
        staff = (UserFactory.create(is_staff=True), UserFactory.create(is_staff=True))
        cast, pubsub = Cast(stage), listening()
        try:
            yield Backdrop(stage, cast, markets, staff, pubsub)
        finally:
            cast.close()
            pubsub.close()
    forget_prices()
    forget_markets()


@pytest.mark.usefixtures("untraced")
@pytest.mark.timeout(7200 if FULL else 900)
def test_whatever_happens_every_invariant_holds(backdrop: Backdrop, record_property: Any) -> None:
    Platform.backdrop = backdrop
    run_state_machine_as_test(
        Platform,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("examples", EXAMPLES)
    for name, number in sorted(backdrop.totals.items()):
        record_property(name.replace(" ", "_"), number)
    assert min(backdrop.totals[name] for name in ("acts", "cut off", "fills", "meetings")) > EXAMPLES / 20
