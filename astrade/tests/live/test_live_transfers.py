"""Money between two accounts of one wallet at Extended: what it takes to ask for it, once, and whose it is."""

from collections import Counter
from decimal import Decimal
from typing import Any

from accounts.tests.factories import ApiKeyFactory
from astrade.core.clock import system_clock
from astrade.core.models import AuditEvent
from astrade.tests.live.transferrer import TRANSFERS, Transferrer, only_transfer
from astrade.tests.live.withdrawer import at_once
from astrade.tests.venue import EXTENDED, Person
from trading.models import Case, Event, Hold, Posting, TradingAccount, Transfer, VenueTransfer
from trading.services.payment_sending import send_payment
from trading.services.reconciling import mark_refused
from trading.tasks import move_transfers


def test_a_transfer_is_held_sent_once_and_booked_on_both_sides(owner: Transferrer) -> None:
    here, there = owner.account.pk, owner.other.pk
    answer = owner.send("100.5", key="mine")

    assert (answer.status, answer.data["status"], answer.data["amount"]) == (202, "requested", "100.5")
    balance = owner.call("GET", "/account/balance").data
    assert (balance["balance"], balance["held"], owner.moved) == ("100000", "100.5", ([], []))
    move_transfers()
    move_transfers()
    owner.both_sync()
    owner.both_sync()

    assert owner.moved == ([Decimal("-100.5")], [Decimal("100.5")])
    assert owner.transfer_entries() == [(here, Decimal("-100.5")), (there, Decimal("100.5"))]
    clearing = Posting.objects.filter(ledger_account="clearing")
    assert sum(line.amount for line in clearing) == 0
    assert {line.entry.reference for line in clearing} == {f"transfer:{answer.data['id']}"}
    assert owner.agree()
    assert not Case.objects.exists()
    (shown,) = owner.api.get(TRANSFERS).data
    assert (shown["id"], shown["status"]) == (answer.data["id"], "settled")
    assert shown["venue_transfer_id"] == str(owner.transfers_of(owner.there)[0].id)
    assert owner.api.get(f"{TRANSFERS}?account={owner.other.uuid}").data == [shown]
    told = Event.objects.filter(kind="transfer_update").order_by("sequence")
    assert [(one.account_id, one.data["status"]) for one in told] == [
        (here, "requested"), (here, "sent"), (here, "settled"),
    ]  # fmt: skip
    assert told[2].data == shown
    trail = AuditEvent.objects.filter(action__startswith="transfer.").order_by("id")
    assert [event.action for event in trail] == ["transfer.requested", "transfer.sent", "transfer.settled"]
    assert list(Hold.objects.values_list("state", "purpose")) == [("settled", "transfer")]


def test_what_is_refused_holds_nothing(owner: Transferrer, settings: Any) -> None:
    practice = TradingAccount.objects.create(user=owner.user, name="Practice", created_at=system_clock())
    stranger = TradingAccount.objects.create(
        user=Person().user, name="other's", venue="extended", network="testnet", created_at=system_clock()
    )
    live, own = str(owner.account.uuid), str(owner.other.uuid)
    for changes, refusal in (
        ({"amount": "0.001"}, (400, 4000)),
        ({"amount": "100000.000001"}, (400, 4001)),
        ({"amount": "1.0000001"}, (400, 1001)),
        ({"asset": "BTC"}, (400, 1001)),
        ({"to_account": live}, (400, 1001)),
        ({"to_account": str(practice.uuid)}, (400, 4002)),
        ({"to_account": str(stranger.uuid)}, (400, 4002)),
        ({"from_account": str(practice.uuid)}, (400, 4002)),
        ({"from_account": str(stranger.uuid), "to_account": own}, (404, 1002)),
    ):
        assert owner.send(**changes).error == refusal, changes
    TradingAccount.objects.filter(pk=owner.other.pk).update(network="mainnet")
    assert owner.send().error == (400, 4002)
    TradingAccount.objects.filter(pk=owner.other.pk).update(network="testnet", state="frozen")
    assert owner.send().error == (403, 3016)
    TradingAccount.objects.filter(pk=owner.other.pk).update(state="active", opened_at=None)
    assert owner.send().error == (400, 4002)
    TradingAccount.objects.filter(pk=owner.other.pk).update(opened_at=system_clock())
    settings.TERMS_VERSIONS = {"terms": "next"}
    assert owner.send().error == (403, 3019)
    assert (Transfer.objects.count(), VenueTransfer.objects.count(), Hold.objects.count()) == (0, 0, 0)


