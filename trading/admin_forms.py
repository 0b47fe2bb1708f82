"""What staff fill in."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BooleanField, CharField, DecimalField, ModelForm, UUIDField
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from trading.domain.margin import Board
from trading.models import AdjustmentProposal, JournalEntry, TradingAccount
from trading.services.adjustments import propose_adjustment, propose_reversal


class ProposalForm(ModelForm):  # type: ignore[type-arg]
    """Either an entry to reverse, or an account and an amount."""

    field_order = ("account_id", "amount", "entry_id", "reason", "may_overdraw")
    account_id = UUIDField(required=False, label="Account id", widget=UnfoldAdminTextInputWidget)
    amount = DecimalField(
        required=False, max_digits=38, decimal_places=18, widget=UnfoldAdminTextInputWidget,
        help_text="In the account's currency; negative to take money away",
    )  # fmt: skip
    entry_id = UUIDField(
        required=False, label="Id of the journal entry to reverse", widget=UnfoldAdminTextInputWidget,
        help_text="Instead of an account and an amount",
    )  # fmt: skip
    reason = CharField(max_length=500, widget=UnfoldAdminTextareaWidget)
    may_overdraw = BooleanField(required=False, label="Cash may become negative by it", widget=UnfoldBooleanWidget)

    class Meta:
        model = AdjustmentProposal
        fields: Sequence[str] = ("amount", "reason", "may_overdraw")

    def clean(self) -> dict[str, Any]:
        """One of the two is said, and exists."""
        given = self.cleaned_data
        account, entry = given.get("account_id"), given.get("entry_id")
        if bool(entry) == bool(account and given.get("amount")) or bool(entry and account):
            raise ValidationError("Give either an entry to reverse, or an account and an amount.")
        if account is not None:
            given["account"] = TradingAccount.objects.filter(uuid=account).values_list("pk", flat=True).first()
        elif entry is not None:
            given["entry"] = JournalEntry.objects.filter(uuid=entry).values_list("pk", flat=True).first()
        if not given.get("account") and not given.get("entry"):
            self.add_error("account_id" if account else "entry_id", "There is none with this id.")
        return given

    def propose(self, *, staff_id: int, ip: str | None, board: Board) -> AdjustmentProposal:
        """Make the proposal; raises what the service refuses."""
        given = self.cleaned_data
        said = {name: given[name] for name in ("reason", "may_overdraw")} | {"staff_id": staff_id, "ip": ip}
        said["board"] = board
        if given.get("entry"):
            return propose_reversal(entry_id=given["entry"], **said)
        return propose_adjustment(account_id=given["account"], amount=given["amount"], **said)
