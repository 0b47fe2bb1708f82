"""Keys, signatures and times: what the exchange checks before it does anything; and what it counts."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest

from astrade.emulators.binance import signatures
from astrade.emulators.binance.limits import Limits
from astrade.emulators.binance.server import BASE
from astrade.emulators.tests.binance_harness import (
    BTC,
    BinanceHarness,
    ask,
    code_of,
    ed25519_of,
    hmac_of,
    running,
    signed_query,
    sorted_payload,
)

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
TAIL = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("payload", "signature"),
    [
        (f"symbol=LTCBTC{TAIL}", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (
            f"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96{TAIL}",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_the_published_signatures_of_rest_are_valid(payload: str, signature: str):
    query, body = payload.split("&quantity")
    for sent in (signatures.rest_payload(payload, f"signature={signature}"), payload):
        assert signatures.is_hmac(SECRET, sent, signature.upper())
    assert signatures.rest_payload(query, "quantity" + body) == payload.replace("&quantity", "quantity")
    assert not signatures.is_hmac(SECRET, payload + "0", signature)


@pytest.mark.parametrize(
    ("params", "signature"),
    [
        (
            {"symbol": "BTCUSDT", "side": "SELL", "price": "52000.00", "quantity": "0.01000000", "recvWindow": "100"},
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            {
                "symbol": "１２３４５６",
                "side": "BUY",
                "price": "0.10000000",
                "quantity": "1.00000000",
                "recvWindow": "5000",
            },
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
    ],
)
def test_the_published_signatures_of_the_websocket_api_are_valid(params: dict[str, str], signature: str):
    sent = params | {"type": "LIMIT", "timeInForce": "GTC", "timestamp": "1645423376532", "apiKey": KEY}
    assert signatures.is_hmac(SECRET, signatures.rpc_payload(sent | {"signature": signature}), signature)


async def test_every_part_of_a_request_is_under_its_signature(binance: BinanceHarness):
    """Query and form body together; a signature in either; one digit changed, and it is none."""
    account, order = binance.account, binance.order(newClientOrderId="mine", timestamp=binance.now_ms)
    headers = {"X-MBX-APIKEY": account.api_key}
    names = list(order)
    query, form = (urlencode({name: order[name] for name in part}) for part in (names[:4], names[4:]))
    signature = hmac_of(account.api_secret, query + form)

    async def post(query: str, form: str) -> int:
        sent = headers | {"Content-Type": "application/x-www-form-urlencoded"}
        return (await binance.http.post(f"{BASE}/order/test?{query}", content=form, headers=sent)).status_code

    assert await post(query, f"{form}&signature={signature}") == 200
    assert await post(f"{query}&signature={signature}", form) == 200
    for bad in (form.replace("mine", "mind"), form + "&"):
        assert await post(query, f"{bad}&signature={signature}") == 400
    assert binance.account.orders == {}


async def test_what_was_signed_before_it_was_encoded_is_refused(binance: BinanceHarness):
    account = binance.account
    headers = {"X-MBX-APIKEY": account.api_key}
    symbols, time = '["BTCUSDT"]', f"timestamp={binance.now_ms}"
    raw, encoded = f"symbol={symbols}&{time}", f"symbol={quote(symbols)}&{time}"
    codes = {}
    for signed in (raw, encoded):
        url = f"{BASE}/openOrders?{encoded}&signature={hmac_of(account.api_secret, signed)}"
        codes[signed] = code_of(await binance.http.get(url, headers=headers))
    assert codes == {raw: -1022, encoded: -1121}


async def test_ed25519_keys_sign_both_interfaces(binance: BinanceHarness):
    account, key = binance.account, binance.account.ed25519_private_key
    headers = {"X-MBX-APIKEY": account.ed25519_api_key}
    query = f"timestamp={binance.now_ms}"
    signature = ed25519_of(key, query)
    for good, status in ((signature, 200), (signature.swapcase(), 400), ("none", 400)):
        response = await binance.http.get(f"{BASE}/account?{query}&signature={quote(good)}", headers=headers)
        assert response.status_code == status, response.text
    async with binance.stream("/ws-api/v3") as socket:
        params = {"apiKey": account.ed25519_api_key, "timestamp": binance.now_ms}
        signed = params | {"signature": ed25519_of(key, sorted_payload(params))}
        assert (await ask(socket, "account.status", **signed))["result"]["uid"] == account.id


def test_the_reference_key_gives_the_reference_signature():
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    payload = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918"
    pem = signatures.pem_of(bytes.fromhex(seed))
    signature = "XtZirsmmi0noRzUfkqktvkVfxpkq/WtbLg2UOL3QGYdUBZVlqOBEMuEVw8zioY93N54NcKj9UuAXQEa9zgTDBg=="
    assert signatures.is_ed25519(pem, f"{payload}&recvWindow=5000", signature)
    assert not signatures.is_ed25519(pem, f"{payload}&recvWindow=5001", signature)


async def test_keys_and_signatures_have_their_refusals(binance: BinanceHarness):
    async def refusal(api_key: str | None, query: str) -> tuple[int, int]:
        headers = {} if api_key is None else {"X-MBX-APIKEY": api_key}
        response = await binance.http.get(f"{BASE}/account?{query}", headers=headers)
        return response.status_code, code_of(response)

    account, good = binance.account, signed_query(binance.account.api_secret, {"timestamp": binance.now_ms})
    assert await refusal(None, good) == (401, -2014)
    assert await refusal("x" * 64, good) == (401, -2015)
    assert await refusal(binance.second.api_key, good) == (400, -1022)
    assert await refusal(account.ed25519_api_key, good) == (400, -1022)
    assert await refusal(account.api_key, f"timestamp={binance.now_ms}") == (400, -1102)
    assert await refusal(account.api_key, signed_query(account.api_secret, {})) == (400, -1102)


@pytest.mark.parametrize(
    ("offset_ms", "window", "code"),
    [
        (-5_000, None, None),
        (-5_001, None, -1021),
        (999, None, None),
        (1_000, None, -1021),
        (-60_000, "60000", None),
        (-101, "100.5", -1021),
        (-100, "100.5", None),
        (0, "60001", -1131),
        (0, "soon", -1100),
    ],
)
async def test_a_request_is_good_for_its_window(
    binance: BinanceHarness, offset_ms: int, window: str | None, code: int | None
):
    params: dict[str, Any] = {} if window is None else {"recvWindow": window}
    response = await binance.call("GET", "/account", timestamp=binance.now_ms + offset_ms, **params)
    assert response.json().get("code") == code


async def test_microseconds_are_a_time_too(binance: BinanceHarness):
    assert (await binance.call("GET", "/account", timestamp=binance.now_ms * 1_000)).status_code == 200


async def test_what_succeeds_is_free_and_what_fails_weighs(binance: BinanceHarness):
    async def weight_of(method: str, path: str, **params: Any) -> int:
        before = int((await binance.http.get(f"{BASE}/ping")).headers["X-MBX-USED-WEIGHT-1M"])
        response = await binance.call(method, path, **params)
        return int(response.headers["X-MBX-USED-WEIGHT-1m"]) - before

    assert await weight_of("POST", "/order", **binance.order(newClientOrderId="mine")) == 0
    assert await weight_of("POST", "/order", **binance.order(newClientOrderId="mine")) == 1  # twice
    assert await weight_of("POST", "/order/test", **binance.order()) == 1
    assert await weight_of("GET", "/order", symbol=BTC, origClientOrderId="mine") == 4
    assert await weight_of("GET", "/openOrders", symbol=BTC) == 6
    assert await weight_of("GET", "/openOrders") == 80
    assert await weight_of("GET", "/myTrades", symbol=BTC) == 20
    assert await weight_of("GET", "/myTrades", symbol=BTC, orderId="1") == 5
    assert await weight_of("DELETE", "/order", symbol=BTC, origClientOrderId="mine") == 0
    for limit, weight in ((100, 5), (101, 25), (1_000, 50), (5_000, 250)):
        before = binance.exchange.traffic.used("127.0.0.1", now_ms=binance.now_ms)
        answer = await binance.http.get(f"{BASE}/depth", params={"symbol": BTC, "limit": limit})
        assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) - before == weight


async def test_who_exceeds_the_weight_waits_and_who_does_not_wait_is_banned():
    async with running(limits=Limits(weight_1m=60)) as binance:
        for _ in range(2):
            assert (await binance.http.get(f"{BASE}/trades", params={"symbol": BTC})).status_code == 200
        for _ in range(5):
            refused = await binance.http.get(f"{BASE}/trades", params={"symbol": BTC})
            assert (refused.status_code, code_of(refused)) == (429, -1003)
            assert refused.headers["Retry-After"] == "30"
        for ban_s in (120, 240):
            while (refused := await binance.http.get(f"{BASE}/trades", params={"symbol": BTC})).status_code != 418:
                assert refused.status_code in (200, 429)
            assert (code_of(refused), refused.headers["Retry-After"]) == (-1003, str(ban_s))
            binance.advance(ban_s * 1_000 - 1)
            banned = await binance.http.get(f"{BASE}/ping")
            assert (banned.status_code, banned.headers["Retry-After"]) == (418, "1")
            binance.advance(1)
        binance.advance(MINUTE_MS)
        assert (await binance.http.get(f"{BASE}/ping")).status_code == 200


async def test_unfilled_orders_are_counted_by_account():
    async with running(limits=Limits(orders_10s=2)) as binance:
        first = await binance.place()
        assert (first.headers["X-MBX-ORDER-COUNT-10S"], first.headers["X-MBX-ORDER-COUNT-1D"]) == ("1", "1")
        await binance.take()
        assert (await binance.place()).headers["X-MBX-ORDER-COUNT-10S"] == "2"  # the one that was filled counts no more
        refused = await binance.place()
        assert (refused.status_code, code_of(refused), refused.headers["Retry-After"]) == (429, -1015, "10")
        assert (await binance.call("POST", "/order", account=binance.second, **binance.order())).status_code == 200
        counts = await binance.read("/rateLimit/order")
        assert [(one["interval"], one["limit"], one["count"]) for one in counts] == [
            ("SECOND", 2, 2),
            ("DAY", 160_000, 2),
        ]
        binance.advance(10_000)
        assert (await binance.place()).headers["X-MBX-ORDER-COUNT-10S"] == "1"


async def test_connections_are_counted():
    async with running(limits=Limits(connections_5m=1)) as binance, binance.stream("/ws"):
        refused = await binance.http.get("/ws", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert (refused.status_code, code_of(refused)) == (429, -1003)
