"""Every list: newest first, 50 unless said, 1 to 1,000, and a clear refusal of what is none of these."""

from typing import Any

from accounts.tests.client import Api
from astrade.core.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from trading.tests.api.client import Trader

PAGED = (
    "/accounts", "{account}/orders", "{account}/ledger", "{account}/positions", "{account}/positions?is_open=false",
    "/account/positions", "/account/positions/history", "/orders", "/orders/history", "/trades", "/transfers",
    "/deposits", "/proofs/roots", "/sessions", "/api-keys", "/venue-credentials", "/xp/history",
    "/leaderboard",
)  # fmt: skip
LIMITED = (*PAGED, "/events", "/markets/BTC-USD/trades", "/markets/BTC-USD/candles", "/markets/BTC-USD/funding")
WHOLE = ("/positions", "/missions", "/planets", "/markets", "/account/fees", "/account/leverage")
BAD_LIMITS = ("limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=1.5")
BAD_CURSORS = ("cursor=-1", "cursor=x", "cursor=", "cursor=99999999999999999999")
LAST_CURSOR = 2**63 - 1


def asked(trader: Trader, path: str, query: str) -> Any:
    """The answer to a list with a query."""
    url = path.format(account=trader.path)
    return trader.api.get(f"{url}{'&' if '?' in url else '?'}{query}")


def test_limits_are_those_of_the_contract() -> None:
    assert (DEFAULT_LIMIT, MAX_LIMIT) == (50, 1000)


def test_impossible_limits_are_refused(trader: Trader) -> None:
    for path in LIMITED:
        for query in BAD_LIMITS:
            answer = asked(trader, path, query)
            assert (path, query, answer.error) == (path, query, (400, 1001))
            assert list(answer.content["error"]["details"]["fields"]) == ["limit"]


def test_impossible_cursors_are_refused(trader: Trader) -> None:
    for path in PAGED:
        for query in BAD_CURSORS:
            assert (path, query, asked(trader, path, query).error) == (path, query, (400, 1001))


def test_the_last_cursor_is_where_a_list_begins(trader: Trader) -> None:
    trader.place()
    trader.place(side="sell")

    for path in PAGED:
        last, first = asked(trader, path, f"cursor={LAST_CURSOR}&limit=1000"), asked(trader, path, "limit=1000")
        assert (path, last.data) == (path, first.data)


def test_every_list_says_how_many_it_holds(trader: Trader) -> None:
    for path in (*PAGED, *WHOLE):
        answer = trader.api.get(path.format(account=trader.path))
        rows = answer.data["entries"] if path == "/leaderboard" else answer.data
        assert (path, answer.content["pagination"]) == (path, {"cursor": None, "count": len(rows)})


def test_fifty_unless_said(trader: Trader) -> None:
    """Of the lists whose rows are quickly made; they all read the same query."""
    for _ in range(26):
        trader.place()
        trader.place(side="sell")

    for path in ("{account}/orders", "{account}/ledger", "/orders/history", "/trades", "/events"):
        answer = trader.api.get(path.format(account=trader.path))
        assert (len(answer.data), answer.content["pagination"]["count"]) == (50, 50), path
        assert answer.content["pagination"]["cursor"] is not None, path


def test_events_after_nothing_that_is_a_sequence(trader: Trader) -> None:
    for query in ("after=-1", "after=x", "after="):
        assert trader.api.get(f"/events?{query}").error == (400, 1001)


def test_lists_of_nobody_in_particular_need_no_credentials(trader: Trader) -> None:
    for path in ("/markets", "/leaderboard", "/proofs/roots"):
        assert Api().get(path).status == 200
