from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.api.parsers import decode
from astrade.core.errors import Malformed, TooLarge
from astrade.core.tests.http import call, error_of

pytestmark = pytest.mark.urls("astrade.core.tests.views")

MALFORMED = {
    "not JSON": b"{",
    "cut": b'{"amount": "1',
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": Infinity}',
    "minus Infinity": b'{"amount": -Infinity}',
    "trailing comma": b'{"amount": 1,}',
    "single quotes": b"{'amount': 1}",
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "deep array": b"[" * 100_000,
    "deep object": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "deep but closed": b"[" * 40 + b"]" * 40,
    "raw NUL": b'{"name": "a\x00b"}',
    "array": b"[1]",
    "string": b'"text"',
    "null": b"null",
    "UTF-16": '{"amount": 1}'.encode("utf-16"),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_body_is_a_400_that_says_so(body: Any) -> None:
    assert error_of(call("POST", "/echo", body)) == (400, 1000)


INVALID = {
    "1e400": b'{"amount": 1e400}',
    "1e-400": b'{"amount": 1e-400}',
    "huge exponent": b'{"amount": 1e999999999}',
    "huge integer": b'{"amount": ' + b"9" * 400 + b"}",
    "integer of 100k digits": b'{"amount": ' + b"9" * 100_000 + b"}",
    "boolean": b'{"amount": true}',
    "list": b'{"amount": [1]}',
    "object": b'{"amount": {"a": 1}}',
    "NaN text": b'{"amount": "NaN"}',
    "Infinity text": b'{"amount": "-Infinity"}',
    "empty text": b'{"amount": ""}',
    "Arabic digits": '{"amount": "١٢"}'.encode(),
    "escaped NUL": b'{"name": "a\\u0000b"}',
    "too long": b'{"name": "' + b"x" * 21 + b'"}',
    "number as name": b'{"name": 1}',
    "name is null": b'{"name": null}',
}


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
def test_invalid_value_is_a_400_that_names_the_field(body: Any) -> None:
    response = call("POST", "/echo", body)

    assert response.status_code == 400
    if response.json()["error"]["code"] == 1001:
        assert set(response.json()["error"]["details"]["fields"]) <= {"amount", "name"}
    else:
        assert error_of(response) == (400, 1000)


def test_numbers_are_exact_whatever_their_spelling() -> None:
    for body in (b'{"amount": 0.100000000000000055}', b'{"amount": "0.100000000000000055"}'):
        assert call("POST", "/echo", body).json()["data"] == {"amount": "0.100000000000000055"}
    assert call("POST", "/echo", b'{"amount": 1E2}').json()["data"] == {"amount": "100"}


@pytest.mark.parametrize("text", ["0e-1500", "0e1500", "-0", "0.0000000000000000000000000000"])
def test_zero_is_zero_however_long_it_was_written(text: Any) -> None:
    assert call("POST", "/echo", b'{"amount": ' + text.encode() + b"}").json()["data"] == {"amount": "0"}


def test_digits_beyond_the_column_are_refused_even_behind_many_zeros() -> None:
    hidden = b'{"amount": 0.5' + b"0" * 70 + b"1}"
    assert error_of(call("POST", "/echo", hidden)) == (400, 1001)
    assert call("POST", "/echo", b'{"amount": 0.5' + b"0" * 70 + b"}").json()["data"] == {"amount": "0.5"}


def test_integers_beyond_64_bit_come_back_whole() -> None:
    assert (
        call("POST", "/raw", b'{"n": 123456789012345678901234567890}').json()["data"]["n"]
        == 123456789012345678901234567890
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonp",
        "\x00",
    ],
)
def test_other_content_types_are_a_415(content_type: Any) -> None:
    assert error_of(call("POST", "/echo", b'{"amount": 1}', headers={"Content-Type": content_type})) == (415, 1004)


def test_json_with_parameters_is_json() -> None:
    response = call("POST", "/echo", b'{"amount": 1}', headers={"Content-Type": "Application/JSON; charset=utf-8"})
    assert response.status_code == 200


def test_body_above_one_mebibyte_is_a_413() -> None:
    assert error_of(call("POST", "/echo", b'{"name": "' + b"x" * (1 << 20) + b'"}')) == (413, 1007)


def test_empty_body_is_an_empty_object() -> None:
    assert call("POST", "/echo", b"").json()["data"] == {}
    assert call("POST", "/echo", b"  \n").json()["data"] == {}


@given(st.binary(max_size=200))
def test_no_bytes_can_break_the_parser(raw: Any) -> None:
    try:
        decode(raw)
    except (Malformed, TooLarge) as error:
        assert error.status in (400, 413)
