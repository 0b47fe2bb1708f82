"""How answers of Extended are judged: refused, unavailable, unknown, or read."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest

from astrade.core.errors import InsufficientMargin
from astrade.venues.errors import (
    AlreadyThere,
    InvalidVenueCredentials,
    Refused,
    Throttled,
    Unavailable,
    Unknown,
    VenueError,
)
from astrade.venues.extended import account_calls, order_calls, public_calls
from astrade.venues.extended.calls import Access, answer_of, request_of
from astrade.venues.extended.profiles import Network, Profile
from astrade.venues.extended.refusals import REASONS, reason_of
from astrade.venues.extended.wire import OperationStatus, OperationType
from astrade.venues.transport import Answer

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ACCESS = Access("0123456789abcdef", 7)
PLACE, READ = order_calls.place_order({"id": "mine"}), account_calls.positions()
PLACED = {"status": "OK", "data": {"id": 1791389621914243072, "externalId": "mine"}}
PROFILE = Profile(network=Network.TESTNET, rest_url="https://exchange.test/api/v1/")


def answer(status: int, body: Any, kind: str = "application/json", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Answer(status, httpx.Headers({"Content-Type": kind, **headers}), raw)


def error(code: int | str | None, message: str = "no") -> dict[str, Any]:
    return {"status": "ERROR", "error": {"code": code, "message": message}}


def judged(call: Any, given: Answer) -> Any:
    return answer_of(call, given, access=ACCESS, now=NOW)


def failure(call: Any, given: Answer) -> VenueError:
    with pytest.raises(VenueError) as ended:
        judged(call, given)
    return ended.value


@pytest.mark.parametrize("status", [200, 201])
def test_a_good_answer_is_read(status: int) -> None:
    assert judged(PLACE, answer(status, PLACED)).id == 1791389621914243072


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, error(1006), "application/json"),  # an application error behind a 5xx proves nothing
        (503, error(1010), "application/json"),
        (502, b"<html>", "text/html"),
        (200, b"<html>", "text/html"),
        (200, b'{"status":"OK"', "application/json"),
        (200, b"", "application/json"),
        (200, b"\xff\xfe", "application/json"),
        (200, {"status": "OK"}, "application/json"),
        (200, {"status": "OK", "data": {"id": 1}}, "application/json"),
        (200, {"status": "OK", "data": [1]}, "application/json"),
        (200, {"status": "MAYBE", "data": PLACED["data"]}, "application/json"),
        (200, {"data": PLACED["data"]}, "application/json"),
        (200, PLACED, "text/html"),
        (400, b"Bad Request", "text/plain"),
        (404, b"<html>", "text/html"),
        (408, b"", "text/plain"),
        (409, {"status": "OK"}, "application/json"),
        (307, b"", "text/html"),
        (101, PLACED, "application/json"),
    ],
)
def test_what_says_neither_yes_nor_no_is_unknown_for_a_write(status: int, body: Any, kind: str) -> None:
    ended = failure(PLACE, answer(status, body, kind))
    assert isinstance(ended, Unknown) and ended.code == 5005
    assert ended.details["cause"] == ("unreadable_answer" if status == 200 else f"http_{status}")


@pytest.mark.parametrize(("status", "body"), [(500, b""), (302, b""), (200, b"{"), (404, b"<html>")])
def test_for_a_read_the_same_is_unavailable(status: int, body: bytes) -> None:
    ended = failure(READ, answer(status, body))
    assert isinstance(ended, Unavailable) and not isinstance(ended, Throttled) and ended.code == 5004


@pytest.mark.parametrize("status", [200, 400, 404, 422])
@pytest.mark.parametrize("call", [PLACE, READ], ids=["write", "read"])
def test_an_error_that_is_told_is_a_refusal_whatever_its_status(call: Any, status: int) -> None:
    ended = failure(call, answer(status, error(1140, "New order cost exceeds available balance")))
    assert isinstance(ended, Refused)
    assert (ended.code, ended.status, ended.reason, ended.venue_code) == (3003, 400, InsufficientMargin, 1140)
    assert ended.details == {"venue_code": 1140, "venue_message": "New order cost exceeds available balance"}


@pytest.mark.parametrize("code", ["NOT_FOUND", None, 999_999])
def test_a_number_that_nobody_knows_is_5000(code: Any) -> None:
    ended = failure(PLACE, answer(400, error(code)))
    assert isinstance(ended, Refused) and (ended.code, ended.status, ended.venue_code) == (5000, 400, code)


@pytest.mark.parametrize(("body", "kind"), [(b"", "text/plain"), (error(1500), "application/json")])
def test_401_is_5001_whatever_it_says(body: Any, kind: str) -> None:
    for call in (PLACE, READ):
        ended = failure(call, answer(401, body, kind))
        assert isinstance(ended, Refused) and (ended.code, ended.status) == (5001, 401)


def test_429_says_that_nothing_was_done_and_when_to_come_back() -> None:
    for call in (PLACE, READ):
        ended = failure(call, answer(429, b"", "text/plain", **{"Retry-After": "17"}))
        assert isinstance(ended, Throttled) and (ended.code, ended.retry_after_s) == (1201, 17)
    assert failure(PLACE, answer(429, PLACED)).retry_after_s == 5


def test_1134_is_proof_only_where_an_order_is_placed() -> None:
    assert isinstance(failure(PLACE, answer(400, error(1134))), AlreadyThere)
    assert isinstance(failure(order_calls.claim(), answer(400, error(1134))), Refused)


def test_404_is_an_answer_only_where_it_may_be_and_only_if_the_exchange_gave_it() -> None:
    gone = answer(404, error(1004))
    assert judged(account_calls.balance(), gone) is None
    assert judged(account_calls.orders_by_external_id("x"), gone) == []
    assert isinstance(failure(READ, gone), Refused)
    assert isinstance(failure(account_calls.balance(), answer(404, b"<html>", "text/html")), Unavailable)
    assert isinstance(failure(account_calls.balance(), answer(400, error(1004))), Refused)


def test_funds_that_do_not_suffice_are_no_matter_of_margin() -> None:
    assert failure(order_calls.withdraw({}), answer(400, error(1140))).code == 4001
    assert failure(order_calls.transfer({}), answer(400, error(1004))).code == 4002


def test_an_empty_answer_acknowledges_where_the_venue_gives_such() -> None:
    assert judged(account_calls.set_leverage("BTC-USD", Decimal(10)), answer(200, b"", "text/plain")) is None
    assert judged(order_calls.dead_mans_switch(60), answer(200, b"")) is None
    assert isinstance(failure(order_calls.cancel_order(1), answer(200, b"")), Unknown)


def test_the_venues_words_never_hold_the_key() -> None:
    ended = failure(PLACE, answer(400, error(1009, f"key {ACCESS.api_key} token=abc {'x' * 999}")))
    words = ended.details["venue_message"]
    assert ACCESS.api_key not in words and "abc" not in words and len(words) == 300


@pytest.mark.parametrize("key", ["", "two words", "línea", "a\nb", "a\r\nX-Evil: 1"])
def test_what_cannot_be_a_key_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(InvalidVenueCredentials):
        Access(key, 1)


def test_a_request_holds_what_the_reference_wants() -> None:
    query: dict[str, Any] = {
        "types": [OperationType.CLAIM, OperationType.DEPOSIT],
        "statuses": [OperationStatus.CREATED],
    }
    request = request_of(account_calls.operations(**query, limit=5), PROFILE, ACCESS)
    assert (request.method, request.url) == ("GET", "https://exchange.test/api/v1/user/assetOperations")
    assert list(request.query) == [("type", "CLAIM"), ("type", "DEPOSIT"), ("status", "CREATED"), ("limit", "5")]
    assert request.headers["X-Api-Key"] == ACCESS.api_key and request.body is None
    assert ACCESS.api_key not in repr(request) and ACCESS.api_key not in repr(ACCESS)
    with pytest.raises(InvalidVenueCredentials):
        request_of(READ, PROFILE, None)


def test_a_public_request_holds_no_key() -> None:
    assert "X-Api-Key" not in request_of(public_calls.markets(), PROFILE, ACCESS).headers


def test_orders_go_to_their_own_base_and_names_are_quoted() -> None:
    profile = Profile(network=Network.TESTNET, rest_url="https://a.test/api/v1", orders_url="https://b.test/v9/")
    assert request_of(PLACE, profile, ACCESS).url == "https://b.test/v9/user/order"
    assert request_of(READ, profile, ACCESS).url == "https://a.test/api/v1/user/positions"
    named = request_of(account_calls.orders_by_external_id("a/../b?c"), profile, ACCESS)
    assert named.url == "https://a.test/api/v1/user/orders/external/a%2F..%2Fb%3Fc"


def test_a_body_is_sent_as_it_is() -> None:
    body = {"market": "BTC-USD", "leverage": "12.5"}
    assert (
        orjson.loads(request_of(account_calls.set_leverage("BTC-USD", Decimal("12.50")), PROFILE, ACCESS).body or b"")
        == body
    )
    whole = request_of(order_calls.mass_cancel(markets=["BTC-USD"]), PROFILE, ACCESS)
    assert whole.body == b'{"markets":["BTC-USD"],"cancelAll":false}'


OURS = {
    2000: [1001, 1003],
    2001: [1002],
    3000: [1120],
    3001: [1121, 1123],
    3002: [1124, 1125],
    3003: [1140, 1147, 1148],
    3005: [1049, 1050, 1051, 1052, 1053, 10501],
    3006: [1136, 1137, 1138, 1145],
    3008: [1141],
    3009: [1126],
    3010: [1142],
    3012: [1122, 1127],
    3014: [1132],
    3017: [1012, 1014],
    4000: [1600, 1650],
    4002: [1608],
    5001: [1008, 1100, 1102, 1500],
    5002: [1101],
    5004: [1010],
    1001: [1005, 1013],
    5000: [
        *(1000, 1004, 1006, 1009, 1011, 1128, 1129, 1130, 1131, 1133, 1135, 1139, 1143, 1144, 1146),
        *(1601, 1602, 1604, 1605, 1607, 1700, 1701, 1703, 1704),
    ],
}


def test_every_number_of_the_reference_has_its_code() -> None:
    for code, numbers in OURS.items():
        for number in numbers:
            assert reason_of(number, status=400, special={}).code == code, number
    assert set(REASONS) <= {number for numbers in OURS.values() for number in numbers}
