"""What changes at a venue beside placing and cancelling: triggers, protection, replacing, leverage, the switch."""

from decimal import Decimal

from astrade.emulators.extended.orders import Status as There
from astrade.emulators.tests.harness import BTC
from astrade.tests.live.trader import Trader
from marketdata.selectors import market_by_symbol
from trading.models import Case, DeadManSwitch, MarketSetting, Order, Position, VenueOrder
from trading.services.due import due_work


def test_a_stop_waits_at_the_venue_for_its_trigger(trader: Trader) -> None:
    answer = trader.place(
        type="stop", price=None, trigger_price=trader.price("1.02"), trigger_by="last", time_in_force=None
    )

    assert (answer.status, answer.data["status"]) == (201, "untriggered")
    order = Order.objects.get()
    there = trader.order_there(order)
    assert there is not None and there.trigger is not None
    assert (there.status, there.trigger.price) == (There.UNTRIGGERED, order.trigger_price)
    trader.sync()
    assert trader.differences() == []


def test_a_stop_that_fires_is_filled_by_its_trades(trader: Trader) -> None:
    trader.place(type="stop", price=None, trigger_price=trader.price("1.0005"), time_in_force=None)
    (there,) = trader.there.orders.values()
    trader.until(lambda: there.status is There.FILLED)
    trader.sync()

    order = Order.objects.get()
    assert (order.status, order.filled_quantity) == ("filled", Decimal("0.01"))
    assert trader.differences() == []


def test_an_order_at_the_venue_is_replaced_by_another(trader: Trader) -> None:
    placed = trader.place()

    answer = trader.call("PATCH", f"/orders/{placed.data['id']}", {"price": trader.price("0.97"), "quantity": "0.02"})
    trader.sync()

    assert (answer.status, answer.data["replaces"]) == (200, placed.data["id"])
    old, new = Order.objects.order_by("pk")
    assert (old.status, old.reason) == ("cancelled", "order_replaced")
    assert (new.status, new.quantity, str(new.uuid)) == ("open", Decimal("0.02"), answer.data["id"])
    assert VenueOrder.objects.get(order=new).replaces == str(old.uuid)
    assert trader.differences() == []
    again = trader.call("PATCH", f"/orders/{new.uuid}", {"quantity": "0.02"})
    assert (again.status, again.data["id"]) == (200, str(new.uuid))
    assert len(trader.there.orders) == 2


def test_what_was_filled_is_not_asked_for_again(trader: Trader) -> None:
    trader.venue.exchange.switch_faults("partial_fill_then_silence")
    placed = trader.place()
    trader.venue.exchange.switch_faults("")
    trader.sync()

    trader.call("PATCH", f"/orders/{placed.data['id']}", {"price": trader.price("0.97")})
    trader.sync()

    old, new = Order.objects.order_by("pk")
    assert old.filled_quantity > 0
    assert old.filled_quantity + new.quantity == Decimal("0.01")
    assert trader.differences() == []


def test_the_margin_of_the_old_order_is_the_new_ones(trader: Trader) -> None:
    MarketSetting.objects.update_or_create(
        account=trader.account, market_id=market_by_symbol(BTC).id, defaults={"leverage": 1}
    )
    placed = trader.place(quantity="0.8")
    assert placed.status == 201

    answer = trader.call("PATCH", f"/orders/{placed.data['id']}", {"price": trader.price("0.97")})

    assert answer.status == 200
    assert trader.place(quantity="0.8").error == (400, 3003)


def test_where_the_venue_ends_both_of_a_pair_both_end_here(trader: Trader) -> None:
    placed = trader.place()
    trader.venue.exchange.switch_faults("replace_cancels_both")

    trader.call("PATCH", f"/orders/{placed.data['id']}", {"price": trader.price("0.97")})
    trader.sync()

    assert {order.status for order in Order.objects.all()} == {"cancelled"}
    assert trader.differences() == []


def test_a_replacement_that_was_lost_is_found_again(trader: Trader) -> None:
    placed = trader.place()
    trader.venue.exchange.switch_faults("reset_after_accept")
    answer = trader.call("PATCH", f"/orders/{placed.data['id']}", {"price": trader.price("0.97")})
    trader.venue.exchange.switch_faults("")

    assert answer.error == (202, 5005)
    trader.settle()
    assert [order.status for order in Order.objects.order_by("pk")] == ["cancelled", "open"]
    assert trader.differences() == []


def test_an_order_brings_its_take_profit_and_stop_loss_along(trader: Trader) -> None:
    levels = {"take_profit": trader.price("1.05"), "stop_loss": trader.price("0.95")}
    trader.take(**levels)
    trader.sync()

    entry, pair = Order.objects.order_by("pk")
    assert (pair.parent_id, pair.status, pair.reduce_only) == (entry.pk, "untriggered", True)
    assert (pair.role, pair.trigger_price, pair.take_profit) == ("stop_loss", entry.stop_loss, entry.take_profit)
    (position,) = trader.call("GET", "/account/positions").data
    assert {name: position[name] for name in levels} == levels
    assert trader.differences() == []