def test_both_ends_are_connected_and_the_server_signs(owner: Transferrer) -> None:
    mark_refused(owner.other.pk)
    assert owner.send().error == (400, 4002)
    owner.connect_at(owner.venue.second)
    mark_refused(owner.account.pk)
    assert owner.send().error == (401, 5001)
    key = hex(owner.there.public_key)
    owner.connect_at(owner.there, signing="user_signed", stark_private_key=None, stark_public_key=key)
    assert owner.send().error == (400, 3014)
    back = {"from_account": str(owner.other.uuid), "to_account": str(owner.account.uuid)}
    assert owner.send(**back).status == 202  # the receiver signs nothing


def test_a_program_needs_the_scope(owner: Transferrer) -> None:
    ApiKeyFactory.create(user=owner.user, secret="ak_0123456789_" + "t" * 40, scopes=["read", "trade"])
    owner.api.headers = {"X-Api-Key": "ak_0123456789_" + "t" * 40}
    assert owner.send().error == (403, 1106)


def test_the_venues_refusal_gives_the_money_back_with_its_words(owner: Transferrer) -> None:
    wallet = owner.venue.stranger  # of another wallet
    assert owner.connect_at(wallet).status == 200
    answer = owner.send(to_account=str(owner.at(wallet).uuid))
    move_transfers()

    row = only_transfer()
    assert (row.state, row.reason, owner.held) == ("failed", "venue:1004", ["released"])
    (shown,) = owner.api.get(TRANSFERS).data
    assert (shown["id"], shown["status"], bool(shown["message"])) == (answer.data["id"], "failed", True)
    assert owner.moved == ([], [])
    assert owner.agree()


def test_twenty_times_the_same_key_is_one_transfer(owner: Transferrer) -> None:
    answers = at_once(*[lambda: owner.send(key="once")] * 20)
    move_transfers()

    assert Counter(answer.status for answer in answers) == {202: 20}
    assert len({answer.data["id"] for answer in answers}) == 1
    assert (VenueTransfer.objects.count(), len(owner.moved[0]), len(owner.held)) == (1, 1, 1)
    assert owner.send("7", key="once").error == (409, 1005)


def test_together_they_exceed_nothing(owner: Transferrer) -> None:
    answers = at_once(*[lambda: owner.send("30000")] * 6)
    assert Counter(answer.status for answer in answers) == {202: 3, 400: 3}


def test_crossing_transfers_end(owner: Transferrer) -> None:
    back = {"from_account": str(owner.other.uuid), "to_account": str(owner.account.uuid)}
    first, second = owner.send("10"), owner.send("4", **back)
    assert (first.status, second.status) == (202, 202)

    rows = list(VenueTransfer.objects.values_list("pk", flat=True))
    at_once(*[lambda pk=pk: send_payment(VenueTransfer, pk) for pk in rows])
    move_transfers()
    owner.both_sync()

    assert owner.there.balance == 100_000 - 6
    assert owner.agree()
    assert not Case.objects.exists()


def test_nobody_else_sees_it(owner: Transferrer) -> None:
    owner.asked_transfer()
    stranger = Person().api
    assert stranger.get(TRANSFERS).data == []
    assert stranger.get(f"{TRANSFERS}?account={owner.account.uuid}").error == (404, 1002)
    body = {"from_account": str(owner.account.uuid), "to_account": str(owner.other.uuid), "amount": "1"}
    assert stranger.post(TRANSFERS, body).error == (404, 1002)


def test_a_connection_with_money_on_its_way_is_kept(owner: Transferrer) -> None:
    owner.asked_transfer()
    for there in (owner.there, owner.venue.second):
        path = f"{EXTENDED}?vault={there.vault}"
        assert owner.api.call("DELETE", path, X_2FA_Code=owner.codes.pop()).error == (409, 4005)
        assert owner.api.delete(f"/accounts/{owner.at(there).uuid}").error == (409, 4005)

    move_transfers()

    path = f"{EXTENDED}?vault={owner.venue.second.vault}"
    assert owner.api.call("DELETE", path, X_2FA_Code=owner.codes.pop()).status == 200
