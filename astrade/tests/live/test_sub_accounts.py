"""Several accounts of one wallet at Extended: each with its own orders, withdrawals, stream and books."""

from decimal import Decimal
from typing import Any

from accounts.models import VenueCredential
from astrade.emulators.tests.harness import BTC
from astrade.tests.live.test_account_streams import following, open_streams
from astrade.tests.live.trader import LIMIT
from astrade.tests.live.transferrer import Transferrer
from astrade.tests.processes.system import eventually
from astrade.tests.venue import EXTENDED, Person
from trading.models import Fill, Order, TradingAccount, VenueOrder, Withdrawal
from trading.selectors import connected_accounts, signing_of
from trading.services.accounts import open_practice_account
from trading.services.reconciling import sync_account
from trading.tasks import move_withdrawals


def place(owner: Transferrer, account: TradingAccount, **changes: Any) -> Any:
    body = LIMIT | {"price": owner.price("0.98")} | changes
    return owner.api.call("POST", "/orders", body, X_Account_Id=str(account.uuid))


def test_each_trades_with_its_own_key_at_its_own_vault(owner: Transferrer) -> None:
    here, other, there = owner.account, owner.other, owner.venue.second
    assert place(owner, here).data["status"] == place(owner, other, quantity="0.03").data["status"] == "open"

    placed = {account.id: [order.quantity for order in account.open_orders()] for account in (owner.there, there)}
    assert [str(*quantities) for quantities in placed.values()] == ["0.01", "0.03"]
    keys = dict(VenueOrder.objects.values_list("account_id", "stark_public_key"))
    assert keys == {here.pk: hex(owner.there.public_key), other.pk: hex(there.public_key)}
    assert [signing_of(account.pk)[0] for account in (here, other)] == [keys[here.pk], keys[other.pk]]
    assert owner.api.call("DELETE", "/orders", X_Account_Id=str(other.uuid)).status == 202
    sync_account(other.pk)
    assert dict(Order.objects.values_list("account_id", "status")) == {here.pk: "open", other.pk: "cancelled"}
    assert len(owner.there.open_orders()) == 1


def test_their_names_and_books_are_apart(owner: Transferrer) -> None:
    owner.venue.second.balance += 5
    live = TradingAccount.objects.filter(user=owner.user, venue="extended").order_by("pk")
    names = list(live.values_list("name", flat=True))
    assert names == ["Extended testnet", f"Extended testnet {owner.venue.second.vault}"]
    assert list(connected_accounts().order_by("pk")) == [owner.account, owner.other]

    owner.venue.wait(owner.venue.take(account=owner.venue.second, qty="0.02"))
    owner.both_sync()

    held = [
        owner.api.get(f"/account/positions?account={account.uuid}").data for account in (owner.account, owner.other)
    ]
    assert [[position["quantity"] for position in positions] for positions in held] == [[], ["0.02"]]


def test_each_has_its_own_stream(owner: Transferrer) -> None:
    with following():
        eventually("both streams are open", lambda: open_streams() == 2)
        owner.venue.wait(owner.venue.take(account=owner.venue.second, qty="0.02"))
        owner.venue.wait(owner.venue.take(qty="0.01"))
        eventually("both trades are booked", lambda: Fill.objects.count() == 2)

    assert dict(Fill.objects.values_list("account_id", "quantity")) == {
        owner.account.pk: Decimal("0.01"),
        owner.other.pk: Decimal("0.02"),
    }


def test_calls_that_name_no_account_act_on_the_primary_one(owner: Transferrer) -> None:
    practice = open_practice_account(user_id=owner.user.pk)
    assert owner.api.get("/account/balance").data["balance"] == "10000"
    other = owner.other
    assert owner.api.call("PATCH", f"/accounts/{other.uuid}", {"primary": True}).status == 200

    placed = owner.api.post("/orders", LIMIT | {"price": owner.price("0.98")})

    assert (placed.data["account_id"], placed.data["venue"]) == (str(other.uuid), "extended")
    assert [order.market for order in owner.venue.second.open_orders()] == [BTC]
    assert not Order.objects.filter(account=practice).exists()


def test_a_withdrawal_leaves_the_account_that_it_is_asked_of(owner: Transferrer) -> None:
    assert owner.ask("100", account=str(owner.other.uuid)).status == 202
    move_withdrawals()
    owner.later()
    owner.both_sync()

    row = Withdrawal.objects.get()
    assert (row.state, row.account, row.stark_public_key) == (
        "settled", owner.other, hex(owner.venue.second.public_key),
    )  # fmt: skip
    assert (owner.there.balance, owner.venue.second.balance) == (100_000, 99_900)
    assert owner.agree()


def test_one_goes_and_the_other_stays(owner: Transferrer) -> None:
    here, other = owner.account, owner.other
    place(owner, here)
    path = f"{EXTENDED}?vault={owner.venue.second.vault}"

    assert owner.api.call("DELETE", path, X_2FA_Code=owner.codes.pop()).status == 200

    here.refresh_from_db()
    other.refresh_from_db()
    assert (here.state, other.state) == ("active", "closed")
    assert list(connected_accounts()) == [here]
    sync_account(here.pk)
    assert place(owner, other).error == (403, 3016)
    assert owner.connect_at(owner.venue.second).status == 200
    assert owner.other.pk not in (here.pk, other.pk)  # its books begin anew


def test_keys_of_one_are_renewed_and_its_books_go_on(owner: Transferrer) -> None:
    before = owner.other.pk
    assert owner.connect_at(owner.venue.second).status == 200
    assert owner.other.pk == before
    assert VenueCredential.objects.exclude(state="removed").count() == 2


def test_an_account_of_the_wallet_that_another_user_has_is_theirs(owner: Transferrer) -> None:
    stranger = Person()
    assert stranger.connect(owner.venue.second).error == (401, 5001)
    assert stranger.api.get(EXTENDED).error == (404, 1002)
    assert stranger.api.delete(f"{EXTENDED}?vault={owner.venue.second.vault}").error == (404, 1002)
