"""Halt switches: set and lifted by staff, in force for the next order, on record."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tests.factories import UserFactory
from astrade.core import errors
from astrade.core.clock import system_clock, to_ms
from astrade.core.models import AuditEvent
from marketdata import live
from marketdata.models import Market
from trading.domain.lifecycle import OrderType, Side
from trading.domain.limits import HaltScope
from trading.domain.replacing import Changes
from trading.loading import OrderRef
from trading.models import Order, OrderRefusal, TradingAccount, TradingHalt
from trading.services.halts import HaltTarget, halts_in_force, lift_halt, set_halt
from trading.services.orders import cancel_order, fill_resting_order
from trading.services.replacing import replace_order
from trading.services.triggers import trigger_order
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D, open_account, place, ref

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """A practice account and a market of Extended around 100."""
    return open_account()


@pytest.fixture
def staff(db: None, client: Client) -> tuple[Client, User]:
    """A superuser in the back office."""
    user: User = UserFactory.create(is_staff=True, is_superuser=True)
    client.force_login(user)
    return client, user


def halt(scope: str = "global", **named: Any) -> TradingHalt:
    """Set one."""
    return set_halt(HaltTarget(HaltScope(scope), **named), reason="drill", actor_id=None, now=system_clock())


def lift(made: TradingHalt) -> bool:
    """End one."""
    return lift_halt(made.pk, reason="over", actor_id=None, now=system_clock())


@pytest.mark.django_db(transaction=True)
def test_a_switch_needs_no_transaction_around_it() -> None:
    made = halt()

    assert (lift(made), lift(made)) == (True, False)


def test_each_scope_stops_what_it_names_and_no_more(account: TradingAccount, market: Market, feed: Feed) -> None:
    other, far = open_account(), make_market("ETH-USD", venue="binance")
    feed(symbol=far.symbol)
    orders = {
        "here": lambda: place(account),
        "another account": lambda: place(other),
        "another market": lambda: place(account, symbol="ETH-USD"),
    }
    stopped: dict[str, tuple[dict[str, Any], set[str]]] = {
        "global": ({}, set(orders)),
        "venue": ({"venue": "extended"}, {"here", "another account"}),
        "market": ({"market": market}, {"here", "another account"}),
        "account": ({"account": account}, {"here", "another market"}),
    }
    for scope, (named, expected) in stopped.items():
        made = halt(scope, **named)
        found = {name for name, order in orders.items() if refused(order)}
        assert (scope, found) == (scope, expected)
        assert (lift(made), lift(made)) == (True, False)
    halt("venue", venue="practice")
    assert all(refused(order) for order in orders.values())


def refused(order: Any) -> bool:
    """Whether trading is halted for it."""
    try:
        order()
    except errors.TradingHalted:
        return True
    return False


def test_refusal_keeps_its_figures(account: TradingAccount) -> None:
    now = system_clock()
    until = now + timedelta(hours=1)
    made = set_halt(HaltTarget(HaltScope.GLOBAL), reason=" feed is wrong ", actor_id=None, now=now, until=until)

    with pytest.raises(errors.TradingHalted):
        place(account)

    kept = OrderRefusal.objects.get(account=account)
    assert (kept.code, kept.figures) == (
        3017,
        {"scope": "global", "reason": "feed is wrong", "since": to_ms(made.since), "until": to_ms(until)},
    )


def test_reductions_and_cancels_pass_and_waiting_orders_wait(account: TradingAccount) -> None:
    place(account, "2")
    resting = place(account, price="95", client_order_id="resting").body
    made = halt()

    assert not match("resting")
    assert place(account, side=Side.SELL).body["status"] == "filled"
    assert place(account, side=Side.SELL, reduce_only=True).body["status"] == "filled"
    lift(made)
    assert match("resting")
    assert Order.objects.get(uuid=resting["id"]).status == "filled"
    place(account, price="95", client_order_id="gone")
    halt()
    assert cancel_order(account=ref(account), order=OrderRef(client_order_id="gone"))["status"] == "cancelled"


def match(client_order_id: str) -> bool:
    """A trade goes through the order's price."""
    order, (view, quotes) = Order.objects.get(client_order_id=client_order_id), live.view_of("BTC-USD")
    return fill_resting_order(
        account_id=order.account_id, order_id=order.pk, book=view.book, quotes=quotes, traded_through=True
    )


