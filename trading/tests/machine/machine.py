"""The machine: it draws acts, makes them in every manner, lets them meet, and audits after every step."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from astrade.core.errors import OrderNotOpen
from marketdata.selectors import market_by_symbol
from trading.domain.margin import MarginSummary
from trading.models import Fill, TradingAccount
from trading.replaying import replay_fills
from trading.tests.machine.actors import Outcome
from trading.tests.machine.acts import Act, Plan, changing, few, opening, placing, setting, symbols
from trading.tests.machine.audit import AUDIT, DIGEST, MADE, RESERVED, query_of
from trading.tests.machine.forgeries import FORGERIES, is_refused
from trading.tests.machine.funds_acts import accounting, moving, working
from trading.tests.machine.netting import Netting, reckon
from trading.tests.machine.tenures import Tenure
from trading.tests.machine.world import A_MOMENT, Backdrop, World, new_key

manners = st.sampled_from(["once", "once", "once", "again", "cut off 1", "cut off 1", "cut off 2", "cut off 3"])
anything = st.one_of(placing, changing, working, setting, moving, accounting)


class Machine(RuleBasedStateMachine):
    """Users, the platform and the market at work; `backdrop` is the run's."""

    backdrop: ClassVar[Backdrop]
    query: ClassVar[str] = query_of(AUDIT)

    @initialize(plans=st.lists(opening, min_size=3, max_size=6))
    def begin(self, plans: Sequence[Plan]) -> None:
        """Accounts, prices, and some orders to begin with."""
        self.world = World(self.backdrop)
        self.tenure = Tenure(f"machine:{new_key()}")
        self.judged = 0  # the last fill that was looked at
        for plan in plans:
            act = plan.aim(self.world)
            assert act is not None
            self.world.cast.alone(act.call)
        self.go_on()

    @rule(plan=placing, manner=manners)
    def place(self, plan: Plan, manner: str) -> None:
        self.make(plan, manner)

    @rule(plan=placing, manner=manners)
    def place_more(self, plan: Plan, manner: str) -> None:
        self.make(plan, manner)

    @rule(plan=changing, manner=manners)
    def change(self, plan: Plan, manner: str) -> None:
        self.make(plan, manner)

    @rule(plan=setting, manner=manners)
    def set(self, plan: Plan, manner: str) -> None:
        self.make(plan, manner)

    @rule(plan=moving, manner=manners)
    def move_money(self, plan: Plan, manner: str) -> None:
        self.make(plan, manner)

    @rule(plan=accounting, manner=manners)
    def open_and_close(self, plan: Plan, manner: str) -> None:
        self.make(plan, manner)

    @rule(plan=working, manner=manners)
    def work(self, plan: Plan, manner: str) -> None:
        self.make(plan, manner)

    @rule(
        symbol=symbols,
        middle=st.integers(93, 107),
        half=st.integers(1, 4),
        depth=st.integers(0, 2),
        traded=st.lists(st.tuples(st.integers(90, 110), st.sampled_from(["0.5", "3"])), max_size=2),
        last=st.sampled_from([-1, 0, 1]),
        jumps=st.sampled_from([False, False, False, True]),
        is_watched=st.sampled_from([True, True, True, False]),
    )
    def tick(
        self,
        symbol: str,
        middle: int,
        half: int,
        depth: int,
        traded: Sequence[tuple[int, str]],
        last: int,
        jumps: bool,
        is_watched: bool,
    ) -> None:
        """The market moves, now and then far; the matcher knows all orders before it, or hears of some too late."""
        world = self.world
        if is_watched:
            world.follow()
        street = world.streets[symbol]
        middle += (35 if middle > 100 else -35) * jumps
        street.move(middle, half=half, depth=depth, last=last * half, traded=traded, at=world.now)
        self.go_on()

    @rule(minutes=st.sampled_from([0.1, 1.5, 31, 100, 600]), rate=st.sampled_from(["0.0001", "-0.00037913", "0"]))
    def wait(self, minutes: float, rate: str) -> None:
        """Time passes, and prices stay."""
        world = self.world
        world.wait(timedelta(minutes=minutes), rate=rate)
        for street in world.streets.values():
            street.move(street.middle, at=world.now)
        self.go_on()

    @rule(
        first=anything,
        second=st.none() | anything,
        meeting=st.sampled_from(["overtaken 1", "overtaken 1", "overtaken 2", "queued"]),
        number=few,
    )
    def meet(self, first: Plan, second: Plan | None, meeting: str, number: int) -> None:
        """Two calls at once; without a second one the first is made twice."""
        self.world.follow()
        one = first.aim(self.world)
        two = one if second is None else second.aim(self.world)
        if one is None or two is None:
            return
        before = self.worth
        if meeting == "queued":
            self.world.cast.queued(one.call, two.call, account_id=self.world.account(number).pk)
        else:
            self.world.cast.overtaken(one.call, two.call, commits=int(meeting[-1]))
        self.backdrop.totals["meetings"] += 1
        self.go_on()
        if one.admits and two.admits:
            self.has_margin(before)

    @rule(
        asked=st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from(["acquire", "acquire", "renew", "release", "require"])),
            min_size=1,
            max_size=4,
        )
    )
    def hold(self, asked: Sequence[tuple[str, str]]) -> None:
        """Two processes and a lease."""
        for holder, action in asked:
            self.tenure.act(holder, action, now=self.world.now)

    @rule(quarter=st.integers(0, 3))
    def forge(self, quarter: int) -> None:
        """Somebody writes what must not be."""
        for forgery in FORGERIES[quarter::4]:
            assert is_refused(forgery, self.world), forgery

    def make(self, plan: Plan, manner: str) -> None:
        """An act in some manner, and the audit of what came of it."""
        act = plan.aim(self.world)
        if act is None:
            return
        before = self.worth
        if manner == "again":
            outcomes = [self.world.cast.alone(act.call), self.world.cast.alone(act.call)]
            ended = isinstance(outcomes[1].refusal, OrderNotOpen)  # by the first of two cancels
            assert ended or _named(outcomes[0]) in (None, _named(outcomes[1])), outcomes
        elif manner == "once":
            self.world.cast.alone(act.call)
        else:
            self.cut_off(act, commits=int(manner[-1]))
        self.backdrop.totals["acts"] += 1
        self.go_on()
        if act.admits:
            self.has_margin(before)

    def cut_off(self, act: Act, *, commits: int) -> None:
        """The session dies at a COMMIT, everything is still true, and the call is made again."""
        before = self.world.stage.rows(DIGEST)
        outcome = self.world.cast.cut_off(act.call, commits=commits)
        if outcome.is_cut_off:
            self.backdrop.totals["cut off"] += 1
            if commits == 1:
                assert self.world.stage.rows(DIGEST) == before, "something is left of a transaction that never ended"
            self.audit()
            self.world.cast.alone(act.call)

    def go_on(self) -> None:
        """A moment later."""
        self.audit()
        self.world.wait(A_MOMENT)

    def audit(self) -> None:
        """Everything that always holds."""
        world = self.world
        world.look_around()
        assert world.cast.grievances.told == []
        findings = world.stage.rows(self.query)
        assert findings == [], findings
        ((made, last_fill),) = world.stage.rows(MADE)
        assert made == len(world.keys), "a request with an idempotency key had its effect once"
        if (last_fill or 0) > self.judged:
            self.judge_fills()
        assert world.amiss() == {}, "events that were announced never, twice, or before they stood"
        marks = {market_by_symbol(symbol).id: Decimal(street.middle) for symbol, street in world.streets.items()}
        self.worth = world.worth()
        told = {key: (worth.equity, worth.initial, worth.held) for key, worth in self.worth.items()}
        reckoned = reckon(world.stage.rows(RESERVED), marks)
        assert told == {key: (worth.equity, worth.initial, worth.held) for key, worth in reckoned.items()}

    def judge_fills(self) -> None:
        """The market had really come to where a resting order was filled."""
        world = self.world
        fills = Fill.objects.filter(account__in=world.accounts, id__gt=self.judged).select_related("order", "market")
        for fill in fills.order_by("id"):
            self.judged = fill.pk
            self.backdrop.totals["fills"] += 1
            assert fill.is_taker or world.streets[fill.market.symbol].was_reached(fill), fill

    def has_margin(self, before: dict[int, MarginSummary]) -> None:
        """What binds more margin was covered when it was admitted."""
        for account_id, after in self.worth.items():
            known = before.get(account_id)
            assert known is None or after.available >= 0 or after.initial <= known.initial, (account_id, known, after)

    def teardown(self) -> None:
        """Every fill is decided again, every PnL told again."""
        if not hasattr(self, "world"):
            return
        try:
            for account in self.world.accounts:
                assert [found for differences in replay_fills(account) for found in differences] == []
                netted(account)
        finally:
            self.world.end()


def netted(account: TradingAccount) -> None:
    """Each fill realised what a second reckoning says, and the position is what is left."""
    nettings: defaultdict[int, Netting] = defaultdict(Netting)
    for fill in Fill.objects.filter(account=account).order_by("number"):
        signed = fill.quantity if fill.side == "buy" else -fill.quantity
        realized = nettings[fill.market_id].take(signed, fill.price)
        assert fill.realized_pnl == realized, fill
    for position in account.positions.all():
        netting = nettings[position.market_id]
        assert (position.quantity, position.entry_notional) == (netting.quantity, netting.cost), position


def _named(outcome: Outcome) -> Any:
    answer = outcome.answer
    return answer.get("id") if isinstance(answer, dict) else None
