"""An account at Extended: how it begins and ends, what is not done to it, what becomes of what nobody expected."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from astrade.emulators.tests.harness import BTC, Harness
from astrade.tests.live.conftest import list_markets
from astrade.tests.live.trader import Trader
from astrade.tests.venue import EXTENDED
from marketdata.catalogue import LISTINGS
from marketdata.selectors import market_by_symbol, markets_by_id
from trading.domain.booking import admit
from trading.domain.lifecycle import OrderType, Side
from trading.domain.margin import Board
from trading.domain.state import OrderRequest
from trading.loading import AccountRef
from trading.models import Case, CashBalance, FundingPayment, Order, Position, VenueMessage, VenueOrder
from trading.resting import waiting_orders
from trading.selectors import unanswered_orders
from trading.services import orders as services
from trading.services.bookings import booking
from trading.services.reconciling import mark_refused, resolve_order
from trading.services.venue_orders import prepare
from trading.services.venue_reports import LOOKUPS_MIN
from trading.venues.choice import venue_account
from trading.verification import verify_ledger


class Rollback(Exception):
    pass


def wanted(trader: Trader) -> OrderRequest:
    """To buy 0.01 below the market."""
    return OrderRequest(
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal(trader.price("0.98")),
        client_order_id="orphan",
    )


def committed(trader: Trader) -> services.Placed:
    """An order whose process died before it was sent."""
    return services.commit_order(AccountRef(account_id=trader.account.pk), market_by_symbol(BTC), wanted(trader))


def test_an_order_that_never_left_is_rejected_as_not_found_after_the_quiet_period(trader: Trader) -> None:
    committed(trader)
    assert unanswered_orders() == []  # its sender may still be at it

    trader.settle()

    order = Order.objects.get()
    assert (order.status, order.reason) == ("rejected", "not_found_at_venue")
    assert trader.differences() == []


def test_not_found_proves_nothing_before_its_time(trader: Trader) -> None:
    committed(trader)
    VenueOrder.objects.update(deadline_at=F("deadline_at") - timedelta(seconds=25))

    for _ in range(10):
        for account_id, order_id in unanswered_orders():
            resolve_order(account_id, order_id)

    assert Order.objects.get().status == "unknown"
    assert VenueOrder.objects.get().lookups == 0


def test_not_found_proves_nothing_until_it_was_said_often_and_for_long(trader: Trader) -> None:
    committed(trader)
    VenueOrder.objects.update(deadline_at=F("deadline_at") - timedelta(minutes=2))
    ((account_id, order_id),) = unanswered_orders()

    for _ in range(LOOKUPS_MIN):
        resolve_order(account_id, order_id)  # within a moment
    assert Order.objects.get().status == "unknown"
    VenueOrder.objects.update(lookups=1, first_lookup_at=F("first_lookup_at") - timedelta(minutes=2))
    resolve_order(account_id, order_id)  # long ago, but only once
    assert Order.objects.get().status == "unknown"
    VenueOrder.objects.update(lookups=LOOKUPS_MIN - 1)
    resolve_order(account_id, order_id)

    assert Order.objects.get().status == "rejected"


def test_an_order_whose_process_died_after_sending_is_found(trader: Trader) -> None:
    placed = committed(trader)
    assert placed.outgoing is not None
    venue_account(trader.account.pk).place(placed.outgoing.order)

    trader.settle()

    assert Order.objects.get().status == "open"
    assert trader.differences() == []


def test_an_order_that_arrives_after_it_was_called_rejected_lives_again_and_opens_a_case(trader: Trader) -> None:
    placed = committed(trader)
    assert placed.outgoing is not None
    trader.settle()
    venue_account(trader.account.pk).place(placed.outgoing.order)

    trader.sync()

    assert Order.objects.get().status == "open"
    assert Case.objects.filter(kind="alive_after_rejection", subject=placed.body["id"]).count() == 1


def test_a_cancel_that_overtook_its_order_is_repeated(trader: Trader) -> None:
    placed = committed(trader)
    assert placed.outgoing is not None
    assert trader.call("DELETE", f"/orders/{placed.body['id']}").status == 202
    venue_account(trader.account.pk).place(placed.outgoing.order)
    VenueOrder.objects.update(cancel_requested_at=F("cancel_requested_at") - timedelta(minutes=1))

    trader.settle()

    assert Order.objects.get().status == "cancelled"
    assert trader.differences() == []


def test_a_nonce_that_was_used_is_drawn_again(trader: Trader) -> None:
    committed(trader)
    used = VenueOrder.objects.get().nonce
    assert used is not None
    draws = iter([used, used, 77])
    market = market_by_symbol(BTC)
    view, quotes, _ = services.market_view(BTC)
    assert view is not None
    board = Board(markets=markets_by_id(), quotes=quotes)

    with suppress(Rollback), booking(AccountRef(account_id=trader.account.pk), market_id=market.id) as batch:
        order = admit(
            batch, wanted(trader), terms=market, view=view, board=board, limits=services.limits(), fingerprint="f"
        )
        outgoing = prepare(batch, order, terms=market, view=view, board=board, draw=lambda: next(draws))
        raise Rollback

    assert outgoing.order.nonce == 77


def test_fifty_orders_at_once_have_fifty_nonces_and_are_all_taken(trader: Trader) -> None:
    def one(number: int) -> int:
        try:
            return trader.place(client_order_id=f"n{number}", quantity="0.001").status
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(one, range(50)))

    assert statuses == [201] * 50
    assert len(set(VenueOrder.objects.values_list("nonce", flat=True))) == 50
    assert len(trader.there.orders) == 50
    assert trader.differences() == []


def test_terms_come_before_live_trading(trader: Trader, settings: Any) -> None:
    settings.TERMS_VERSIONS = {name: f"{version}-next" for name, version in settings.TERMS_VERSIONS.items()}

    assert trader.place().error == (403, 3019)
    assert trader.there.orders == {}


def test_nothing_is_sent_inside_a_transaction(trader: Trader) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        services.place_order(account=AccountRef(account_id=trader.account.pk), symbol=BTC, request=wanted(trader))

    assert not Order.objects.exists()
    assert trader.there.orders == {}


def test_orders_that_the_user_signs_are_not_taken_yet(trader: Trader) -> None:
    trader.connect(signing="user_signed", stark_private_key=None, stark_public_key=hex(trader.there.public_key))

    assert trader.place().error == (400, 3014)
    assert trader.there.orders == {}


def test_what_was_at_the_venue_before_is_taken_over(trader_with_history: Trader) -> None:
    trader = trader_with_history
    position = Position.objects.get(account=trader.account)
    (there,) = trader.there.positions.values()
    assert position.quantity == there.state.quantity
    assert Order.objects.filter(account=trader.account, source="external", status="open").count() == 1
    assert CashBalance.objects.get(account=trader.account).balance == trader.there.balance
    trader.sync()
    assert not Case.objects.exists()
    assert not [rows for _, rows in verify_ledger() if rows]


def test_what_is_held_on_a_market_that_is_not_listed_keeps_nobody_from_beginning(venue: Harness) -> None:
    list_markets(listing for listing in LISTINGS if listing.symbol != BTC)
    trader = Trader(venue)
    trader.elsewhere("take")
    trader.elsewhere("place")
    trader.connect()

    trader.sync()

    assert trader.account.opened_at is not None
    assert not Order.objects.exists()
    assert [(case.kind, case.subject) for case in Case.objects.all()] == [("position_differs", BTC)]


def test_a_trade_that_cannot_be_placed_is_kept_and_booked_once_it_can(venue: Harness) -> None:
    list_markets(listing for listing in LISTINGS if listing.symbol != BTC)
    trader = Trader(venue)
    trader.connect()
    trader.elsewhere("take")
    trader.sync()
    (message,) = VenueMessage.objects.all()
    assert (message.key, message.understood_at) == (str(trader.there.trades[0].id), None)
    assert Case.objects.filter(kind="unplaced_trade", subject=message.key).count() == 1

    list_markets(LISTINGS)
    trader.sync()

    message.refresh_from_db()
    assert message.understood_at is not None
    assert trader.differences() == []


def test_a_key_that_was_refused_is_replaced_on_the_same_account(trader: Trader) -> None:
    account = trader.account
    mark_refused(account.pk)
    assert trader.place().error == (401, 5001)

    trader.connect()

    assert trader.account == account
    assert trader.place().status == 201


def test_an_order_made_elsewhere_is_adopted_with_its_trades(trader: Trader) -> None:
    trader.elsewhere("take")

    trader.sync()

    order = Order.objects.get()
    assert (order.source, order.status) == ("external", "filled")
    assert trader.differences() == []


def test_the_venues_funding_is_booked_once(trader: Trader) -> None:
    trader.take()
    trader.venue.advance(60_000, steps=61)

    trader.sync()
    trader.sync()

    assert FundingPayment.objects.filter(account=trader.account).count() == len(trader.there.payments) == 1
    assert trader.differences() == []
    assert not Case.objects.exists()


def test_a_difference_opens_one_case_and_changes_no_book(trader: Trader) -> None:
    before = CashBalance.objects.get(account=trader.account).balance
    trader.there.balance += 5

    trader.sync()
    trader.sync()

    (case,) = Case.objects.all()
    assert (case.kind, case.figures["booked"]) == ("balance_differs", f"{before:f}".rstrip("0").rstrip("."))
    assert CashBalance.objects.get(account=trader.account).balance == before


def test_what_is_for_practice_is_refused(trader: Trader) -> None:
    assert trader.call("POST", "/deposits/faucet", {"amount": "10"}).status == 400


def test_a_live_account_is_not_reset(trader: Trader) -> None:
    trader.place()

    assert trader.call("POST", f"/accounts/{trader.account.uuid}/reset", {}).status in (400, 403)
    assert Order.objects.get().status == "open"
    assert trader.differences() == []


def test_the_matcher_sees_no_order_of_a_venue(trader: Trader) -> None:
    trader.place()

    assert waiting_orders() == []


def test_a_connection_with_orders_is_kept_and_one_without_ends_with_its_account(trader: Trader) -> None:
    placed, account = trader.place(), trader.account
    assert trader.api.call("DELETE", EXTENDED).error[1] == 4005

    trader.call("DELETE", f"/orders/{placed.data['id']}")
    trader.sync()
    assert trader.api.call("DELETE", EXTENDED).status == 200

    account.refresh_from_db()
    assert account.state == "closed"
    assert trader.there.live == {}