def test_a_replacement_that_adds_risk_waits_too_and_a_smaller_one_passes(account: TradingAccount) -> None:
    place(account, "2", price="95", client_order_id="resting")
    named: dict[str, Any] = {"account": ref(account), "order": OrderRef(client_order_id="resting")}
    halt()

    assert refused(lambda: replace_order(changes=Changes(price=D(96)), **named))
    assert refused(lambda: replace_order(changes=Changes(quantity=D(3)), **named))
    assert replace_order(changes=Changes(quantity=D(1)), **named)["quantity"] == "1"


@pytest.mark.parametrize(("reduces", "status", "reason"), [(False, "rejected", "trading_halted"), (True, "filled", "")])
def test_an_order_triggered_while_halted_may_only_reduce(
    account: TradingAccount, reduces: bool, status: str, reason: str
) -> None:
    place(account)
    stop: dict[str, Any] = {"type": OrderType.STOP, "trigger_price": D(95), "side": Side.SELL, "reduce_only": reduces}
    place(account, "1" if reduces else "2", client_order_id="stop", **stop)
    halt()
    order, (view, quotes) = Order.objects.get(client_order_id="stop"), live.view_of("BTC-USD")

    assert trigger_order(account_id=account.pk, order_id=order.pk, view=view, quotes=quotes)

    order.refresh_from_db()
    assert (order.status, order.reason) == (status, reason)


def test_a_halt_ends_by_itself_and_is_listed_while_it_holds(account: TradingAccount) -> None:
    now = system_clock()
    begun, over = now - timedelta(hours=2), now - timedelta(hours=1)
    set_halt(HaltTarget(HaltScope.GLOBAL), reason="x", actor_id=None, now=begun, until=over)
    assert not halts_in_force(now).exists()
    place(account)
    made = halt()
    assert list(halts_in_force(now)) == [made]


@pytest.mark.parametrize(
    ("target", "reason", "minutes", "wrong"),
    [
        (HaltTarget(HaltScope.GLOBAL), " ", None, "reason"),
        (HaltTarget(HaltScope.GLOBAL), "x" * 201, None, "reason"),
        (HaltTarget(HaltScope.GLOBAL), "x", 0, "until"),
        (HaltTarget(HaltScope.GLOBAL, venue="practice"), "x", None, "venue"),
        (HaltTarget(HaltScope.VENUE), "x", None, "venue"),
        (HaltTarget(HaltScope.VENUE, venue="nyse"), "x", None, "venue"),
        (HaltTarget(HaltScope.MARKET), "x", None, "market"),
        (HaltTarget(HaltScope.ACCOUNT), "x", None, "account"),
    ],
)
def test_halts_that_make_no_sense(target: HaltTarget, reason: str, minutes: int | None, wrong: str) -> None:
    now = system_clock()
    until = None if minutes is None else now + timedelta(minutes=minutes)

    with pytest.raises(errors.ValidationFailed) as refusal:
        set_halt(target, reason=reason, actor_id=None, now=now, until=until)

    assert list(refusal.value.details["fields"]) == [wrong]
    assert not TradingHalt.objects.exists()


