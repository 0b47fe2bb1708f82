"""One hour's funding of a position: sign, rounding, sums, ledger, events."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.batch import Batch
from trading.domain.funding import Held, Rate, payment, settle
from trading.domain.state import AccountState, CashState
from trading.tests.factories import AT, MARKET_ID, AccountStateFactory, D, PositionStateFactory, batch_of, board

HOUR = AT - timedelta(minutes=5)


def account_with(quantity: str, *, cash: str = "1000") -> AccountState:
    """A position entered at 100."""
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(cash)))
    account.positions[MARKET_ID] = PositionStateFactory.build(
        quantity=D(quantity), entry_notional=abs(D(quantity)) * 100, opened_at=HOUR, funding=D("0.5")
    )
    return account


def settled(account: AccountState, held: Held, *, rate: str = "0.0001", mark: str = "100") -> Batch:
    """An hour booked."""
    batch = batch_of(account)
    hourly = Rate(market_id=MARKET_ID, hour=HOUR, rate=D(rate), mark=D(mark))
    settle(batch, account.positions[MARKET_ID], held=held, rate=hourly, board=board("110"))
    return batch


@pytest.mark.parametrize(
    ("quantity", "rate", "got"),
    [
        ("2", "0.0001", "-0.02"),  # longs pay a positive rate
        ("-2", "0.0001", "0.02"),
        ("2", "-0.0001", "0.02"),
        ("-2", "-0.0001", "-0.02"),
        ("0.001", "0.00000123", "-0.000001"),  # who pays pays up
        ("-0.001", "0.00000123", "0"),  # who gets gets down
    ],
)
def test_sign_and_rounding(quantity: str, rate: str, got: str) -> None:
    assert payment(quantity=D(quantity), mark=D(100), rate=D(rate)) == D(got)


quantities = st.integers(1, 10**9).map(lambda n: D(n).scaleb(-5))


@given(quantities, st.integers(1, 10**7), st.integers(-(10**5), 10**5))
def test_both_sides_together_never_get_more_than_is_paid(quantity: Decimal, mark: int, rate: int) -> None:
    sides = [payment(quantity=sign * quantity, mark=D(mark), rate=D(rate).scaleb(-8)) for sign in (1, -1)]

    assert 0 <= -sum(sides) <= D("0.000001")


def test_an_hour_is_a_row_an_entry_a_sum_and_events() -> None:
    account = account_with("2")

    batch = settled(account, Held(quantity=D(2)))

    position = account.positions[MARKET_ID]
    assert (account.cash.balance, position.funding, position.version) == (D("999.98"), D("0.48"), 1)
    (row,) = batch.inserts["funding"]
    assert (row["quantity"], row["mark"], row["rate"], row["amount"]) == (2, 100, D("0.0001"), D("-0.02"))
    assert (row["hour"], row["position_id"]) == (HOUR, account.positions[MARKET_ID].id)
    (entry,) = batch.inserts["entry"]
    assert (entry["kind"], entry["reference"]) == ("funding", f"funding:{row['uuid']}")
    assert [line["ledger_account"] for line in batch.inserts["posting"]] == ["cash", "funding"]
    assert [frame["kind"] for frame in batch.frames] == ["funding", "position_update", "balance_update"]
    told, shown = batch.frames[0]["data"], batch.frames[1]["data"]
    assert (told["amount"], told["quantity"], told["symbol"], told["asset"]) == ("-0.02", "2", "BTC-USD", "USD")
    assert (shown["funding"], shown["id"]) == ("0.48", told["position_id"])


def test_what_was_held_then_counts_and_not_what_is_held_now() -> None:
    account = account_with("-7")

    settled(account, Held(quantity=D(2)), mark="200")

    assert account.positions[MARKET_ID].funding == D("0.5") - D("0.04")


@pytest.mark.parametrize("held_since", ["0", "3"])
def test_an_hour_of_a_position_that_closed_since_is_added_to_its_history(held_since: str) -> None:
    account = account_with(held_since)
    gone = UUID(int=77)

    batch = settled(account, Held(quantity=D(2), closed_id=5, closed_uuid=gone))

    assert batch.late_funding == [{"id": 5, "funding": D("-0.02")}]
    assert batch.positions == {}
    assert account.positions[MARKET_ID].funding == D("0.5")
    assert batch.inserts["funding"][0]["position_uuid"] == gone
    assert [frame["kind"] for frame in batch.frames] == ["funding", "balance_update"]


def test_an_hour_that_comes_to_nothing_leaves_its_row_and_no_entry() -> None:
    batch = settled(account_with("-0.001"), Held(quantity=D("-0.001")), rate="0.000001")

    assert len(batch.inserts["funding"]) == 1
    assert "entry" not in batch.inserts


def test_a_late_hour_never_leaves_a_flat_account_in_debt() -> None:
    account = account_with("0", cash="0.01")

    batch = settled(account, Held(quantity=D(2), closed_id=5, closed_uuid=UUID(int=77)))

    assert account.cash.balance == 0
    assert [entry["kind"] for entry in batch.inserts["entry"]] == ["funding", "liquidation"]
