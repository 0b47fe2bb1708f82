"""Someone with two accounts of one wallet at an emulated Extended, who moves money between them."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F

from accounts.models import CredentialState
from accounts.tests.client import Answer
from astrade.emulators.extended.accounts import Account, Operation
from astrade.emulators.tests.harness import Harness
from astrade.tests.live.trader import forget_budget
from astrade.tests.live.withdrawer import Withdrawer
from astrade.tests.venue import Person
from trading.models import CashBalance, JournalEntry, TradingAccount, VenueTransfer
from trading.services.reconciling import sync_account
from trading.services.venue_reports import LOOKUPS_MIN
from trading.tasks import move_transfers
from trading.verification import verify_ledger

TRANSFERS = "/transfers"


class Transferrer(Withdrawer):
    """Has the exchange's first two accounts connected, which are of one wallet."""

    def __init__(self, venue: Harness) -> None:
        super().__init__(venue)
        assert self.connect_at(venue.second).status == 200

    @property
    def account(self) -> TradingAccount:
        """The first account here."""
        return self.at(self.there)

    @property
    def other(self) -> TradingAccount:
        """The second one."""
        return self.at(self.venue.second)

    def at(self, there: Account) -> TradingAccount:
        """The account here that is connected to that one."""
        return TradingAccount.objects.get(
            user=self.user, credential__vault=there.vault, credential__state__in=(CredentialState.ACTIVE, "refused")
        )

    def connect_at(self, there: Account, **changes: Any) -> Answer:
        """Connect an account with a fresh code."""
        return Person.connect(self, there, code=self.codes.pop(), **changes)

    def send(self, amount: str = "100", *, key: str | None = None, **changes: Any) -> Answer:
        """Ask for a transfer from the first account to the second."""
        body = {"from_account": str(self.account.uuid), "to_account": str(self.other.uuid), "amount": amount} | changes
        return self.api.call("POST", TRANSFERS, body, **({} if key is None else {"Idempotency_Key": key}))

    def asked_transfer(self, amount: str = "100") -> VenueTransfer:
        """A transfer that waits to be sent."""
        answer = self.send(amount)
        assert answer.status == 202, answer.content
        return VenueTransfer.objects.get(uuid=answer.data["id"])

    @property
    def moved(self) -> tuple[list[Decimal], list[Decimal]]:
        """Amounts of the transfers at the venue, as either account has them."""
        ends = (self.there, self.venue.second)
        return tuple([one.amount for one in self.transfers_of(end)] for end in ends)  # type: ignore[return-value]

    @staticmethod
    def transfers_of(there: Account) -> Sequence[Operation]:
        """An account's transfers at the venue."""
        return [one for one in there.operations if one.type == "TRANSFER"]

    def search(self, *, looks: int = LOOKUPS_MIN) -> None:
        """Looks at the history with time between them, as `quiet` for withdrawals."""
        forget_budget()
        long_ago = timedelta(seconds=55)
        for _ in range(looks):
            VenueTransfer.objects.filter(deadline_at__isnull=False, state="unknown").update(
                deadline_at=F("deadline_at") - long_ago, first_lookup_at=F("first_lookup_at") - long_ago
            )
            VenueTransfer.objects.filter(deadline_at__isnull=False, state="requested").update(
                deadline_at=F("deadline_at") - long_ago
            )
            move_transfers()

    def both_sync(self) -> None:
        """As the schedule does."""
        for account in (self.account, self.other):
            sync_account(account.pk)

    def transfer_entries(self) -> list[tuple[int, Decimal]]:
        """Account and amount of the entries of transfers."""
        lines = JournalEntry.objects.filter(kind="transfer", postings__ledger_account="cash")
        return sorted(lines.values_list("account_id", "postings__amount"))

    def agree(self) -> bool:
        """Whether the books of both accounts say what the venue does, and the ledger holds."""
        pairs = ((self.account, self.there), (self.other, self.venue.second))
        cash = [CashBalance.objects.get(account=here).balance == there.balance for here, there in pairs]
        return all(cash) and not [rows for _, rows in verify_ledger() if rows]


def only_transfer() -> VenueTransfer:
    """The only one."""
    return VenueTransfer.objects.get()
