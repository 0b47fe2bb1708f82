"""Subscriptions of a WebSocket API connection to accounts' events (binance-api.md §10)."""

from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.refusals import Code, Refused

ACTIVE_MAX = 1_000


class Subscriptions:
    """Numbered from 0 on; an account is subscribed to once at most."""

    def __init__(self) -> None:
        self._next = 0
        self._accounts: dict[int, Account] = {}

    def add(self, account: Account) -> int:
        """A new subscription. Raises Refused -2035 for an account that has one."""
        if account in self._accounts.values() or len(self._accounts) >= ACTIVE_MAX:
            raise Refused(Code.SUBSCRIPTION_ACTIVE, "User Data Stream subscription already active.")
        number, self._next = self._next, self._next + 1
        self._accounts[number] = account
        return number

    def remove(self, number: int | None) -> dict[int, Account]:
        """End one, or all; returns those that ended. Raises Refused -2036 for one that isn't active."""
        if number is None:
            ended, self._accounts = self._accounts, {}
            return ended
        if number not in self._accounts:
            raise Refused(Code.SUBSCRIPTION_INACTIVE, "User Data Stream subscription not active.")
        return {number: self._accounts.pop(number)}

    def numbers(self) -> list[int]:
        """Those that are active."""
        return list(self._accounts)

    def number_of(self, account_id: str) -> int | None:
        """The subscription that tells of an account."""
        return next((number for number, one in self._accounts.items() if str(one.id) == account_id), None)
