"""A REST call and its answer as values: what every endpoint takes and gives (extended-api.md §3)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.refusals import Code, Refused
from astrade.emulators.extended.requests import invalid

T = TypeVar("T")
PAGE_DEFAULT, PAGE_MAX = 100, 10_000
INTEGER_DIGITS_MAX = 19


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` in the envelope; `after` is done once the answer is on its way."""

    data: Any = None
    pagination: Mapping[str, Any] | None = None
    after: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `account` is the one its API key selects, on private endpoints always there."""

    exchange: Exchange
    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]  # any parameter may be repeated
    body: Any = None
    caller: Account | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""  # scheme and host that the client called

    @property
    def account(self) -> Account:
        if self.caller is None:
            raise Refused(Code.ACCOUNT_NOT_SELECTED)
        return self.caller

    def names(self, name: str) -> frozenset[str]:
        """A repeatable parameter; empty where it is not given."""
        return frozenset(self.query.get(name, ()))

    def text(self, name: str) -> str | None:
        """A parameter that is given once."""
        return next(iter(self.query.get(name, ())), None)

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number not below 0. Raises Refused 1133 for anything else."""
        text = self.text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal()) or len(text) > INTEGER_DIGITS_MAX:
            raise invalid(f"{name} is not a whole number")
        return int(text)

    def needed_number(self, name: str) -> int:
        """The same where it is mandatory."""
        value = self.number(name)
        if value is None:
            raise invalid(f"{name} is missing")
        return value

    def limit(self, *, default: int = PAGE_DEFAULT, most: int = PAGE_MAX) -> int:
        """How many rows at most."""
        return min(self.number("limit", default) or default, most)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint below the REST base URL, or at the host itself; a private one needs an API key."""

    method: str
    path: str
    handler: Handler
    is_private: bool = True
    at_host: bool = False


def page(
    rows: Iterable[T], call: Call, *, key: Callable[[T], int], body: Callable[[T], Any], default: int = PAGE_DEFAULT
) -> Answer:
    """Newest first, after `cursor`, at most `limit`."""
    cursor = call.number("cursor")
    found = sorted((row for row in rows if cursor is None or key(row) < cursor), key=key, reverse=True)
    shown: Sequence[T] = found[: call.limit(default=default)]
    return Answer(
        [body(row) for row in shown],
        pagination={"cursor": key(shown[-1]) if shown else None, "count": len(shown)},
    )
