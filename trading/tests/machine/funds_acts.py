"""What moves money and accounts, and what the platform does by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from astrade.core.errors import NotPermitted, VersionConflict
from marketdata import live
from trading.lanes import book_finds, booking_of
from trading.models import AdjustmentProposal, JournalEntry, TradingAccount
from trading.services.accounts import close_account, open_practice_account
from trading.services.adjustments import approve_adjustment, propose_adjustment, propose_reversal, reject_adjustment
from trading.services.due import due_work
from trading.services.funding import settle_funding
from trading.services.liquidation import liquidate
from trading.tests.factories import D, ref
from trading.tests.machine.actors import Broken
from trading.tests.machine.acts import Act, Plan, few
from trading.tests.machine.world import HOUR, World, new_key
from trading.totals import add_next_totals


class Refused(NotPermitted):
    """What a user was told over HTTP."""

    def __init__(self, code: int) -> None:
        super().__init__("refused")
        self.told = code


def post(world: World, account: TradingAccount, path: str, body: dict[str, Any]) -> Act:
    """A request with an idempotency key, sent again with the same one by who got no answer."""
    api, key = world.apis[account.user_id], new_key()

    def send() -> Any:
        answer = api.post(path, body, Idempotency_Key=key)
        if answer.status >= 500:
            raise Broken(answer.content)
        if answer.status >= 400:
            raise Refused(answer.error[1])
        world.keys.add(key)
        return answer.data

    return Act(send)


@dataclass(frozen=True, slots=True)
class Send:
    """Money from one account to another of the same user, or of a stranger."""

    sender: int
    receiver: int
    amount: str

    def aim(self, world: World) -> Act | None:
        """Over HTTP, by an idempotency key."""
        one, two = world.account(self.sender), world.account(self.receiver)
        body = {"from_account": str(one.uuid), "to_account": str(two.uuid), "amount": self.amount}
        return post(world, one, "/transfers", body)


@dataclass(frozen=True, slots=True)
class Faucet:
    """Virtual money."""

    account: int
    amount: str

    def aim(self, world: World) -> Act | None:
        """Over HTTP, by an idempotency key."""
        account = world.account(self.account)
        return post(world, account, "/deposits/faucet", {"account": str(account.uuid), "amount": self.amount})


@dataclass(frozen=True, slots=True)
class Reset:
    """An account anew."""

    account: int

    def aim(self, world: World) -> Act | None:
        """Over HTTP, by an idempotency key."""
        account = world.account(self.account)
        return post(world, account, f"/accounts/{account.uuid}/reset", {})


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """One more; who asks again gets another one."""

    account: int

    def aim(self, world: World) -> Act | None:
        """For the owner of an account."""
        user_id = world.account(self.account).user_id
        return Act(lambda: open_practice_account(user_id=user_id, initial_balance=D(100)).pk)


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """For good."""

    account: int

    def aim(self, world: World) -> Act | None:
        """One with nothing open is closed."""
        account = world.account(self.account)
        return Act(lambda: close_account(account=ref(account)).pk)


@dataclass(frozen=True, slots=True)
class Propose:
    """A correction, or the reversal of an entry."""

    account: int
    amount: str | None

    def aim(self, world: World) -> Act | None:
        """By one member of staff; nothing is booked."""
        account, staff = world.account(self.account), world.backdrop.staff[0]
        if self.amount is not None:
            values: dict[str, Any] = {"amount": D(self.amount), "reason": "an outage"}
            return Act(lambda: propose_adjustment(account_id=account.pk, staff_id=staff.pk, **values).pk)
        entry = JournalEntry.objects.filter(account=account).order_by("-number").first()
        if entry is None:
            return None
        return Act(lambda: propose_reversal(entry_id=entry.pk, staff_id=staff.pk, reason="by mistake").pk)


@dataclass(frozen=True, slots=True)
class Decide:
    """What was proposed is approved or rejected by another member of staff."""

    proposal: int
    approves: bool

    def aim(self, world: World) -> Act | None:
        """One that is pending, or was."""
        found = list(AdjustmentProposal.objects.filter(account__in=world.accounts).order_by("id"))
        if not found:
            return None
        proposal, staff = found[self.proposal % len(found)], world.backdrop.staff[1]
        decide = approve_adjustment if self.approves else reject_adjustment

        def call() -> Any:
            try:
                return decide(proposal.pk, staff_id=staff.pk).pk
            except VersionConflict as decided:
                return decided.code

        return Act(call)


@dataclass(frozen=True, slots=True)
class Match:
    """The matcher books orders of an account that were reached, now or long ago, and may find them once more."""

    number: int
    at_once: int
    again: bool

    def aim(self, world: World) -> Act | None:
        """By the prices of now."""
        streets = [street for street in world.streets.values() if street.reached]
        if not streets:
            return None
        street = streets[self.number % len(streets)]
        first = street.reached[self.number % len(street.reached)]
        together = [found for found in street.reached if booking_of(found) == booking_of(first)][: self.at_once]
        if not self.again:
            street.reached = [found for found in street.reached if found not in together]
        return Act(lambda: book_finds(together, *live.view_of(street.symbol)))


@dataclass(frozen=True, slots=True)
class Due:
    """The timekeeper's turn."""

    aims_at: None = None

    def aim(self, world: World) -> Act | None:
        """What is due now, be it done by then or not."""
        ours = {account.pk for account in world.accounts}
        work = [due for due in due_work() if due.account_id in ours]
        return Act(lambda: [due.run(due.account_id) for due in work]) if work else None


@dataclass(frozen=True, slots=True)
class Liquidate:
    """The margin watcher finds an account."""

    account: int

    def aim(self, world: World) -> Act | None:
        """Due or not."""
        account = world.account(self.account)
        return Act(lambda: dict(liquidate(account.pk)))


@dataclass(frozen=True, slots=True)
class Fund:
    """The hourly funding."""

    aims_at: None = None

    def aim(self, world: World) -> Act | None:
        """All hours that ended."""
        now = world.now + HOUR / 2
        return Act(lambda: settle_funding(now=now))


@dataclass(frozen=True, slots=True)
class Read:
    """A reader of all accounts' events takes its next batch."""

    batch: Callable[[], int] = field(default=add_next_totals)

    def aim(self, world: World) -> Act | None:
        """Whatever is new."""
        return Act(self.batch)


amounts = st.sampled_from(["0.01", "12.345678", "300", "2000", "60000"])
moving: st.SearchStrategy[Plan] = st.one_of(
    st.builds(Send, few, few, amounts),
    st.builds(Faucet, few, amounts),
    st.builds(Propose, few, st.sampled_from(["-0.000001", "25", "-700", None])),
    st.builds(Decide, few, st.sampled_from([True, True, False])),
)
accounting: st.SearchStrategy[Plan] = st.one_of(
    st.builds(Reset, few), st.builds(OpenAccount, few), st.builds(CloseAccount, few)
)
working: st.SearchStrategy[Plan] = st.one_of(
    st.builds(Match, few, st.integers(1, 3), st.booleans()),
    st.builds(Match, few, st.integers(1, 3), st.booleans()),
    st.builds(Due),
    st.builds(Liquidate, few),
    st.builds(Fund),
    st.builds(Read),
)
