"""The game beside real trading: what bookings tell is what missions understand."""

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from accounts.tests.factories import UserFactory
from gamification.intake import process_all
from gamification.models import MissionProgress, SkippedEvent
from gamification.selectors import Standing, standing_of
from marketdata.selectors import forget_markets
from marketdata.tests.factories import MarketFactory, publish
from trading.domain.lifecycle import OrderType, Side
from trading.domain.state import OrderRequest
from trading.loading import AccountRef
from trading.services.accounts import open_practice_account
from trading.services.orders import place_order
from trading.tests.twaps import look, place_twap

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("catalogue")]
WITHIN_S = 30.0  # other work on the same server may hold events back for a while


@pytest.fixture
def symbol(catalogue: None) -> Iterator[str]:
    """A market with fresh prices around 50,000."""
    yield MarketFactory.create().symbol
    forget_markets()


def order(user_id: int, symbol: str, *, side: Side, type: OrderType = OrderType.MARKET) -> None:
    publish(symbol, bids=(("49999", "5"),), asks=(("50001", "5"),))
    price = Decimal(49000) if type is OrderType.LIMIT else None
    request = OrderRequest(side=side, type=type, quantity=Decimal("0.001"), price=price)
    place_order(account=AccountRef(user_id=user_id), symbol=symbol, request=request)


def play_until(user_id: int, *, xp: int) -> Standing:
    give_up_at = time.monotonic() + WITHIN_S
    while standing_of(user_id).total_xp < xp and time.monotonic() < give_up_at:
        process_all(batches_max=10)
    return standing_of(user_id)


def test_five_market_orders_of_a_practice_account_open_the_second_planet(symbol: str) -> None:
    user = UserFactory.create()
    open_practice_account(user_id=user.pk)
    order(user.pk, symbol, side=Side.BUY, type=OrderType.LIMIT)  # rests: counts for nothing
    for side in (Side.BUY, Side.SELL, Side.BUY, Side.SELL, Side.BUY):
        order(user.pk, symbol, side=side)

    standing = play_until(user.pk, xp=120)

    assert (standing.total_xp, standing.level, standing.current_planet) == (120, 2, 2)
    assert list(standing.completed_missions) == ["first_trade", "crypto_prime_basic_trading"]
    assert not SkippedEvent.objects.exists()


def test_one_market_order_is_the_first_trade_and_one_of_five(symbol: str) -> None:
    user = UserFactory.create()
    open_practice_account(user_id=user.pk)
    order(user.pk, symbol, side=Side.SELL)

    standing = play_until(user.pk, xp=20)

    counts = MissionProgress.objects.filter(user=user).values_list("mission__slug", "count")
    assert standing.total_xp == 20
    assert dict(counts) == {"first_trade": 1, "crypto_prime_basic_trading": 1}


def test_the_slices_of_a_twap_order_are_no_market_orders(symbol: str) -> None:
    """Its fills are fills; none of its five slices is one of the five market orders, the one placed after it is."""
    user = UserFactory.create()
    account = open_practice_account(user_id=user.pk)
    publish(symbol, bids=(("49999", "5"),), asks=(("50001", "5"),))
    place_twap(account, "0.005", symbol=symbol, slices=5)
    for _ in range(5):
        look(account, after=12)
    order(user.pk, symbol, side=Side.SELL)

    play_until(user.pk, xp=20)
    give_up_at = time.monotonic() + WITHIN_S
    while not MissionProgress.objects.filter(mission__slug="crypto_prime_basic_trading").exists():
        assert time.monotonic() < give_up_at
        process_all(batches_max=10)

    assert MissionProgress.objects.get(mission__slug="crypto_prime_basic_trading").count == 1
