"""Each check by itself: what passes, what it refuses, with which code and which figures."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from astrade.core.errors import AstradeError
from trading.domain import admission
from trading.domain.lifecycle import OrderType, Side, TimeInForce, TriggerBy
from trading.domain.margin import MarginSummary
from trading.domain.shapes import Terms
from trading.domain.state import OpenOrders
from trading.tests.factories import (
    AT,
    MARKET_ID,
    AccountStateFactory,
    D,
    OrderStateFactory,
    PositionStateFactory,
    request,
    terms,
    view,
)

MARKET = view(bids=(("99", "1"),), asks=(("101", "1"),), mark="100")


def refusal(check: Callable[..., None], *args: Any, **named: Any) -> tuple[int, dict[str, Any]]:
    """Code and figures with which a check refuses."""
    with pytest.raises(AstradeError) as raised:
        check(*args, **named)
    return raised.value.code, raised.value.details


def test_practice_takes_no_sliced_orders() -> None:
    wanted = request(type=OrderType.TWAP)

    assert refusal(admission.check_offered, wanted)[0] == 1001
    code, _ = refusal(admission.check_offered, request(price="100", time_in_force=TimeInForce.GTT))
    assert code == 1001


def test_price_belongs_to_limit_orders() -> None:
    admission.check_offered(request())
    admission.check_offered(request(price="100"))
    for wanted in (request(type=OrderType.LIMIT), request(price="100", type=OrderType.MARKET)):
        code, details = refusal(admission.check_offered, wanted)
        assert (code, list(details["fields"])) == (1001, ["price"])


def test_post_only_belongs_to_limit_orders_that_stay() -> None:
    admission.check_offered(request(price="100", post_only=True))
    for wanted in (
        request(post_only=True),
        request(price="100", post_only=True, time_in_force=TimeInForce.IOC),
        request(price="100", post_only=True, time_in_force=TimeInForce.FOK),
    ):
        code, details = refusal(admission.check_offered, wanted)
        assert (code, list(details["fields"])) == (1001, ["post_only"])
    admission.check_offered(
        request(price="100", post_only=True, time_in_force=TimeInForce.GTT, expires_at=AT + timedelta(hours=1))
    )


def test_market_orders_have_no_last_moment() -> None:
    wanted = request(time_in_force=TimeInForce.GTT, expires_at=AT + timedelta(hours=1))
    code, details = refusal(admission.check_offered, wanted)
    assert (code, list(details["fields"])) == (1001, ["time_in_force"])


def test_which_price_triggers_may_be_said_of_what_an_order_brings_along() -> None:
    admission.check_offered(request(stop_loss=D(90), trigger_by=TriggerBy.LAST))
    admission.check_offered(request(take_profit=D(110), trigger_by=TriggerBy.LAST))
    code, details = refusal(admission.check_offered, request(trigger_by=TriggerBy.LAST))
    assert (code, list(details["fields"])) == (1001, ["trigger_by"])


@pytest.mark.parametrize(
    ("ahead", "passes"),
    [(timedelta(0), False), (timedelta(microseconds=1), True), (timedelta(days=90), True), (timedelta(91), False)],
)
def test_a_last_moment_lies_within_ninety_days(ahead: timedelta, passes: bool) -> None:
    wanted = request(price="100", time_in_force=TimeInForce.GTT, expires_at=AT + ahead)
    if passes:
        admission.check_expiry(wanted, now=AT)
    else:
        code, details = refusal(admission.check_expiry, wanted, now=AT)
        assert (code, list(details["fields"])) == (1001, ["expires_at"])


def test_user_then_account_must_be_active() -> None:
    admission.check_account(AccountStateFactory.build())
    assert refusal(admission.check_account, AccountStateFactory.build(user_state="frozen", state="closed")) == (
        1107,
        {},
    )
    for state in ("frozen", "closed"):
        account = AccountStateFactory.build(state=state)
        assert refusal(admission.check_account, account) == (3016, {"state": state})


@pytest.mark.parametrize(
    ("wanted", "rules", "expected"),
    [
        (request(), {"status": "halted"}, (2001, {"symbol": "BTC-USD", "status": "halted"})),
        (request(reduce_only=True), {"status": "halted"}, (2001, {"symbol": "BTC-USD", "status": "halted"})),
        (request(), {"status": "reduce_only"}, (2001, {"symbol": "BTC-USD", "status": "reduce_only"})),
        (request("0.0009"), {}, (3000, {"quantity": "0.0009", "min_quantity": "0.001"})),
        (request("1000.001"), {}, (1001, {"fields": {"quantity": ["At most 1000."]}})),
        (request("1.0005"), {}, (3001, {"quantity": "1.0005", "step_size": "0.001"})),
        (request(price="100.5"), {}, (3002, {"price": "100.5", "tick_size": "1"})),
        (request(price="0"), {}, (3002, {"price": "0", "tick_size": "1"})),
        (request(price="-100"), {}, (3002, {"price": "-100", "tick_size": "1"})),
    ],
)
def test_rules_of_the_market(wanted: Any, rules: dict[str, Any], expected: Any) -> None:
    assert refusal(admission.check_rules, wanted, terms(**rules)) == expected


def test_what_fits_the_rules_passes() -> None:
    for wanted in (request("0.001"), request("1000"), request("1.234", price="100")):
        admission.check_rules(wanted, terms())
    admission.check_rules(request(reduce_only=True), terms(status="reduce_only"))


def test_limit_price_within_the_band_around_the_mark() -> None:
    for price in ("90", "110"):
        admission.check_band(request(price=price), terms(), MARKET.quote)
    admission.check_band(request(), terms(), MARKET.quote)
    for price in ("89", "111"):
        figures = {"price": price, "mark": "100", "lowest": "90", "highest": "110"}
        assert refusal(admission.check_band, request(price=price), terms(), MARKET.quote) == (3008, figures)


def test_market_view_must_be_young_enough() -> None:
    admission.check_fresh(MARKET, now=AT + timedelta(seconds=10), stale_after_s=10.0)
    late = AT + timedelta(seconds=10, milliseconds=1)
    assert refusal(admission.check_fresh, MARKET, now=late, stale_after_s=10.0) == (
        2002,
        {"symbol": "BTC-USD", "age_ms": 10_001},
    )


@pytest.mark.parametrize(
    ("account_cap", "rules", "leverage", "cap"),
    [(10, {}, 11, 10), (100, {}, 51, 50), (10, {"type": "spot"}, 2, 1), (10, {}, 0, 10)],
)
def test_leverage_within_account_and_market_cap(
    account_cap: int, rules: dict[str, Any], leverage: int, cap: int
) -> None:
    account, market = AccountStateFactory.build(max_leverage=account_cap), terms(**rules)

    admission.check_leverage(account, market, leverage=cap)
    assert refusal(admission.check_leverage, account, market, leverage=leverage) == (
        3005,
        {"leverage": leverage, "max_leverage": cap},
    )


def test_open_orders_are_counted_over_all_markets() -> None:
    account = AccountStateFactory.build(open_orders={1: OpenOrders(count=2), 2: OpenOrders(count=1)})

    admission.check_open_orders(account, at_most=4)
    assert refusal(admission.check_open_orders, account, at_most=3) == (3009, {"open_orders": 3, "max_open_orders": 3})


@pytest.mark.parametrize(
    ("held", "side", "quantity", "passes"),
    [
        ("2", "sell", "2", True),
        ("-2", "buy", "1", True),
        ("2", "sell", "2.001", False),
        ("2", "buy", "1", False),
        ("-2", "sell", "1", False),
        ("0", "sell", "1", False),
    ],
)
def test_reduce_only_stands_against_the_position(held: str, side: str, quantity: str, passes: bool) -> None:
    position = PositionStateFactory.build(quantity=D(held))
    account = AccountStateFactory.build(positions={MARKET_ID: position})
    wanted = request(quantity, side=Side(side), reduce_only=True)
    if passes:
        admission.check_reduction(account, wanted, market_id=MARKET_ID)
    else:
        assert refusal(admission.check_reduction, account, wanted, market_id=MARKET_ID) == (
            3006,
            {"position": held, "quantity": quantity},
        )
        admission.check_reduction(account, replace(wanted, reduce_only=False), market_id=MARKET_ID)


def test_reduce_only_without_any_position_is_refused() -> None:
    wanted = request(side=Side.SELL, reduce_only=True)
    assert refusal(admission.check_reduction, AccountStateFactory.build(), wanted, market_id=MARKET_ID)[0] == 3006


def spot() -> Terms:
    """Long only."""
    return terms(type="spot")


def test_spot_sells_what_is_held_and_not_offered_already() -> None:
    account = AccountStateFactory.build(
        positions={MARKET_ID: PositionStateFactory.build(quantity=D(3))},
        open_orders={MARKET_ID: OpenOrders(sell_quantity=D(1))},
    )

    admission.check_spot(account, request("2", side=Side.SELL), spot())
    admission.check_spot(account, request("9", side=Side.BUY), spot())
    admission.check_spot(account, request("9", side=Side.SELL), terms())
    assert refusal(admission.check_spot, account, request("2.001", side=Side.SELL), spot()) == (
        3004,
        {"required": "2.001", "available": "2"},
    )
    assert refusal(admission.check_spot, AccountStateFactory.build(), request(side=Side.SELL), spot()) == (
        3004,
        {"required": "1", "available": "0"},
    )


@pytest.mark.parametrize(("side", "price", "best"), [("buy", "101", "101"), ("sell", "99", "99")])
def test_post_only_must_not_trade_on_arrival(side: str, price: str, best: str) -> None:
    wanted = request(price=price, side=Side(side), post_only=True)

    assert refusal(admission.check_post_only, wanted, MARKET.quote) == (3007, {"price": price, "best": best})
    admission.check_post_only(replace(wanted, price=D(100)), MARKET.quote)
    admission.check_post_only(replace(wanted, post_only=False), MARKET.quote)
    admission.check_post_only(replace(wanted, trigger_price=D(100)), MARKET.quote)


@pytest.mark.parametrize(("side", "own", "behind"), [("buy", "100", "101"), ("sell", "100", "99")])
def test_post_only_must_not_meet_an_own_order_either(side: str, own: str, behind: str) -> None:
    wanted = request(price="100", side=Side(side), post_only=True)
    facing = OrderStateFactory.build(side=Side(side).opposite, price=D(own))

    refused = refusal(admission.check_post_only, wanted, MARKET.quote, facing=[facing])

    assert refused == (3007, {"price": "100", "best": own})
    facing.price = D(behind)
    admission.check_post_only(wanted, MARKET.quote, facing=[facing])
    admission.check_post_only(wanted, MARKET.quote, facing=[OrderStateFactory.build(side=Side(side))])


def worth(*, equity: str, initial: str) -> MarginSummary:
    """An account without positions."""
    return MarginSummary(balance=D(equity), unrealized_pnl=D(0), initial=D(initial), maintenance=D(0))


def test_margin_that_binds_more_must_be_covered() -> None:
    before = worth(equity="1000", initial="400")
    admission.check_margin(before, worth(equity="999", initial="999"))
    assert refusal(admission.check_margin, before, worth(equity="999", initial="999.01")) == (
        3003,
        {"required": "600.01", "available": "600"},
    )


def test_what_binds_less_or_as_much_always_passes() -> None:
    under_water = worth(equity="100", initial="400")
    admission.check_margin(under_water, worth(equity="90", initial="400"))
    admission.check_margin(under_water, worth(equity="-50", initial="10"))
    assert refusal(admission.check_margin, under_water, worth(equity="100", initial="401")) == (
        3003,
        {"required": "1", "available": "0"},
    )
