"""Several reached orders of an account in one booking: as if they were booked one after the other."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from astrade.core.roles import as_owner
from marketdata import live
from trading.domain.lifecycle import OrderType, Side, TriggerBy
from trading.domain.matching import Reached
from trading.domain.queues import Traded
from trading.domain.triggers import Untriggered
from trading.lanes import AT_ONCE, Found, Lane, Views, book_finds
from trading.matcher import Matcher
from trading.models import Event, Fill, JournalEntry, Order, OrderTransition, Position, TradingAccount
from trading.resting import waiting_orders
from trading.tests.conftest import Feed
from trading.tests.factories import D, RestingFactory, open_account, place
from trading.verification import CHECKS, run_check

STOP: dict[str, Any] = {"type": OrderType.STOP, "trigger_price": D(105)}
VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|\b1[0-9]{12}\b")


def reached(
    account: TradingAccount, *numbers: int, traded: Traded | None = None, through: bool = True
) -> list[Reached]:
    """The account's orders of these numbers, as the matcher finds them."""
    rows = {row.id: row.waiting() for row in waiting_orders()}
    ids = [Order.objects.get(account=account, number=number).pk for number in numbers]
    return [Reached(rows[order_id], through, traded) for order_id in ids]  # type: ignore[arg-type]


def triggered(account: TradingAccount, *numbers: int) -> list[Untriggered]:
    """The account's orders of these numbers, as the matcher finds those whose trigger price was reached."""
    rows = {row.id: row.waiting() for row in waiting_orders()}
    ids = [Order.objects.get(account=account, number=number).pk for number in numbers]
    return [row for order_id in ids if isinstance(row := rows[order_id], Untriggered)]


def together(account: TradingAccount, found: Sequence[Reached | Untriggered]) -> int:
    return book_finds([Found("BTC-USD", hit, 0.0) for hit in found], *live.view_of("BTC-USD"))


def one_by_one(account: TradingAccount, found: Sequence[Reached | Untriggered]) -> int:
    return sum(together(account, [hit]) for hit in found)


def told(account: TradingAccount) -> dict[str, Any]:
    """All that became of an account, without what no two have in common."""
    entries = JournalEntry.objects.filter(account=account).order_by("number")
    events = Event.objects.filter(account=account).order_by("sequence")
    moves = OrderTransition.objects.filter(order__account=account).order_by("pk")
    return {
        "events": [(row.sequence, row.kind, VARYING.sub("", str(row.data))) for row in events],
        "entries": [
            (row.number, row.kind, list(row.postings.order_by("line").values_list("amount", "running_balance")))
            for row in entries
        ],
        "moves": list(moves.values_list("order__number", "from_status", "to_status", "reason")),
        "orders": list(
            Order.objects.filter(account=account)
            .order_by("number")
            .values_list("status", "filled_quantity", "fee", "version", "queue_ahead", "queue_sequence", "quantity")
        ),
        "fills": list(Fill.objects.filter(account=account).order_by("number").values_list("number", "price", "basis")),
        "position": Position.objects.filter(account=account).values_list(
            "quantity", "entry_notional", "fees", "version", "taken_asks", "taken_bids", "stop_loss", "realized_pnl"
        )[0],
    }


def turns_around(account: TradingAccount) -> list[Reached]:
    """Long 2: one closes it and goes short, a reduction is left with nothing, the next ones close that and go long with
    a stop loss each.
    """
    place(account, "2")
    place(account, "1", side=Side.SELL, price="105", reduce_only=True)
    place(account, "3", side=Side.SELL, price="106")
    place(account, "2", price="95", stop_loss=D(90))
    place(account, "1", price="94", stop_loss=D(89))
    return reached(account, 3, 2, 4, 5)


def thin_book(account: TradingAccount) -> list[Reached]:
    """The book has 3 for orders of 6; what one takes is gone for the next."""
    for price in ("99", "98", "97"):
        place(account, "2", price=price)
    return reached(account, 1, 2, 3, through=False)


