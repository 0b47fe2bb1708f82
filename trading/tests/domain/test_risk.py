"""What holds back orders that add risk: each check with its figures, and which of several is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest

from astrade.core.clock import to_ms
from astrade.core.errors import AstradeError
from trading.domain import booking, risk
from trading.domain.admission import Limits
from trading.domain.lifecycle import EntryKind, LedgerAccount, OrderStatus, Side
from trading.domain.limits import Halt, HaltScope, RiskDay
from trading.domain.risk import RiskDayNotOpen
from trading.domain.state import AccountState, OpenOrders, OrderState
from trading.tests.factories import (
    AT,
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    PositionStateFactory,
    batch_of,
    board,
    book,
    request,
    terms,
    view,
)

LATER = AT + timedelta(hours=1)
BIDS, ASKS = (("99", "100"),), (("101", "100"),)
LIMITS = Limits(open_orders_max=5, stale_after_s=10.0)


def halt(scope: str = "global", **changes: Any) -> Halt:
    """In force since the beginning."""
    values: dict[str, Any] = {"venue": "", "reason": "drill", "since": AT, "until": None}
    return Halt(scope=HaltScope(scope), **values | changes)


def day(equity: str = "10000", **changes: Any) -> RiskDay:
    """Today."""
    values: dict[str, Any] = {"starts_at": AT - timedelta(hours=12), "ends_at": AT + timedelta(hours=12)}
    values |= {"net_deposits": D(0), "traded_notional": D(0)}
    return RiskDay(equity=D(equity), **values | changes)


def holding(quantity: str, *, at: str = "100", **changes: Any) -> AccountState:
    """An account with a position entered at a price."""
    held = D(quantity)
    position = PositionStateFactory.build(quantity=held, entry_notional=abs(held) * D(at))
    return AccountStateFactory.build(positions={MARKET_ID: position}, **changes)


def refusal(check: Callable[..., None], *args: Any, **named: Any) -> tuple[int, dict[str, Any]]:
    """Code and figures with which a check refuses."""
    with pytest.raises(AstradeError) as raised:
        check(*args, **named)
    return raised.value.code, raised.value.details


@pytest.mark.parametrize(
    ("held", "side", "quantity", "reduce_only", "adds"),
    [
        ("0", "buy", "1", False, True),
        ("2", "buy", "1", False, True),
        ("2", "sell", "2", False, False),
        ("2", "sell", "2.001", False, True),
        ("-2", "sell", "1", False, True),
        ("-2", "buy", "2", False, False),
        ("-2", "buy", "3", False, True),
        ("2", "sell", "9", True, False),
    ],
)
def test_what_adds_risk(held: str, side: str, quantity: str, reduce_only: bool, adds: bool) -> None:
    named: dict[str, Any] = {"side": Side(side), "quantity": D(quantity), "reduce_only": reduce_only}
    assert risk.adds_risk(holding(held), market_id=MARKET_ID, **named) is adds


def test_cool_off_holds_until_its_end() -> None:
    account = AccountStateFactory.build(cool_off_until=LATER)

    assert refusal(risk.check_cool_off, account, now=AT) == (3018, {"cool_off_until": to_ms(LATER)})
    risk.check_cool_off(account, now=LATER)


def test_a_halt_names_scope_reason_and_times() -> None:
    account = AccountStateFactory.build(halts=[halt("venue", venue="binance"), halt("market", until=LATER)])

    assert refusal(risk.check_halts, account, terms(), now=AT) == (
        3017,
        {"scope": "market", "reason": "drill", "since": to_ms(AT), "until": to_ms(LATER)},
    )
    risk.check_halts(account, terms(), now=LATER)


@pytest.mark.parametrize(
    ("held", "side", "waiting", "quantity", "worst_allowed"),
    [
        ("0", "buy", {}, "5", "500"),
        ("3", "buy", {"buy_quantity": D(2)}, "5", "1000"),
        ("3", "buy", {"sell_quantity": D(9)}, "5", "800"),
        ("-3", "sell", {"sell_quantity": D(2)}, "5", "1000"),
        ("3", "sell", {"sell_quantity": D(1)}, "5", "300"),
    ],
)
def test_position_limit_counts_position_open_orders_and_order(
    held: str, side: str, waiting: dict[str, Any], quantity: str, worst_allowed: str
) -> None:
    account = holding(held, open_orders={MARKET_ID: OpenOrders(**waiting)})
    wanted = request(quantity, side=Side(side))

    risk.check_position(account, wanted, terms(max_position_notional=D(worst_allowed)), mark=D(100))
    below = D(worst_allowed) - D("0.01")
    code, figures = refusal(risk.check_position, account, wanted, terms(max_position_notional=below), mark=D(100))
    queued = waiting.get(f"{side}_quantity", D(0))
    assert (code, figures) == (
        3012,
        {
            "position": str(abs(D(held)) * 100), "open_orders": str(queued * 100), "order": str(D(quantity) * 100),
            "max_position": str(below),
        },
    )  # fmt: skip
    risk.check_position(account, wanted, terms(), mark=D(100))


@pytest.mark.parametrize(("price", "order"), [(None, "100"), ("90", "90")])
def test_trading_cap_counts_what_was_traded_what_waits_and_the_order(price: str | None, order: str) -> None:
    waiting = {1: OpenOrders(buy_notional=D(30)), MARKET_ID: OpenOrders(sell_notional=D(20))}
    account = AccountStateFactory.build(
        traded_notional=D(5400), risk_day=day(traded_notional=D(5000)), open_orders=waiting
    )
    wanted = request() if price is None else request(price=price)
    asked: dict[str, Any] = {"mark": D(100), "now": AT}

    account.max_daily_notional = D(450) + D(order)
    risk.check_trading_cap(account, wanted, **asked)
    account.max_daily_notional -= D("0.01")
    assert refusal(risk.check_trading_cap, account, wanted, **asked) == (
        3015,
        {"traded": "400", "open_orders": "50", "order": order, "max_daily_notional": str(account.max_daily_notional)},
    )
    account.max_daily_notional_next, account.max_daily_notional_next_at = None, AT
    risk.check_trading_cap(account, wanted, **asked)


@pytest.mark.parametrize(("mark", "cash"), [("100", "9900"), ("50", "10000"), ("75", "9950")])
def test_daily_loss_is_realised_and_unrealised(mark: str, cash: str) -> None:
    account = holding("2", max_daily_loss=D(100), risk_day=day())
    account.cash.balance = D(cash)

    assert refusal(risk.check_daily_loss, account, board(mark), now=AT) == (
        3011,
        {"loss": "100", "max_daily_loss": "100", "day_ends_at": to_ms(AT + timedelta(hours=12))},
    )
    account.cash.balance += D("0.000001")
    risk.check_daily_loss(account, board(mark), now=AT)


def test_deposits_of_the_day_are_no_profit_and_withdrawals_no_loss() -> None:
    account = AccountStateFactory.build(max_daily_loss=D(100), risk_day=day(net_deposits=D(10_000)))
    batch = batch_of(account)
    account.net_deposits = D(10_000)

    batch.post(EntryKind.TRANSFER, amount=D(-5000), against=LedgerAccount.CLEARING, reference="out")
    risk.check_daily_loss(account, board("100"), now=AT)
    batch.post(EntryKind.DEPOSIT, amount=D(7000), against=LedgerAccount.EXTERNAL, reference="in")
    batch.post(EntryKind.TRADE_PNL, amount=D(-100), against=LedgerAccount.TRADING, reference="loss")
    assert refusal(risk.check_daily_loss, account, board("100"), now=AT)[1]["loss"] == "100"
    assert account.net_deposits == 12_000


@pytest.mark.parametrize("found", [None, day(ends_at=AT), day(starts_at=AT + timedelta(microseconds=1))])
def test_without_its_day_a_daily_limit_is_not_decided(found: RiskDay | None) -> None:
    account = AccountStateFactory.build(risk_day=found, user_id=7)
    risk.check_daily_loss(account, board("100"), now=AT)
    risk.check_trading_cap(account, request(), mark=D(100), now=AT)

    account.max_daily_loss = account.max_daily_notional = D(1)
    for check in (
        lambda: risk.check_daily_loss(account, board("100"), now=AT),
        lambda: risk.check_trading_cap(account, request(), mark=D(100), now=AT),
    ):
        with pytest.raises(RiskDayNotOpen) as missing:
            check()
        assert (missing.value.account_id, missing.value.user_id, missing.value.now) == (1, 7, AT)


# Which of several faults is named


def broke(case: dict[str, Any]) -> None:
    """Nothing to trade with."""
    case["account"].cash.balance = D(0)


FAULTS: dict[int, Callable[[dict[str, Any]], None]] = {
    1107: lambda case: setattr(case["account"], "user_state", "frozen"),
    3016: lambda case: setattr(case["account"], "state", "frozen"),
    3018: lambda case: setattr(case["account"], "cool_off_until", LATER),
    3017: lambda case: setattr(case["account"], "halts", [halt()]),
    2001: lambda case: case["terms"].update(status="prelisted"),
    3000: lambda case: case["terms"].update(min_quantity=D(50)),
    3001: lambda case: case["terms"].update(step_size=D(30)),
    3002: lambda case: case["terms"].update(tick_size=D(13)),
    3008: lambda case: case["terms"].update(price_band=D("0.001")),
    2002: lambda case: case.update(now=AT + timedelta(seconds=11)),
    3005: lambda case: case.update(leverage=11),
    3009: lambda case: setattr(case["account"], "open_orders", {1: OpenOrders(count=5)}),
    3012: lambda case: case["terms"].update(max_position_notional=D(1)),
    3015: lambda case: setattr(case["account"], "max_daily_notional", D(1)),
    3011: lambda case: setattr(case["account"], "max_daily_loss", D(1)),
    3003: broke,
}


def decide(*faults: int) -> int | None:
    """The code of an order to buy 1 at 98 on an account and market with these faults."""
    account = AccountStateFactory.build(risk_day=day(equity="20000"))
    case: dict[str, Any] = {"account": account, "terms": {}, "now": AT, "leverage": None}
    for code in faults:
        FAULTS[code](case)
    market, batch = terms(**case["terms"]), batch_of(account)
    batch.now = case["now"]
    wanted = request(price="98", leverage=case["leverage"])
    prices: dict[str, Any] = {"view": view(bids=BIDS, asks=ASKS), "board": board("100", market)}
    try:
        booking.admit(batch, wanted, terms=market, limits=LIMITS, fingerprint="", **prices)
    except AstradeError as exc:
        return exc.code
    return None


@pytest.mark.parametrize(("first", "second"), list(combinations(FAULTS, 2)))
def test_of_two_faults_the_earlier_in_order_is_named(first: int, second: int) -> None:
    assert decide() is None
    assert (decide(first), decide(second)) == (first, second)
    assert decide(first, second) == first


# Reductions


def test_nothing_holds_back_a_reduction() -> None:
    account = holding("2", cool_off_until=LATER, halts=[halt()], risk_day=day(equity="20000"))
    account.max_daily_loss = account.max_daily_notional = D(1)
    market = terms(max_position_notional=D(1))
    named: dict[str, Any] = {"terms": market, "view": view(bids=BIDS, asks=ASKS), "board": board("100", market)}

    for wanted in (request("1", side=Side.SELL), request("1", side=Side.SELL, reduce_only=True)):
        order = booking.admit(batch_of(account), wanted, limits=LIMITS, fingerprint="", **named)
        assert order.status is OrderStatus.FILLED
    assert account.positions[MARKET_ID].quantity == 0


# Orders that were admitted before


def rest(account: AccountState, order: OrderState) -> tuple[bool, OrderState]:
    """The market trades through a resting order."""
    account.orders_on(MARKET_ID).add(order)
    told = booking.fill_resting(
        batch_of(account), order, board=board("100"), book=book(bids=BIDS, asks=ASKS), traded_through=True
    )
    return told, order


@pytest.mark.parametrize(
    ("changes", "told", "status", "reason"),
    [
        ({}, True, "filled", ""),
        ({"halts": [halt()]}, False, "open", ""),
        ({"cool_off_until": LATER}, True, "cancelled", "cool_off"),
        ({"max_daily_loss": D(1)}, True, "cancelled", "daily_loss_limit"),
        ({"max_daily_loss": D(1), "halts": [halt()]}, True, "cancelled", "daily_loss_limit"),
    ],
)
def test_what_came_in_force_meanwhile_holds_for_waiting_orders(
    changes: dict[str, Any], told: bool, status: str, reason: str
) -> None:
    account = AccountStateFactory.build(risk_day=day(equity="20000"), **changes)

    found, order = rest(account, OrderStateFactory.build())

    assert (found, order.status, order.reason) == (told, status, reason)
    assert account.traded_notional == (100 if status == "filled" else 0)


@pytest.mark.parametrize("reduce_only", [True, False])
def test_a_waiting_reduction_is_filled_all_the_same(reduce_only: bool) -> None:
    account = holding("-1", cool_off_until=LATER, halts=[halt()], max_daily_loss=D(1), risk_day=day(equity="20000"))

    _, order = rest(account, OrderStateFactory.build(reduce_only=reduce_only))

    assert order.status == "filled"


def test_what_is_left_of_an_order_decides_not_its_whole() -> None:
    account = holding("-1", cool_off_until=LATER)
    order = OrderStateFactory.build(quantity=D(3), filled_quantity=D(2), status=OrderStatus.PARTIALLY_FILLED)

    assert rest(account, order)[1].status == "filled"
    bigger = replace(order, filled_quantity=D("1.9"), status=OrderStatus.PARTIALLY_FILLED)
    assert rest(holding("-1", cool_off_until=LATER), bigger)[1].reason == "cool_off"


def test_traded_notional_counts_every_fill() -> None:
    account = AccountStateFactory.build(traded_notional=Decimal(7))
    named: dict[str, Any] = {"terms": terms(), "view": view(bids=BIDS, asks=ASKS), "board": board("100")}
    booking.admit(batch_of(account), request("2"), limits=LIMITS, fingerprint="", **named)
    assert account.traded_notional == 7 + 202
