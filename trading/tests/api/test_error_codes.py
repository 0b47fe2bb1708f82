"""Every code of the 2000 and 3000 ranges that a practice account can be answered with, provoked over HTTP."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings as configured

from accounts.models import User
from accounts.tests.client import Answer
from astrade.core.clock import system_clock, to_ms
from astrade.core.errors import STATUS_OF
from marketdata.models import Market, MarketStatus
from marketdata.selectors import forget_markets
from marketdata.services import change_rules, change_status
from trading.domain.limits import HaltScope
from trading.models import OrderRefusal, TradingAccount
from trading.services.halts import HaltTarget, set_halt
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D

Provoke = Callable[["Scene"], Answer]
OF_LIVE_VENUES = {3019}
MAX_OPEN_ORDERS = 3


class Scene:
    """A trader and a market around 100."""

    def __init__(self, market: Market, feed: Feed) -> None:
        self.market, self.feed, self.trader = market, feed, Trader()
        self.place, self.rest, self.api = self.trader.place, self.trader.rest, self.trader.api

    def account(self, **changes: object) -> None:
        """The row changes."""
        TradingAccount.objects.filter(pk=self.trader.account.pk).update(**changes)

    def rules(self, **changes: object) -> None:
        """The market's rules change."""
        change_rules(self.market.pk, changes=changes, at=system_clock(), actor_id=None)
        forget_markets()

    def crash(self) -> None:
        """From 100 to 80."""
        self.feed(bids=(("79", "1000"),), asks=(("81", "1000"),), sequence=2)


def market_not_trading(scene: Scene) -> Answer:
    change_status(scene.market.pk, status=MarketStatus.HALTED, actor_id=None)
    forget_markets()
    return scene.place()


def stale(scene: Scene) -> Answer:
    scene.feed(at=system_clock() - timedelta(seconds=configured.FEED_STALE_AFTER_S + 1), sequence=2)
    return scene.place()


def spot_oversold(scene: Scene) -> Answer:
    make_market("XRPUSDT", type="spot", max_leverage=1)
    scene.feed(symbol="XRPUSDT")
    return scene.place(symbol="XRPUSDT", side="sell")


def too_many_open(scene: Scene) -> Answer:
    for _ in range(MAX_OPEN_ORDERS):
        assert scene.rest().status == 201
    return scene.rest()


def not_open(scene: Scene) -> Answer:
    return scene.api.delete(f"/orders/{scene.place().data['id']}")


def daily_loss(scene: Scene) -> Answer:
    scene.api.patch(scene.trader.path, {"max_daily_loss": "10"})
    scene.place(quantity="3", leverage=5)
    scene.crash()
    return scene.place()


def position_limit(scene: Scene) -> Answer:
    scene.rules(max_position_notional=D(99))
    return scene.place()


def duplicate(scene: Scene) -> Answer:
    scene.place(client_order_id="once")
    return scene.place(client_order_id="once", quantity="2")


def trading_cap(scene: Scene) -> Answer:
    scene.api.patch(scene.trader.path, {"max_daily_notional": "99"})
    return scene.place()


def frozen(scene: Scene) -> Answer:
    scene.account(state="frozen")
    return scene.place()


def halted(scene: Scene) -> Answer:
    set_halt(HaltTarget(HaltScope.GLOBAL), reason="drill", actor_id=None, now=system_clock())
    return scene.place()


def cool_off(scene: Scene) -> Answer:
    scene.api.patch("/users/me", {"cool_off_until": to_ms(system_clock() + timedelta(hours=1))})
    return scene.place()


def replaced_twap(scene: Scene) -> Answer:
    order = scene.place(type="twap", twap={"duration_s": 60, "slices": 6}).data["id"]
    return scene.api.patch(f"/orders/{order}", {"quantity": "2"})


CODES: dict[int, Provoke] = {
    2000: lambda scene: scene.place(symbol="NOTHING"),
    2001: market_not_trading,
    2002: stale,
    3000: lambda scene: scene.place(quantity="0.0001"),
    3001: lambda scene: scene.place(quantity="1.0001"),
    3002: lambda scene: scene.rest(price="95.5"),
    3003: lambda scene: scene.place(quantity="200"),
    3004: spot_oversold,
    3005: lambda scene: scene.place(leverage=11),
    3006: lambda scene: scene.place(reduce_only=True),
    3007: lambda scene: scene.rest(price="105", post_only=True),
    3008: lambda scene: scene.rest(price="111"),
    3009: too_many_open,
    3010: not_open,
    3011: daily_loss,
    3012: position_limit,
    3013: duplicate,
    3014: replaced_twap,
    3015: trading_cap,
    3016: frozen,
    3017: halted,
    3018: cool_off,
}
WITHOUT_RECORD = {2000, 3010}  # no market to be kept with; no order was asked for


def test_all_codes_of_the_two_ranges_are_here() -> None:
    documented = {code for code in STATUS_OF if 2000 <= code < 4000}
    assert documented - OF_LIVE_VENUES == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_code_is_provoked_answered_and_kept(code: int, market: Market, feed: Feed, settings: object) -> None:
    settings.MAX_OPEN_ORDERS = MAX_OPEN_ORDERS  # type: ignore[attr-defined]
    scene = Scene(market, feed)

    answer = CODES[code](scene)

    assert answer.error == (STATUS_OF[code], code)
    kept = OrderRefusal.objects.filter(account=scene.trader.account).values_list("code", "figures")
    assert list(kept) == ([] if code in WITHOUT_RECORD else [(code, answer.content["error"].get("details", {}))])


def test_a_market_named_by_the_path_is_not_found(market: Market, feed: Feed) -> None:
    assert Trader().api.get("/markets/NOTHING").error == (404, 2000)


def test_a_frozen_user_is_told_so(market: Market, feed: Feed) -> None:
    trader = Trader()
    User.objects.filter(pk=trader.user.pk).update(state="frozen")
    assert trader.place().error == (403, 1107)