def the_queues_turn(account: TradingAccount) -> list[Reached]:
    """What was traded at their price, which none of them touches."""
    for price in ("98", "98", "99"):
        place(account, "2", price=price)
    return reached(account, 1, 2, 3, through=False, traded=Traded(quantity=D(5), since=1, until=2))


def changed_meanwhile(account: TradingAccount) -> list[Reached]:
    """One was replaced, one is filled already, one is told of twice."""
    for price in ("95", "94", "93"):
        place(account, "1", price=price)
    first, second, third = reached(account, 1, 2, 3)
    one_by_one(account, [second])
    other = replace(third, order=replace(third.order, price=D(92)))
    return [first, second, other, first]


def stops_that_turn_around(account: TradingAccount) -> list[Untriggered]:
    """Short 2 with a stop loss and a take profit: the stop loss closes it and ends the other, a buy brings a pair of
    its own, a sell closes that again.
    """
    place(account, "2", side=Side.SELL, stop_loss=D(105), take_profit=D(95))
    place(account, "1", **STOP, stop_loss=D(90), take_profit=D(130))
    place(account, "1", side=Side.SELL, type=OrderType.TAKE_PROFIT, trigger_price=D(106))
    loss, profit = (Order.objects.get(account=account, role=role).number for role in ("stop_loss", "take_profit"))
    return triggered(account, loss, profit, 4, 5)


def stops_that_meet(account: TradingAccount) -> list[Untriggered]:
    """One comes to rest behind one that does already and before the next, a third may not take and rests too, though a
    seller waits for its trigger; another seller ends all of them.
    """
    rests: dict[str, Any] = {"type": OrderType.STOP_LIMIT, "trigger_price": D(105), "price": D(100)}
    sells: dict[str, Any] = {"type": OrderType.TAKE_PROFIT_LIMIT, "side": Side.SELL}
    place(account, "2", **rests)
    place(account, "1", **rests)
    place(account, "1", **rests, post_only=True)
    place(account, "1", **sells, trigger_price=D(106), price=D(97))
    place(account, "1", **sells, trigger_price=D(108), price=D(100))
    place(account, "1", price="100")
    return triggered(account, 1, 2, 3, 5, 4)


def stops_beyond_the_margin(account: TradingAccount) -> list[Untriggered]:
    """The first leaves too little for the second, which ends; the third is small enough."""
    for quantity in ("60", "60", "1"):
        place(account, quantity, **STOP)
    return triggered(account, 1, 2, 3)


def stops_changed_meanwhile(account: TradingAccount) -> list[Untriggered]:
    """One has another trigger now, one was triggered already, one is told of twice."""
    for _ in range(3):
        place(account, "1", **STOP)
    first, second, third = triggered(account, 1, 2, 3)
    one_by_one(account, [second])
    return [first, second, replace(third, trigger_price=D(104)), first]


FILLING = (turns_around, thin_book, the_queues_turn, changed_meanwhile)
TRIGGERING = (stops_that_turn_around, stops_that_meet, stops_beyond_the_margin, stops_changed_meanwhile)


@pytest.mark.parametrize("scene", [*FILLING, *TRIGGERING])
def test_the_same_comes_of_it_as_one_by_one(
    feed: Feed, scene: Callable[[TradingAccount], list[Reached | Untriggered]]
) -> None:
    accounts = open_account(), open_account()
    found = [scene(account) for account in accounts]
    if scene is thin_book:
        feed(bids=(("90", "1"),), asks=(("96", "1"), ("97", "1"), ("98", "1")), sequence=2)

    counts = one_by_one(accounts[0], found[0]), together(accounts[1], found[1])

    assert counts[0] == counts[1] > 0
    first, second = (told(account) for account in accounts)
    for part, rows in first.items():
        assert rows == second[part], part
    assert [finding for name in CHECKS for finding in run_check(name)] == []


