"""Leases told a second time: who holds one, until when, and which token is the last (DESIGN §1)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from astrade.core.leases import VALID_S, LeaseLost, acquire, release, renew, require

VALID = timedelta(seconds=VALID_S)


@dataclass
class Tenure:
    """One lease, and the tokens that each of those who ask for it got last."""

    name: str
    holder: str = ""
    token: int = 0
    until: datetime | None = None
    tokens: dict[str, int] = field(default_factory=dict)

    def act(self, holder: str, action: str, *, now: datetime) -> None:
        """Somebody asks, and gets what is due to them."""
        is_held = self.until is not None and now < self.until
        known = self.tokens.get(holder, 0)
        is_theirs = self.holder == holder and self.token == known
        if action == "acquire":
            got = acquire(self.name, holder=holder)
            assert got == (None if is_held and self.holder != holder else self.token + 1)
            if got is not None:
                self.holder, self.token, self.until, self.tokens[holder] = holder, got, now + VALID, got
        elif action == "renew":
            assert renew(self.name, holder=holder, token=known) == (is_held and is_theirs)
            self.until = now + VALID if is_held and is_theirs else self.until
        elif action == "release":
            assert release(self.name, holder=holder, token=known) == is_theirs
            if is_theirs:
                self.holder, self.until = "", now
        else:
            assert passes(self.name, token=known) == (is_held and self.token == known)


def passes(name: str, *, token: int) -> bool:
    """Whether work under this token may be stored."""
    try:
        with transaction.atomic():
            require(name, token=token)
    except LeaseLost:
        return False
    return True
