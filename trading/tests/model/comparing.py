"""Plays scripts on both sides and says where they differ; a script that shows a difference is shrunk before it is
told.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trading.tests.model.scripts import Script, Step, venue_of
from trading.tests.model.services import Services
from trading.tests.model.views import differences, model_view, real_views

OPTIONAL = {"take_profit", "stop_loss", "leverage", "reduce_only", "post_only", "client_order_id", "trigger_by"}


Then = Callable[["Played"], None]


class Played:
    """A script played on both sides, with what each step was answered."""

    def __init__(self, script: Script) -> None:
        self.services = Services(script)
        self.venue = venue_of(script, self.services.noises)
        self.answers: list[tuple[int | None, int | None]] = []
        try:
            for step in script["steps"]:
                self.answers.append((self.venue.play(step), self.services.play(step)))
        except Exception as exc:
            exc.add_note(told(script, [f"step {len(self.answers) + 1} was not answered at all"]))
            raise

    @property
    def disagreement(self) -> str | None:
        """The first step that was answered differently."""
        for position, (expected, got) in enumerate(self.answers, start=1):
            if expected != got:
                return f"step {position}: the model answers {expected}, the services {got}"
        return None

    def counts(self) -> Counter[str]:
        """How much of what was played."""
        accounts = self.venue.accounts
        return Counter(
            scripts=1,
            steps=len(self.answers),
            refusals=sum(1 for code, _ in self.answers if code is not None),
            orders=sum(len(account.orders) for account in accounts),
            fills=sum(len(account.fills) for account in accounts),
            entries=sum(len(account.journal) for account in accounts),
            events=sum(len(account.events) for account in accounts),
        )

    def differences(self, views: dict[int, dict[str, Any]]) -> list[str]:
        """All of them, in words."""
        found = [self.disagreement] if self.disagreement else []
        for index, (account, row_id) in enumerate(zip(self.venue.accounts, self.services.ids, strict=True)):
            told = differences(model_view(account), views[row_id])
            found += [f"account {index}, {line}" for line in told]
        return found


def compare(scripts: Sequence[Script], *, then: Then | None = None) -> Iterator[tuple[Script, Played, list[str]]]:
    """Each script as it was played, with its differences; what was booked is read once for all of them.

    `then` may change what was played before it is compared.
    """
    played = [(script, Played(script)) for script in scripts]
    if then is not None:
        for _, one in played:
            then(one)
    views = real_views([row_id for _, one in played for row_id in one.services.ids])
    for script, one in played:
        yield script, one, one.differences(views)


def differences_of(script: Script, *, then: Then | None = None) -> list[str]:
    """Of one script."""
    return [line for _, _, lines in compare([script], then=then) for line in lines]


def shrunk(script: Script, *, then: Then | None = None) -> Script:
    """The script without the steps, and without the details of orders, that its difference does not need."""
    goes_on = True
    while goes_on:
        goes_on = False
        for candidate in _smaller(script):
            if differences_of(candidate, then=then):
                script, goes_on = candidate, True
                break
    return script


def _smaller(script: Script) -> Iterator[Script]:
    """Each with one step less, the last first, or one detail less; a market's first book stays."""
    steps: list[Step] = script["steps"]
    firsts = [next(n for n, step in enumerate(steps) if step.get("symbol") == name) for name in script["symbols"]]
    for n in reversed(range(len(steps))):
        if n not in firsts:
            yield script | {"steps": steps[:n] + steps[n + 1 :]}
    for n, step in enumerate(steps):
        for name in OPTIONAL & step.get("order", {}).keys():
            order = {key: value for key, value in step["order"].items() if key != name}
            yield script | {"steps": [*steps[:n], step | {"order": order}, *steps[n + 1 :]]}


def told(script: Script, lines: Sequence[str]) -> str:
    """A script and its differences, to be read by people."""
    accounts = [f"account {number}: {fields}" for number, fields in enumerate(script["accounts"])]
    steps = [f"{number:3}. {_line(step)}" for number, step in enumerate(script["steps"], start=1)]
    return "\n".join(["", *lines, "", *accounts, *steps])


def _line(step: Step) -> str:
    about = {**step, **step.get("order", {})}
    about.pop("order", None)
    return f"{about.pop('do')}: " + ", ".join(f"{name} {value}" for name, value in about.items())
