"""Binance's answers as this code reads them: what is an answer, a refusal, a limit, or nothing to rely on."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest
from django.core.exceptions import ImproperlyConfigured

from astrade.core.errors import (
    AstradeError,
    BelowMinimumSize,
    InsufficientMargin,
    PriceOffTick,
    UnknownMarket,
    ValidationFailed,
)
from astrade.venues.binance import public_calls
from astrade.venues.binance.calls import Call, answer_of, request_of
from astrade.venues.binance.profiles import PROFILES, Network, profile_of_settings
from astrade.venues.binance.refusals import reason_of
from astrade.venues.errors import (
    InvalidSignature,
    InvalidVenueCredentials,
    Refused,
    Throttled,
    Unavailable,
    Unknown,
    VenueError,
)
from astrade.venues.transport import Answer

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DEPTH = public_calls.depth("BTCUSDT")
WRITE: Call[Any] = Call(name="order", path="/order", kind=Any, weight=1, method="POST")


def answer(status: int, body: Any, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Answer(status, httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}), raw)


def test_a_call_is_what_the_venue_asks_for() -> None:
    call = public_calls.klines("BTCUSDT", interval="1m", start_ms=1, end_ms=2)
    request = request_of(call, PROFILES[Network.TESTNET])

    assert request.url == "https://testnet.binance.vision/api/v3/klines"
    assert dict(request.query) == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "startTime": "1",
        "endTime": "2",
        "limit": "1000",
    }


def test_answers_are_read_as_they_are() -> None:
    body = {"lastUpdateId": 7, "bids": [["9.10", "1.0"]], "asks": []}
    assert answer_of(DEPTH, answer(200, body), now=NOW).bids == [("9.10", "1.0")]
    row = [60_000, "1", "3", "0.5", "2", "9", 119_999, "18", 4, "5", "10", "0"]
    klines = public_calls.klines("X", interval="1m", start_ms=0, end_ms=1)
    (kline,) = answer_of(klines, answer(200, [row]), now=NOW)
    assert (kline.open_ms, kline.low, kline.trades) == (60_000, Decimal("0.5"), 4)


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (-1121, "Invalid symbol.", UnknownMarket),
        (-1100, "Illegal characters found in parameter 'limit'.", ValidationFailed),
        (-1013, "Filter failure: PRICE_FILTER", PriceOffTick),
        (-1013, "Filter failure: NOTIONAL", BelowMinimumSize),
        (-1013, "Filter failure: SOMETHING_NEW", ValidationFailed),
        (-2010, "Account has insufficient balance for requested action.", InsufficientMargin),
        (-2010, "Order would immediately match and take.", VenueError),
        (-2015, "Invalid API-key, IP, or permissions for action.", InvalidVenueCredentials),
        (-1022, "Signature for this request is not valid.", InvalidSignature),
        (-9999, "Never seen.", VenueError),
    ],
)
def test_a_refusal_is_named_in_our_words(code: int, message: str, reason: type[AstradeError]) -> None:
    assert reason_of(code, message=message) is reason
    with pytest.raises(Refused) as refused:
        answer_of(WRITE, answer(400, {"code": code, "msg": message}), now=NOW)
    assert refused.value.reason is reason and refused.value.venue_code == code


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [(429, {"Retry_After": "7"}, 7), (418, {"Retry_After": "259200"}, 259_200), (429, {}, 5)],
)
def test_a_limit_and_a_ban_say_when_to_come_back(status: int, headers: dict[str, str], seconds: int) -> None:
    for call in (DEPTH, WRITE):
        with pytest.raises(Throttled) as limited:
            answer_of(call, answer(status, {"code": -1003, "msg": "x"}, **headers), now=NOW)
        assert limited.value.retry_after_s == seconds and limited.value.is_from_venue


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"code": -1000, "msg": "An unknown error occurred."}),
        (503, {"code": -1008, "msg": "Server is currently overloaded."}),
        (504, {"code": -1007, "msg": "Timeout waiting for response."}),
        (400, {"code": -1006, "msg": "Unexpected response."}),
        (502, b"<html>"),
        (403, b"<html>"),
        (200, b'{"lastUpdateId":'),
        (301, b""),
    ],
)
def test_what_says_nothing_is_unknown_for_a_write_only(status: int, body: Any) -> None:
    with pytest.raises(Unavailable):
        answer_of(DEPTH, answer(status, body), now=NOW)
    if status != 200:
        with pytest.raises(Unknown):
            answer_of(WRITE, answer(status, body), now=NOW)


def test_one_address_brings_the_others_with_it_and_networks_never_mix(settings: Any) -> None:
    profile = profile_of_settings.__wrapped__
    settings.BINANCE_NETWORK = "mainnet"
    assert profile() == PROFILES[Network.MAINNET]
    settings.BINANCE_STREAM_URL = "wss://stream.testnet.binance.vision"
    with pytest.raises(ImproperlyConfigured):
        profile()
    settings.BINANCE_API_URL, settings.BINANCE_STREAM_URL = "http://127.0.0.1:8700/", ""
    at_host = profile()
    assert (at_host.rest_url, at_host.stream_url) == ("http://127.0.0.1:8700", "ws://127.0.0.1:8700")
    assert (at_host.ws_api_url, at_host.host) == ("ws://127.0.0.1:8700/ws-api/v3", "127.0.0.1:8700")
