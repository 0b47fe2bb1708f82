"""`python -m benchmarks.market`: publishes one market's book and prices each second, for orders to be filled against.

AsTrade reads them under its own keys, the peer under `peer:book:<SYMBOL>`; the levels are the same. Nothing else
moves, so that a measurement isn't disturbed by a feed. Prints `ready` once the first view is published.
"""

import json
import os
import time
from decimal import Decimal
from itertools import count

import redis

from astrade.core.clock import system_clock, to_ms
from astrade.core.messages import Quote
from marketdata import frames, keys

SYMBOL = "BTC-USD"
MID = Decimal(77_000)
TICK = Decimal(1)
LEVELS = 50
DEPTH = Decimal(5)  # base units a level, far more than all orders of a run take from one view
PERIOD_S = 1.0


def levels(direction: int) -> dict[str, str]:
    """One side of the book from the best price outwards, price → quantity; `direction` 1 is asks, -1 bids."""
    return frames.text_levels((MID + direction * TICK * step, DEPTH) for step in range(1, LEVELS + 1))


def publish(client: redis.Redis, *, sequence: int) -> None:
    """One view of the market, for both contenders."""
    bids, asks, now = levels(-1), levels(1), system_clock()
    quote = Quote(SYMBOL, last=MID, mark=MID, index=MID, bid=MID - TICK, ask=MID + TICK, at=now)
    client.set(keys.book(SYMBOL), frames.book_snapshot(SYMBOL, sequence=sequence, bids=bids, asks=asks, at=now))
    client.hset(keys.QUOTES, SYMBOL, frames.quote_value(quote, None))
    book = {"bids": list(bids.items()), "asks": list(asks.items()), "at_ms": to_ms(now)}
    client.set(f"peer:book:{SYMBOL}", json.dumps(book))


def main() -> None:
    """Publish until terminated."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    for sequence in count(1):
        publish(client, sequence=sequence)
        if sequence == 1:
            print("ready", flush=True)
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
