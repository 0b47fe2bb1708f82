"""Whatever is sent: a clear refusal that names the field, and no trace but the refusal's record."""

from datetime import timedelta
from typing import Any

import pytest

from astrade.core.clock import system_clock
from astrade.core.redis import sync_client
from trading.models import Event, Fill, JournalEntry, Order, OrderRefusal
from trading.tests.api.client import ORDER, RESTING, Trader
from trading.tests.conftest import Feed


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


def trace() -> tuple[int, ...]:
    """Rows that an order leaves."""
    return tuple(table.objects.count() for table in (Order, Fill, JournalEntry, Event))


@pytest.mark.parametrize(
    ("changes", "refusal", "field"),
    [
        ({"quantity": None}, (400, 1001), "quantity"),
        ({"quantity": "NaN"}, (400, 1001), "quantity"),
        ({"quantity": "Infinity"}, (400, 1001), "quantity"),
        ({"quantity": "1e400"}, (400, 1001), "quantity"),
        ({"quantity": "1e-400"}, (400, 1001), "quantity"),
        ({"quantity": "-1"}, (400, 1001), "quantity"),
        ({"quantity": "0"}, (400, 1001), "quantity"),
        ({"quantity": True}, (400, 1001), "quantity"),
        ({"quantity": [1]}, (400, 1001), "quantity"),
        ({"quantity": {}}, (400, 1001), "quantity"),
        ({"quantity": "١"}, (400, 1001), "quantity"),
        ({"quantity": "9" * 30}, (400, 1001), "quantity"),
        ({"quantity": "0.0000000000000000001"}, (400, 1001), "quantity"),
        ({"quantity": "2000"}, (400, 1001), "quantity"),
        ({"quantity": "0.0001"}, (400, 3000), None),
        ({"quantity": "1.0001"}, (400, 3001), None),
        ({"quantity": "500"}, (400, 3003), None),
        ({"symbol": "NOTHING"}, (400, 2000), None),
        ({"symbol": ""}, (400, 1001), "symbol"),
        ({"symbol": 5}, (400, 1001), "symbol"),
        ({"symbol": "BTC\u0000USD"}, (400, 1001), "symbol"),
        ({"symbol": "x" * 65}, (400, 1001), "symbol"),
        ({"side": "hold"}, (400, 1001), "side"),
        ({"side": None}, (400, 1001), "side"),
        ({"type": "magic"}, (400, 1001), "type"),
        ({"type": []}, (400, 1001), "type"),
        ({"type": "twap"}, (400, 1001), "twap"),
        ({"expires_at": 1893456000000}, (400, 1001), "expires_at"),
        ({"time_in_force": "GTT", "expires_at": 1893456000000}, (400, 1001), "time_in_force"),
        ({"type": "limit"}, (400, 1001), "price"),
        ({"price": "100"}, (400, 1001), "price"),
        ({"type": "limit", "price": "100.5"}, (400, 3002), None),
        ({"type": "limit", "price": "-5"}, (400, 3002), None),
        ({"type": "limit", "price": "150"}, (400, 3008), None),
        ({"type": "limit", "price": "101", "post_only": True}, (400, 3007), None),
        ({"post_only": True}, (400, 1001), "post_only"),
        ({"post_only": "perhaps"}, (400, 1001), "post_only"),
        ({"reduce_only": True}, (400, 3006), None),
        ({"time_in_force": "GTT", "type": "limit", "price": "95"}, (400, 1001), "expires_at"),
        (
            {"time_in_force": "GTT", "type": "limit", "price": "95", "expires_at": 1000000000000},
            (400, 1001),
            "expires_at",
        ),
        (
            {"time_in_force": "GTT", "type": "limit", "price": "95", "expires_at": 9999999999999},
            (400, 1001),
            "expires_at",
        ),
        ({"time_in_force": "GTT", "type": "limit", "price": "95", "expires_at": "soon"}, (400, 1001), "expires_at"),
        ({"time_in_force": "whenever"}, (400, 1001), "time_in_force"),
        ({"leverage": 0}, (400, 1001), "leverage"),
        ({"leverage": 101}, (400, 1001), "leverage"),
        ({"leverage": 11}, (400, 3005), None),
        ({"leverage": "x"}, (400, 1001), "leverage"),
        ({"client_order_id": "no blanks"}, (400, 1001), "client_order_id"),
        ({"client_order_id": "x" * 65}, (400, 1001), "client_order_id"),
        ({"tag": "x" * 65}, (400, 1001), "tag"),
        ({"tag": "a\u0000"}, (400, 1001), "tag"),
    ],
)
def test_bad_order_is_refused_with_its_code_and_field(
    trader: Trader, changes: dict[str, Any], refusal: tuple[int, int], field: str | None
) -> None:
    before = trace()

    answer = trader.api.post("/orders", {**ORDER, **changes})

    assert answer.error == refusal
    if field is not None:
        assert list(answer.content["error"]["details"]["fields"]) == [field]
    assert trace() == before
    kept = list(OrderRefusal.objects.values_list("code", flat=True))
    assert kept in ([], [refusal[1]])
    assert refusal[1] not in range(3000, 3013) or kept == [refusal[1]]


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b"{", (400, 1000)),
        (b"[]", (400, 1000)),
        (b'"order"', (400, 1000)),
        (b"", (400, 1001)),
        (b'{"quantity": NaN}', (400, 1000)),
        (b'{"quantity": 1e400, "symbol": "BTC-USD", "side": "buy", "type": "market"}', (400, 1001)),
        (b"[" * 10_000, (400, 1000)),
        (b'{"tag": "' + b"x" * (1 << 20) + b'"}', (413, 1007)),
        (b"\xff\xfe", (400, 1000)),
    ],
)
def test_bad_bodies_leave_nothing(trader: Trader, raw: bytes, refusal: tuple[int, int]) -> None:
    before = trace()

    for path in ("/orders", "/orders/preview", f"{trader.path}/orders", f"{trader.path}/positions/close"):
        assert (path, trader.api.post(path, raw).error) == (path, refusal)

    assert trace() == before
    assert not OrderRefusal.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/orders/not-a-uuid", (404, 1002)),
        ("GET", "/accounts/1", (404, 1002)),
        ("PUT", "/orders", (405, 1003)),
        ("POST", "/trades", (405, 1003)),
        ("GET", "/orders?side=up", (400, 1001)),
        ("DELETE", "/orders?side=up", (400, 1001)),
        ("DELETE", "/orders?symbol=NOTHING", (400, 2000)),
        ("GET", "/account/positions?is_open=perhaps", (400, 1001)),
        ("GET", "/trades?symbol=%00", (400, 1000)),
        ("GET", "/orders?status=" + "x" * 21, (400, 1001)),
    ],
)
def test_bad_paths_methods_and_queries(trader: Trader, method: str, path: str, refusal: tuple[int, int]) -> None:
    assert trader.api.call(method, path).error == refusal


def test_stale_and_missing_prices_are_a_503(trader: Trader, feed: Feed) -> None:
    feed(at=system_clock() - timedelta(minutes=1), sequence=2)
    assert trader.place().error == (503, 2002)
    assert trader.api.post("/orders/preview", ORDER).data["refusal"]["code"] == 2002
    sync_client().flushdb()
    assert trader.place().error == (503, 2002)
    assert trader.api.post("/orders/preview", RESTING).error == (503, 2002)
    assert list(OrderRefusal.objects.values_list("code", flat=True)) == [2002, 2002]
    assert not Order.objects.exists()
