"""Orders on an account at Extended, through our API, to an emulated exchange and back."""

from decimal import Decimal

from astrade.tests.live.trader import Trader
from trading.models import Case, Fill, Order, Posting, VenueOrder


def test_connecting_begins_the_books_with_what_the_venue_holds(trader: Trader) -> None:
    account = trader.account

    assert account.opened_at is not None
    (cash,) = Posting.objects.filter(entry__account=account, ledger_account="cash")
    assert cash.amount == trader.there.balance


def test_a_limit_order_rests_at_the_venue_under_its_own_id(trader: Trader) -> None:
    answer = trader.place(client_order_id="mine")

    assert (answer.status, answer.data["status"]) == (201, "open")
    order = Order.objects.get(client_order_id="mine")
    there = trader.order_there(order)
    assert there is not None
    assert answer.data["venue_order_id"] == str(there.id) == str(order.venue_order_id)
    assert trader.differences() == []


def test_a_market_order_is_filled_by_the_venues_trade_once(trader: Trader) -> None:
    answer = trader.take()
    assert answer.status == 201

    trader.sync()
    trader.sync()

    order = Order.objects.get(uuid=answer.data["id"])
    assert (order.status, order.filled_quantity) == ("filled", Decimal("0.01"))
    assert Fill.objects.filter(order=order).count() == len(trader.there.trades)
    assert trader.differences() == []
    assert list(Case.objects.values_list("kind", flat=True)) == []


def test_a_repeated_client_order_id_sends_nothing_again(trader: Trader) -> None:
    first = trader.place(client_order_id="once")
    again = trader.place(client_order_id="once")

    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.data["id"] == first.data["id"]
    assert len(trader.there.orders) == 1


def test_what_the_venue_refuses_is_rejected_with_its_words(trader: Trader) -> None:
    trader.venue.exchange.switch_faults("maintenance")

    answer = trader.place()

    assert answer.status == 503
    assert answer.content["error"]["details"]["order"]["status"] == "rejected"
    assert trader.there.orders == {}


def test_an_order_whose_answer_was_lost_is_unknown_until_the_venue_tells(trader: Trader) -> None:
    trader.venue.exchange.switch_faults("reset_after_accept")
    answer = trader.place()
    trader.venue.exchange.switch_faults("")

    assert answer.error == (202, 5005)
    order = Order.objects.get()
    assert order.status == "unknown"
    trader.sync()
    order.refresh_from_db()
    assert order.status == "open"
    assert trader.differences() == []


def test_a_cancel_ends_the_order_when_the_venue_says_so(trader: Trader) -> None:
    placed = trader.place()

    answer = trader.call("DELETE", f"/orders/{placed.data['id']}")
    trader.sync()

    assert answer.status == 202
    assert Order.objects.get().status == "cancelled"
    assert VenueOrder.objects.get().cancel_requested_at is not None
    assert trader.differences() == []
