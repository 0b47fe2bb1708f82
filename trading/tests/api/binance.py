"""Who speaks Binance's REST as its clients send it, and a trader who does, on a spot market around 100."""

from typing import Any
from urllib.parse import urlencode

from django.test import Client

from accounts.tests.client import JSON, encoded, some_address
from trading.api.binance.parameters import FORM
from trading.tests.api.client import Trader
from trading.tests.conftest import make_market

SYMBOL = "BTCUSDT"
ALL_SCOPES = ("read", "trade")
SIGNED = {"timestamp": "1499827319559", "recvWindow": "5000", "signature": "c8db5682"}  # as every client adds it
MARKET = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1"}
LIMIT = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "95"}
SPOT = {"venue": "binance", "type": "spot", "base": "BTC", "quote": "USDT", "max_leverage": 1}


class BinanceClient:
    """Calls `/api/v3` with a key, from an address of its own."""

    def __init__(self, key: str) -> None:
        self.key, self.address = key, some_address()

    def ask(self, method: str, path: str, query: Any = None, form: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and body of a call with this query and form; the signature stands where a client would put it."""
        address = f"/api/v3/{path}?{urlencode((query or {}) | (SIGNED if form is None else {}))}"
        body = b"" if form is None else urlencode(form | SIGNED).encode()
        return self._call(method, address, body, FORM, **headers)

    def json(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """The same with a JSON body."""
        return self._call(method, f"/api/v3/{path}", encoded(body), JSON)

    def good(self, method: str, path: str, query: Any = None, form: Any = None) -> Any:
        """The body of a success."""
        status, body = self.ask(method, path, query, form)
        assert status == 200, body
        return body

    def refused(self, method: str, path: str, query: Any = None, form: Any = None) -> tuple[int, int, str]:
        """Status, number and text of a refusal."""
        status, body = self.ask(method, path, query, form)
        assert body.keys() == {"code", "msg"}, body
        return status, body["code"], body["msg"]

    def order(self, **changes: Any) -> Any:
        """Buy 1 at market, but for the changes, in a form."""
        return self.good("POST", "order", form={**MARKET, **changes})

    def rest(self, **changes: Any) -> Any:
        """Bid 95 for 1, but for the changes."""
        return self.good("POST", "order", form={**LIMIT, **changes})

    def _call(self, method: str, address: str, body: bytes, content_type: str, **headers: str) -> tuple[int, Any]:
        sent = {"X-MBX-APIKEY": self.key, **headers}
        client = Client(REMOTE_ADDR=self.address)
        response = client.generic(method, address, body, content_type=content_type, headers=sent)
        self.headers = response.headers
        return response.status_code, response.json()


class BinanceTrader(BinanceClient, Trader):
    """With a practice account of 10,000 and an API key for it."""

    def __init__(self, *scopes: str) -> None:
        Trader.__init__(self)
        BinanceClient.__init__(self, self.with_key(*(scopes or ALL_SCOPES)).headers["X-Api-Key"])


def spot_market(symbol: str = SYMBOL, **changes: Any) -> Any:
    """BTCUSDT with the rules of `make_market`."""
    return make_market(symbol, **{**SPOT, **changes})