def test_the_database_knows_too(market: Market) -> None:
    values = {"reason": "x", "since": system_clock()}
    for named in ({"scope": "global", "market": market}, {"scope": "market"}, {"scope": "venue"}, {"scope": "account"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            TradingHalt.objects.create(**named, **values)


# Staff and operators


def test_staff_set_and_lift_in_the_back_office(staff: tuple[Client, User], account: TradingAccount, feed: Feed) -> None:
    client, user = staff
    empty = dict.fromkeys(("venue", "market", "until_0", "until_1"), "")
    form = {"scope": "account", "account": account.pk, "reason": "asked", **empty}

    assert client.get(reverse("admin:trading_tradinghalt_add")).status_code == 200
    assert client.post(reverse("admin:trading_tradinghalt_add"), form | {"account": ""}).status_code == 200
    assert not TradingHalt.objects.exists()
    assert client.post(reverse("admin:trading_tradinghalt_add"), form).status_code == 302
    made = TradingHalt.objects.get()
    assert (made.account_id, made.reason, made.set_by_id) == (account.pk, "asked", user.pk)
    assert refused(lambda: place(account))

    action = {"action": "lift", "_selected_action": [made.pk], "reason": ""}
    client.post(reverse("admin:trading_tradinghalt_changelist"), action)
    assert refused(lambda: place(account))
    client.post(reverse("admin:trading_tradinghalt_changelist"), action | {"reason": "all is well"})
    feed(sequence=2)
    place(account)
    told = AuditEvent.objects.filter(action__startswith="trading.halt").order_by("pk")
    assert [(event.action, event.actor_id, event.on_behalf_of_id, event.after["reason"]) for event in told] == [
        ("trading.halted", user.pk, account.user_id, "asked"),
        ("trading.halt_lifted", user.pk, account.user_id, "all is well"),
    ]


def test_staff_halt_accounts_from_their_list(staff: tuple[Client, User], account: TradingAccount) -> None:
    client, _ = staff
    action = {"action": "halt", "_selected_action": [account.pk]}

    client.post(reverse("admin:trading_tradingaccount_changelist"), action | {"reason": ""})
    assert not TradingHalt.objects.exists()
    client.post(reverse("admin:trading_tradingaccount_changelist"), action | {"reason": "stolen phone"})
    assert (TradingHalt.objects.get().account, TradingHalt.objects.get().scope) == (account, "account")


def test_staff_without_the_right_only_look(client: Client, account: TradingAccount) -> None:
    client.force_login(UserFactory.create(is_staff=True))
    assert client.get(reverse("admin:trading_tradinghalt_add")).status_code == 403
    assert client.get(reverse("admin:trading_tradinghalt_changelist")).status_code == 403


def run(*arguments: str) -> str:
    """`manage.py halt …`."""
    out = StringIO()
    call_command("halt", *arguments, stdout=out)
    return out.getvalue()


def test_operators_halt_by_command(account: TradingAccount) -> None:
    told = run("set", "--market", "btc-usd", "--reason", "bad prices", "--minutes", "30")
    made = TradingHalt.objects.get()
    assert told.startswith(f"{made.pk} market BTC-USD since ")
    assert told.endswith("UTC: bad prices\n")
    assert refused(lambda: place(account))
    assert run("list") == told

    assert run("lift", str(made.pk), "--reason", "fixed") == ""
    place(account)
    for arguments in (["--global"], ["--venue", "practice"], ["--account", str(account.uuid)]):
        run("set", *arguments, "--reason", "x")
    assert [made.scope for made in halts_in_force(system_clock())] == ["global", "venue", "account"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "--global", "--reason", ""],
        ["set", "--global", "--reason", "x", "--minutes", "0"],
        ["set", "--venue", "nyse", "--reason", "x"],
        ["set", "--market", "NOTHING", "--reason", "x"],
        ["set", "--account", "00000000-0000-4000-8000-000000000000", "--reason", "x"],
        ["set", "--reason", "x"],
        ["set", "--global", "--market", "BTC-USD", "--reason", "x"],
        ["lift", "999999"],
    ],
)
def test_commands_that_make_no_sense(db: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        run(*arguments)
    assert not TradingHalt.objects.exists()