def test_a_whole_position_is_protected_by_one_order_of_the_venues(trader: Trader) -> None:
    trader.take()
    trader.sync()
    path = f"/accounts/{trader.account.uuid}/positions/{Position.objects.get().uuid}"

    stop = trader.call("PATCH", path, {"stop_loss": trader.price("0.95")})
    both = trader.call("PATCH", path, {"take_profit": trader.price("1.05")})
    trader.sync()

    assert (stop.status, stop.data["stop_loss"]) == (200, trader.price("0.95"))
    levels = (both.data["stop_loss"], both.data["take_profit"])
    assert levels == (trader.price("0.95"), trader.price("1.05"))
    assert [order.status for order in Order.objects.exclude(role=None).order_by("pk")] == ["cancelled", "untriggered"]
    assert not Case.objects.exists()
    assert trader.differences() == []

    gone = trader.call("PATCH", path, {"stop_loss": None, "take_profit": None})
    trader.sync()

    assert gone.status == 200
    assert not Order.objects.filter(status="untriggered").exists()
    assert not Case.objects.exists()
    assert trader.differences() == []


def test_what_protects_stays_until_what_takes_its_place_stands(trader: Trader) -> None:
    trader.take(stop_loss=trader.price("0.95"))
    trader.sync()
    path = f"/accounts/{trader.account.uuid}/positions/{Position.objects.get().uuid}"

    trader.venue.exchange.switch_faults("maintenance")
    assert trader.call("PATCH", path, {"stop_loss": trader.price("0.96")}).status == 503
    trader.venue.exchange.switch_faults("")
    trader.sync()
    assert [order.stop_loss for order in Order.objects.filter(status="untriggered")] == [None]
    assert Order.objects.get(status="untriggered").trigger_price == Decimal(trader.price("0.95"))

    trader.call("PATCH", path, {"stop_loss": trader.price("0.96")})
    trader.sync()
    assert Order.objects.get(status="untriggered").trigger_price == Decimal(trader.price("0.96"))
    assert trader.differences() == []


def test_what_protects_a_whole_position_closes_all_of_it(trader: Trader) -> None:
    trader.take()
    trader.sync()
    path = f"/accounts/{trader.account.uuid}/positions/{Position.objects.get().uuid}"
    trader.call("PATCH", path, {"stop_loss": trader.price("0.9995"), "take_profit": trader.price("1.0005")})
    trader.take(quantity="0.02")
    trader.sync()

    trader.until(lambda: not trader.there.positions)
    trader.sync()

    stop = Order.objects.get(role="stop_loss")
    assert (stop.status, stop.quantity, stop.filled_quantity) == ("filled", Decimal("0.03"), Decimal("0.03"))
    assert Position.objects.get().quantity == 0
    assert not Case.objects.exists()
    assert trader.differences() == []


def test_what_protects_a_position_that_shrank_is_filled_with_what_is_left_of_it(trader: Trader) -> None:
    trader.take(quantity="0.03")
    trader.sync()
    path = f"/accounts/{trader.account.uuid}/positions/{Position.objects.get().uuid}"
    trader.call("PATCH", path, {"stop_loss": trader.price("0.9995"), "take_profit": trader.price("1.0005")})
    trader.take(quantity="0.02", side="sell")
    trader.sync()

    trader.until(lambda: not trader.there.positions)
    trader.sync()

    stop = Order.objects.get(role="stop_loss")
    assert (stop.status, stop.quantity) == ("filled", Decimal("0.01"))
    assert trader.differences() == []


def test_a_position_that_lost_its_stop_is_a_case(trader: Trader) -> None:
    trader.take(stop_loss=trader.price("0.95"))
    trader.sync()
    stop = Order.objects.get(role="stop_loss")

    trader.venue.wait(trader.venue.call("DELETE", f"/user/order/{stop.venue_order_id}"))
    trader.sync()

    stop.refresh_from_db()
    assert stop.status == "cancelled"
    assert [(case.kind, case.subject) for case in Case.objects.all()] == [("protection_lost", str(stop.uuid))]


def test_leverage_is_set_at_the_venue_and_followed_from_there(trader: Trader) -> None:
    answer = trader.call("PATCH", "/account/leverage", {"symbol": BTC, "leverage": 7})

    assert (answer.status, answer.data["leverage"]) == (200, 7)
    assert trader.there.leverage[BTC] == 7
    trader.there.leverage[BTC] = Decimal(4)
    trader.sync()
    assert MarketSetting.objects.get(account=trader.account).leverage == 4


def test_leverage_that_the_venue_refuses_stays_as_it_was(trader: Trader) -> None:
    trader.venue.exchange.switch_faults("leverage_refused")

    answer = trader.call("PATCH", "/account/leverage", {"symbol": BTC, "leverage": 7})

    assert answer.error == (400, 3005)
    assert not MarketSetting.objects.filter(leverage=7).exists()


def test_the_switch_is_the_venues_and_ours(trader: Trader) -> None:
    trader.place()
    answer = trader.call("POST", "/orders/dead-man-switch", {"timeout_s": 30})

    assert answer.status == 200
    assert trader.there.switch_fires_ms is not None
    DeadManSwitch.objects.update(fires_at="2026-01-01T00:00Z")
    for due in due_work():
        due.run(due.account_id)
    trader.sync()
    assert Order.objects.get().status == "cancelled"
    assert trader.differences() == []