def test_it_is_one_booking(feed: Feed) -> None:
    account = open_account()
    for price in ("95", "94", "93"):
        place(account, "1", price=price)

    assert together(account, reached(account, 3, 1, 2)) == 3

    fills = Fill.objects.order_by("number")
    assert [fill.price for fill in fills] == [93, 95, 94]
    assert len({fill.at for fill in fills}) == 1


def test_triggers_are_one_booking_too(feed: Feed) -> None:
    account = open_account()
    for _ in range(3):
        place(account, "1", **STOP)

    assert together(account, triggered(account, 1, 2, 3)) == 3

    assert len({fill.at for fill in Fill.objects.all()}) == 1


@pytest.mark.django_db(transaction=True)
def test_one_that_cannot_be_booked_undoes_no_other(feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    """Its fee has grown so large that the column can't hold what is added."""
    account = open_account()
    for price in ("95", "94", "93"):
        place(account, "1", price=price)
    with as_owner(connection), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE trading_order SET fee = {'9' * 20}.999 WHERE number = 2")
    feed(bids=(("80", "9"),), asks=(("81", "99"),), sequence=2)

    asyncio.run(book_all(Matcher(threads=1)))

    assert list(Order.objects.order_by("number").values_list("status", flat=True)) == ["filled", "open", "filled"]
    failed = [record for record in caplog.records if record.getMessage() == "matcher_could_not_book"]
    assert [record.order for record in failed] == [str(Order.objects.get(number=2).uuid)]  # type: ignore[attr-defined]


async def book_all(matcher: Matcher) -> None:
    """Everything that waits was reached."""
    matcher.open()
    (lane,) = matcher.lanes
    for row in await matcher._reading(waiting_orders):
        lane.put(Found("BTC-USD", Reached(row.waiting(), True), 0.0))  # type: ignore[arg-type]
    while lane.waiting:
        await lane.book_next()
    matcher.close()


# What a lane takes out at once


def found(account_id: int, number: int, *, symbol: str = "BTC-USD", triggers: bool = False) -> Found:
    order = RestingFactory.create(account_id=account_id, order_id=number, uuid=UUID(int=number))
    if not triggers:
        return Found(symbol, Reached(order, True), 0.0)
    waits: dict[str, Any] = {
        "admitted_at": order.admitted_at,
        "rises": True,
        "trigger_price": D(1),
        "trigger_by": TriggerBy.MARK,
    }
    known: dict[str, Any] = {
        name: getattr(order, name) for name in ("order_id", "uuid", "account_id", "admitted_sequence")
    }
    return Found(symbol, Untriggered(**known, **waits), 0.0)


def taken(finds: Sequence[Found]) -> tuple[list[list[int]], int]:
    """What a lane with these finds books first, and how many go on waiting."""

    async def take() -> tuple[list[list[int]], int]:
        lane = Lane("test", views=Views())
        for find in finds:
            lane.put(find)
        chosen = [[find.uuid.int for find in together] for together in lane._next()]
        lane.close()
        return chosen, len(lane.waiting)

    return asyncio.run(take())


def test_finds_of_an_account_are_booked_together() -> None:
    finds = [found(1, 1), found(2, 2), found(1, 3), found(2, 4), found(1, 5)]
    assert taken(finds) == ([[1, 3, 5], [2, 4]], 0)


def test_no_more_than_a_chunk_is_taken_and_the_rest_keeps_waiting() -> None:
    finds = [found(number % 2, number) for number in range(3 * AT_ONCE)]
    chosen, left = taken(finds)
    assert chosen == [list(range(0, 2 * AT_ONCE, 2))]
    assert left == 2 * AT_ONCE


def test_other_kinds_and_other_markets_are_bookings_of_their_own_in_their_order() -> None:
    finds = [found(1, 1, triggers=True), found(1, 2), found(1, 3, symbol="ETH-USD"), found(1, 4, triggers=True)]
    finds += [found(1, 5, triggers=True), found(1, 6), found(1, 7)]
    assert taken(finds) == ([[1], [2], [3], [4, 5], [6, 7]], 0)
