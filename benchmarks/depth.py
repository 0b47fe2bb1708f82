"""What a depth event of Binance costs: read from its bytes, applied to the book, and the book's top looked at.

    python -m benchmarks.depth

Events change 40 levels of a book of 1,000 a side, most of them near its middle. Prints a table; nothing is written.
"""

import gc
import os
import random
import time
from collections.abc import Iterator

import django
import msgspec
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "astrade.settings.dev")
django.setup()

from astrade.venues.binance.book import LiveBook  # noqa: E402
from astrade.venues.binance.public_wire import Depth, DepthMessage, DepthUpdate  # noqa: E402
from benchmarks.processes import median, percentile  # noqa: E402
from benchmarks.report import table  # noqa: E402

LEVELS, CHANGED, EVENTS, ROUNDS, SHOWN = 1_000, 20, 4_000, 5, 200
MIDDLE, NEAR = 7_725_900, 60
REMOVED = 0.3


def level(tick: int, size: int) -> list[str]:
    return [f"{tick / 100:.8f}", f"{size / 100_000:.8f}"]


def messages(dice: random.Random) -> Iterator[bytes]:
    """A stretch of the stream."""

    def changes(sign: int) -> list[list[str]]:
        ranks = (1 + min(LEVELS - 1, int(dice.expovariate(1 / NEAR))) for _ in range(CHANGED))
        sizes = (0 if dice.random() < REMOVED else dice.randrange(1, 10**6) for _ in range(CHANGED))
        return [level(MIDDLE + sign * rank, size) for rank, size in zip(ranks, sizes, strict=True)]

    for number in range(EVENTS):
        data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": number + 2, "u": number + 2}
        yield orjson.dumps({"stream": "btcusdt@depth@100ms", "data": data | {"b": changes(-1), "a": changes(1)}})


def begun(dice: random.Random) -> LiveBook:
    """A book of which the next event is number 2."""
    bids, asks = (
        [tuple(level(MIDDLE + sign * rank, dice.randrange(1, 10**6))) for rank in range(1, LEVELS + 1)]
        for sign in (-1, 1)
    )
    book = LiveBook("BTCUSDT")
    book.take(DepthUpdate(first_id=1, last_id=1, bids=[], asks=[]))
    book.begin(Depth(last_update_id=1, bids=bids, asks=asks))  # type: ignore[arg-type]
    return book


def round_of(stream: list[bytes], rows: dict[str, list[float]]) -> None:
    """As the feed does: read an event, apply it, look at the best prices, and now and then at the top."""
    decode, book, clock = msgspec.json.Decoder(DepthMessage).decode, begun(random.Random(2)), time.perf_counter_ns
    book.best()
    for number, text in enumerate(stream):
        begin = clock()
        event = decode(text).data
        read = clock()
        book.take(event)
        applied = clock()
        book.best()
        looked = clock()
        rows["read"].append((read - begin) / 1_000)
        rows["read and applied"].append((applied - begin) / 1_000)
        rows["its best prices"].append((looked - applied) / 1_000)
        if number % 10 == 0:
            book.top(SHOWN)
            rows[f"its top {SHOWN}"].append((clock() - looked) / 1_000)


def main() -> None:
    stream = list(messages(random.Random(1)))
    rows: dict[str, list[float]] = {
        "read": [],
        "read and applied": [],
        "its best prices": [],
        f"its top {SHOWN}": [],
    }
    gc.freeze()
    for _ in range(ROUNDS):
        round_of(stream, rows)
    shown = [[name, f"{median(taken):.1f}", f"{percentile(taken, 99):.1f}"] for name, taken in rows.items()]
    print(table(["depth event, 40 levels", "median µs", "p99 µs"], shown))


if __name__ == "__main__":
    main()
