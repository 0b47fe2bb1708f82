"""What a booking makes of an order's place in the queue at its price, decided without a database."""

from typing import Any

import pytest

from trading.domain import booking
from trading.domain.lifecycle import Side
from trading.domain.queues import Traded
from trading.domain.state import AccountState, OrderState
from trading.tests.domain.test_booking import admit
from trading.tests.factories import MARKET_ID, AccountStateFactory, D, batch_of, board, book, request, view

BIDS = (("99", "1"), ("98", "2"))
ASKS = (("101", "1"), ("102", "2"))


def rests(account: AccountState, quantity: str = "3", price: str = "99", **changes: Any) -> OrderState:
    """An order of the account that waits, loaded beside its next ones."""
    _, order = admit(account, request(quantity, price=price, **changes), view=view(bids=BIDS, asks=ASKS, sequence=5))
    account.orders.append(order)
    return order


def trades(account: AccountState, order: OrderState, quantity: str, *, since: int = 5, until: int = 9) -> Any:
    """Takers traded this much at its price; the row of its fill, None where nothing was booked."""
    batch = batch_of(account)
    done = booking.fill_resting(
        batch, order, board=board("100"), book=book(bids=BIDS, asks=ASKS, sequence=until), traded_through=False,
        traded=Traded(quantity=D(quantity), since=since, until=until),
    )  # fmt: skip
    return batch.inserts["fill"][0] if done else None


@pytest.mark.parametrize(
    ("side", "price", "ahead"),
    [("buy", "99", "1"), ("buy", "98", "2"), ("buy", "100", "0"), ("buy", "97", None), ("sell", "102", "2")],
)
def test_an_order_queues_behind_what_the_book_shows(side: str, price: str, ahead: str | None) -> None:
    order = rests(AccountStateFactory.build(), price=price, side=Side(side))

    assert order.queue_ahead == (None if ahead is None else D(ahead))
    assert order.queue_sequence == 5


def test_an_order_queues_behind_the_accounts_own_at_that_price() -> None:
    account = AccountStateFactory.build()
    first = rests(account, "3")
    rests(account, "1", price="98")
    rests(account, "1", price="102", side=Side.SELL)

    assert trades(account, first, "2") is not None
    assert rests(account, "5").queue_ahead == 1 + 2  # what is shown, and what remains of its own


def test_the_rest_of_an_order_that_took_queues_at_its_price() -> None:
    order = rests(AccountStateFactory.build(), "3", price="101")

    assert (order.filled_quantity, order.queue_ahead) == (1, 0)


def test_trades_at_its_price_fill_an_order_beyond_its_queue_and_count_once() -> None:
    account = AccountStateFactory.build()
    order = rests(account)

    assert trades(account, order, "1") is None
    row = trades(account, order, "1.5")
    assert (row["price"], row["quantity"], row["is_taker"]) == (99, D("0.5"), False)
    assert (order.queue_ahead, order.queue_sequence, order.remaining) == (0, 9, D("2.5"))

    assert trades(account, order, "1.5") is None  # a second matcher tells of the same trades
    assert trades(account, order, "1.5", since=8, until=12) is None
    assert trades(account, order, "1", since=9, until=12)["quantity"] == 1
    assert (order.queue_sequence, order.remaining) == (12, D("1.5"))


def test_trades_at_the_price_take_nothing_out_of_the_book() -> None:
    account = AccountStateFactory.build()
    order = rests(account)
    trades(account, order, "3", until=6)

    position = account.positions[MARKET_ID]
    assert position.taken(Side.BUY, sequence=6) == 0
    touched = book(bids=(("90", "1"),), asks=(("99", "0.25"),), sequence=7)
    booking.fill_resting(batch_of(account), order, board=board("100"), book=touched, traded_through=False)
    assert position.taken(Side.BUY, sequence=7) == D("0.25")


def test_a_price_the_book_did_not_show_waits_for_a_trade_through_it() -> None:
    account = AccountStateFactory.build()
    order = rests(account, price="95")

    assert trades(account, order, "100") is None
    assert order.queue_ahead is None
