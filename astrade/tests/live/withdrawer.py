"""Someone who takes money out of an account at an emulated Extended, and what happens to it there meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import F

from accounts.models import User
from accounts.tests.client import Answer
from accounts.tests.factories import UserFactory
from accounts.tests.test_two_factor import protected
from astrade.core.errors import AstradeError
from astrade.emulators.extended.accounts import Operation
from astrade.emulators.tests.harness import Harness
from astrade.tests.live.trader import Trader, forget_budget
from trading.models import CashBalance, Hold, Withdrawal, WithdrawalAddress
from trading.services.venue_reports import LOOKUPS_MIN
from trading.tasks import move_withdrawals
from trading.verification import verify_ledger

ADDRESSES, WITHDRAWALS = "/withdrawal-addresses", "/withdrawals"


class Withdrawer(Trader):
    """Has a second factor, and the linked wallet among their addresses, past its cool-down."""

    def __init__(self, venue: Harness) -> None:
        super().__init__(venue)
        self.prices()
        self.connect()
        _, _, self.codes = protected(self.user)
        self.address = self.listed(hex(self.there.wallet))

    def listed(self, address: str) -> str:
        """The id of an address that was added long enough ago."""
        added = self.add(address)
        WithdrawalAddress.objects.filter(uuid=added.data["id"]).update(usable_at=F("added_at"))
        return str(added.data["id"])

    def add(self, address: str, **headers: str) -> Answer:
        """Add an address, by a fresh code unless told otherwise."""
        body = {"network": "testnet", "address": address, "label": "wallet"}
        return self.api.call("POST", ADDRESSES, body, **({"X_2FA_Code": self.codes.pop()} | headers))

    def ask(self, amount: str = "100", *, code: str | None = None, key: str | None = None, **changes: Any) -> Answer:
        """Ask for a withdrawal to the wallet, by a fresh code unless told otherwise."""
        headers = {"X_2FA_Code": self.codes.pop() if code is None else code, "X_Account_Id": str(self.account.uuid)}
        if key is not None:
            headers["Idempotency_Key"] = key
        return self.api.call("POST", WITHDRAWALS, {"address_id": self.address, "amount": amount} | changes, **headers)

    def asked(self, amount: str = "100") -> Withdrawal:
        """A withdrawal that waits to be sent."""
        return Withdrawal.objects.get(uuid=self.ask(amount).data["id"])

    def sent(self, amount: str = "100") -> Withdrawal:
        """A withdrawal that the venue has."""
        row = self.asked(amount)
        move_withdrawals()
        row.refresh_from_db()
        assert row.state == "sent"
        return row

    @property
    def there_now(self) -> list[Operation]:
        """Withdrawals at the venue."""
        return [one for one in self.there.operations if one.type == "SLOW_WITHDRAWAL"]

    def moved_there(self, kind: str, amount: str, *, status: str = "COMPLETED") -> Operation:
        """Money that came or left at the venue, without us."""
        exchange = self.venue.exchange
        operation = Operation(
            id=exchange.new_id(), type=kind, status=status, amount=Decimal(amount), at_ms=exchange.now_ms()
        )
        self.there.operations.append(operation)
        if status == "COMPLETED" or operation.amount < 0:
            self.there.balance += operation.amount
        return operation

    def quiet(self, *, looks: int = LOOKUPS_MIN) -> None:
        """Looks at the history with time between them; as many as the not-found rule asks for unless told otherwise."""
        forget_budget()
        long_ago = timedelta(seconds=55)  # so that five looks take no five minutes
        for _ in range(looks):
            Withdrawal.objects.filter(deadline_at__isnull=False).update(
                deadline_at=F("deadline_at") - long_ago, first_lookup_at=F("first_lookup_at") - long_ago
            )
            move_withdrawals()

    def state(self) -> str:
        """Of the only withdrawal."""
        return Withdrawal.objects.get().state

    @property
    def cash(self) -> Decimal:
        """By the books."""
        balance: Decimal = CashBalance.objects.get(account=self.account).balance
        return balance

    @property
    def held(self) -> list[str]:
        """States of the account's holds."""
        return list(Hold.objects.filter(account=self.account).order_by("pk").values_list("state", flat=True))

    def agrees(self) -> bool:
        """Whether books and venue say the same, and the ledger holds."""
        return self.cash == self.there.balance and not [rows for _, rows in verify_ledger() if rows]

    def later(self) -> None:
        """The venue finishes what it has."""
        self.venue.advance(1_000, steps=2)
        self.prices()


def approver() -> tuple[User, list[str]]:
    """Somebody of the staff, with recovery codes."""
    staff: User = UserFactory.create(is_staff=True, is_superuser=True)
    _, _, codes = protected(staff)
    return staff, codes


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call returned or raised, made together."""

    def one(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except AstradeError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))
