"""Money that comes to an account at Extended and leaves it, with or without us: booked once, by the venue's history."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import F

from astrade.emulators.tests.harness import Harness
from astrade.tests.live.trader import Trader
from astrade.tests.live.withdrawer import Withdrawer
from trading.models import Case, Deposit, JournalEntry, Posting, TradingAccount, VenueMovement
from trading.services.movements import book_movements
from trading.venues.choice import venue_account
from trading.verification import verify_ledger


def entries(withdrawer: Withdrawer) -> list[tuple[str, Decimal]]:
    """Kind and amount of the account's entries after the opening."""
    lines = Posting.objects.filter(entry__account=withdrawer.account, entry__number__gt=1, ledger_account="cash")
    return list(lines.order_by("entry__number").values_list("entry__kind", "amount"))


def test_what_moved_at_the_venue_is_booked_once(withdrawer: Withdrawer) -> None:
    for kind, amount in (("DEPOSIT", "250.5"), ("WITHDRAWAL", "-20"), ("FAST_WITHDRAWAL", "-1"), ("TRANSFER", "-5")):
        withdrawer.moved_there(kind, amount)
    withdrawer.moved_there("TRANSFER", "7")

    withdrawer.sync()
    withdrawer.sync()

    booked = [("deposit", "250.5"), ("transfer", "-5"), ("transfer", "7"), ("withdrawal", "-20"), ("withdrawal", "-1")]
    assert sorted(entries(withdrawer)) == [(kind, Decimal(amount)) for kind, amount in booked]
    assert withdrawer.agrees()
    assert not Case.objects.exists()
    listed = withdrawer.api.get("/deposits").data
    assert [(one["source"], one["amount"]) for one in listed] == [("venue", "250.5")]


def test_a_line_that_was_booked_as_another_amount_is_found(withdrawer: Withdrawer) -> None:
    withdrawer.moved_there("DEPOSIT", "4")
    withdrawer.sync()
    assert withdrawer.agrees()

    VenueMovement.objects.filter(amount=4).update(amount=5)

    assert [name for name, rows in verify_ledger() if rows] == ["venue movements"]


def test_many_who_look_at_once_book_once(withdrawer: Withdrawer) -> None:
    for amount in ("1", "2", "3"):
        withdrawer.moved_there("DEPOSIT", amount)
    account_id = withdrawer.account.pk

    def look(_: int) -> int:
        try:
            return book_movements(account_id, venue_account(account_id))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(look, range(8))) == 3
    assert (Deposit.objects.count(), withdrawer.agrees()) == (3, True)


def test_what_was_there_before_the_opening_is_in_it(venue: Harness, listed: None) -> None:
    trader = Trader(venue)
    Withdrawer.moved_there(trader, "DEPOSIT", "50")  # type: ignore[arg-type]
    Withdrawer.moved_there(trader, "SLOW_WITHDRAWAL", "-30", status="IN_PROGRESS")  # type: ignore[arg-type]
    coming = Withdrawer.moved_there(trader, "DEPOSIT", "8", status="CREATED")  # type: ignore[arg-type]
    trader.connect()
    assert JournalEntry.objects.count() == 1

    Withdrawer.moved_there(trader, "DEPOSIT", "4")  # type: ignore[arg-type]
    for operation in trader.there.operations:
        operation.status = "COMPLETED"
    trader.there.balance += coming.amount
    trader.sync()

    booked = Posting.objects.filter(entry__number__gt=1, ledger_account="cash").values_list("amount", flat=True)
    assert sorted(booked) == [4, 8]
    assert trader.differences() == []
    assert not Case.objects.exists()


def test_what_is_on_its_way_is_followed_however_long_it_takes(withdrawer: Withdrawer) -> None:
    coming = withdrawer.moved_there("DEPOSIT", "8", status="CREATED")
    going = withdrawer.moved_there("SLOW_WITHDRAWAL", "-30", status="CREATED")
    withdrawer.sync()
    assert entries(withdrawer) == []
    long_ago = timedelta(days=20)
    for operation in (coming, going):
        operation.at_ms -= int(long_ago.total_seconds() * 1000)
    VenueMovement.objects.filter(status="pending").update(at=F("at") - long_ago)

    coming.status, going.status = "COMPLETED", "REJECTED"
    withdrawer.there.balance += 8 + 30
    withdrawer.sync()

    assert entries(withdrawer) == [("deposit", Decimal(8))]
    assert withdrawer.agrees()
    assert not Case.objects.exists()


def test_books_from_before_the_history_was_read_take_it_as_known(withdrawer: Withdrawer) -> None:
    VenueMovement.objects.all().delete()
    TradingAccount.objects.filter(pk=withdrawer.account.pk).update(movements_looked_at=None)

    withdrawer.sync()
    withdrawer.moved_there("DEPOSIT", "4")
    withdrawer.sync()

    assert entries(withdrawer) == [("deposit", Decimal(4))]
    assert withdrawer.agrees()


def test_a_line_of_an_unknown_kind_is_a_difference_and_no_entry(withdrawer: Withdrawer) -> None:
    withdrawer.moved_there("REBATE", "3")

    withdrawer.sync()

    assert entries(withdrawer) == []
    assert list(Case.objects.values_list("kind", flat=True)) == ["balance_differs"]


def test_a_withdrawal_of_ours_hides_no_other_difference(withdrawer: Withdrawer) -> None:
    withdrawer.sent("100")
    withdrawer.sync()
    assert not Case.objects.exists()

    withdrawer.there.balance -= 1
    withdrawer.sync()

    assert list(Case.objects.values_list("kind", flat=True)) == ["balance_differs"]


def test_the_testnets_money_comes_from_the_venue_as_often_as_it_gives(withdrawer: Withdrawer) -> None:
    told = withdrawer.call("GET", "/deposits/instructions").data
    assert (told["method"], told["venue"], told["network"], told["chains"]) == ("faucet", "extended", "testnet", [])

    assert withdrawer.call("POST", "/deposits/faucet", {"amount": "10"}).error == (400, 1001)
    claimed = withdrawer.call("POST", "/deposits/faucet", {})
    assert claimed.status == 202
    again = withdrawer.call("POST", "/deposits/faucet", {})
    assert again.error == (400, 5000)
    assert again.content["error"]["details"]["venue_message"] == "Action not allowed"
    withdrawer.later()
    withdrawer.sync()

    assert entries(withdrawer) == [("deposit", Decimal(1000))]
    assert [(one["source"], one["amount"]) for one in withdrawer.api.get("/deposits").data] == [("claim", "1000")]
    assert withdrawer.agrees()


def test_the_mainnet_has_no_faucet(withdrawer: Withdrawer) -> None:
    TradingAccount.objects.filter(pk=withdrawer.account.pk).update(network="mainnet")

    assert withdrawer.call("POST", "/deposits/faucet", {}).error == (400, 1001)


def test_there_is_no_other_live_account_to_transfer_to(withdrawer: Withdrawer) -> None:
    live = str(withdrawer.account.uuid)
    other = TradingAccount.objects.create(
        user=withdrawer.user,
        name="before",
        venue="extended",
        network="testnet",
        created_at=withdrawer.account.created_at,
    )
    body = {"from_account": live, "to_account": str(other.uuid), "amount": "1"}

    assert withdrawer.api.post("/transfers", body).error == (400, 4002)
