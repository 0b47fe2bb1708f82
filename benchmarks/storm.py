"""`python -m benchmarks.storm ORDERS ACCOUNTS limit|stop`: a matcher whose orders are all reached by one tick.

Places the orders, starts the matcher as `streams` does, prints `ready`; after a line on standard input the tick goes
out, and the answer is a line of JSON: how many fills, and the seconds from the tick to the last commit.
"""

import asyncio
import json
import os
import sys
import time
from decimal import Decimal

import django
import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "astrade.settings.dev")
django.setup()

from django.conf import settings  # noqa: E402

from accounts.models import User  # noqa: E402
from astrade.core.redis import async_client  # noqa: E402
from marketdata import frames, keys, live  # noqa: E402
from trading.domain.lifecycle import OrderType, Side, TriggerBy  # noqa: E402
from trading.domain.state import OrderRequest  # noqa: E402
from trading.loading import AccountRef  # noqa: E402
from trading.matcher import Matcher  # noqa: E402
from trading.services.accounts import open_practice_account  # noqa: E402
from trading.services.orders import place_order  # noqa: E402

SYMBOL = "BTC-USD"
POLL_S = 0.005
BALANCE, QUANTITY, LOW, HIGH = Decimal(100_000), Decimal("0.001"), Decimal(76_800), Decimal(77_200)
LIMIT = OrderRequest(side=Side.BUY, type=OrderType.LIMIT, quantity=QUANTITY, price=Decimal(76_900))
STOP = OrderRequest(
    side=Side.BUY, type=OrderType.STOP, quantity=QUANTITY, trigger_price=Decimal(77_100), trigger_by=TriggerBy.LAST
)
REQUESTS = {"limit": LIMIT, "stop": STOP}


def place(request: OrderRequest, *, orders: int, accounts: int) -> None:
    """That many of one order, shared out among new accounts."""
    stamp, opened = time.time_ns(), []
    for number in range(accounts):
        user = User.objects.create(email=f"storm-{stamp}-{number}@example.com")
        opened.append(open_practice_account(user_id=user.pk, initial_balance=BALANCE).pk)
    for number in range(orders):
        place_order(account=AccountRef(account_id=opened[number % accounts]), symbol=SYMBOL, request=request)


async def let_go(matcher: Matcher, *, orders: int) -> dict[str, float]:
    """Publish the tick and wait until everything is booked."""
    quote = (await asyncio.to_thread(live.view_of, SYMBOL))[0].quote
    tick = frames.tick(quote, sequence=time.time_ns() // 1_000_000, low=LOW, high=HIGH)
    before, begin = sum(lane.booked for lane in matcher.lanes), time.perf_counter()
    await async_client().publish(keys.TICKS, tick)
    while (fills := sum(lane.booked for lane in matcher.lanes) - before) < orders:
        await asyncio.sleep(POLL_S)
    return {"fills": fills, "seconds": time.perf_counter() - begin}


async def run(*, orders: int) -> None:
    """The matcher in this process, from `ready` to the answer."""
    matcher, stop = Matcher(threads=settings.MATCHER_THREADS), asyncio.Event()
    running = asyncio.create_task(matcher.run(stop))
    while sum(len(market) for market in matcher.markets.values()) < orders:
        await asyncio.sleep(POLL_S)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(await let_go(matcher, orders=orders)), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until our costs have been read
    stop.set()
    await running


def main() -> None:
    """Prepare and run."""
    orders, accounts = int(sys.argv[1]), int(sys.argv[2])
    place(REQUESTS[sys.argv[3]], orders=orders, accounts=accounts)
    uvloop.run(run(orders=orders))


if __name__ == "__main__":
    main()
