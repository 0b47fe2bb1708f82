import gzip
import logging
import re
from typing import Any

import pytest
from django.conf import settings as project

from astrade.core import maintenance
from astrade.core.addresses import client_address, rate_identity
from astrade.core.middleware import version_of
from astrade.core.tests.http import call, error_of

pytestmark = pytest.mark.urls("astrade.core.tests.views")


def test_request_id_is_made_echoed_and_in_the_body() -> None:
    response = call("GET", "/health/live")

    assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])
    assert response.json()["request_id"] == response["X-Request-ID"]


def test_sane_request_id_is_kept_and_a_hostile_one_replaced() -> None:
    assert call("GET", "/health/live", headers={"X-Request-ID": "my-id_1.2"})["X-Request-ID"] == "my-id_1.2"
    for hostile in ("a" * 129, "two words", "line\nbreak", "<script>", "é"):
        assert call("GET", "/health/live", headers={"X-Request-ID": hostile})["X-Request-ID"] != hostile


@pytest.mark.parametrize("path", ["/health/live", "/health/live/"])
def test_one_trailing_slash_makes_no_difference(path: Any) -> None:
    assert call("GET", path).status_code == 200


def test_two_trailing_slashes_are_another_path() -> None:
    assert error_of(call("GET", "/health/live//")) == (404, 1002)


def test_post_with_a_trailing_slash_keeps_its_body() -> None:
    assert call("POST", "/echo/", {"amount": "1.50"}).json()["data"] == {"amount": "1.5"}


def test_unknown_path_wrong_method_and_bugs_are_enveloped(caplog: Any) -> None:
    assert error_of(call("GET", "/nowhere")) == (404, 1002)
    wrong = call("DELETE", "/echo")
    assert error_of(wrong) == (405, 1003)
    assert "POST" in wrong["Allow"]
    for path in ("/boom", "/plain-boom"):
        response = call("GET", path, headers={"X-Request-ID": "bug-1"})
        assert error_of(response) == (500, 9000)
        assert b"Traceback" not in response.content
        assert b"hunter2" not in response.content
        assert response.json()["request_id"] == "bug-1"
    assert [record.message for record in caplog.records].count("unhandled_error") == 2


def test_security_headers_are_on_every_json_answer() -> None:
    for path in ("/health/live", "/nowhere", "/boom"):
        response = call("GET", path)
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "DENY"
        assert response["Content-Security-Policy"].startswith("default-src 'none'")


def test_big_json_is_gzipped_only_where_asked_for_and_never_with_a_secret() -> None:
    packed = call("GET", "/big", headers={"Accept-Encoding": "gzip, br"})
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    assert b'"a' in gzip.decompress(packed.content)
    assert int(packed["Content-Length"]) == len(packed.content) < 1_000
    plain = call("GET", "/big")
    assert "Content-Encoding" not in plain
    secret = call("GET", "/big?secret", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in secret
    assert secret["Cache-Control"] == "no-store"
    assert "Content-Encoding" not in call("GET", "/health/live", headers={"Accept-Encoding": "gzip"})


@pytest.mark.parametrize(
    "sent, refused", [("1.9.9", True), ("2.0", False), ("2.0.0-beta", False), ("1", True), ("what", False)]
)
def test_old_client_is_told_to_update(settings: Any, sent: Any, refused: Any) -> None:
    settings.CLIENT_VERSION_MIN = "2.0"

    response = call("GET", "/health/live", headers={"X-Client-Version": sent})

    if refused:
        assert error_of(response) == (426, 1008)
        assert response.json()["error"]["details"] == {"minimum": "2.0"}
    else:
        assert response.status_code == 200


def test_version_of_hostile_text_is_empty() -> None:
    assert version_of("1.2.3") == (1, 2, 3)
    assert [version_of(text) for text in ("", "1..2", "1.2.3.4.5", "9" * 50, "²", "-")] == [()] * 6


def test_maintenance_lets_reads_and_cancels_through(settings: Any) -> None:
    settings.MAINTENANCE_MODE = True

    refused = call("POST", "/echo", {"amount": "1"})

    assert error_of(refused) == (503, 3017)
    assert refused["Retry-After"] == "60"
    assert call("GET", "/health/live").status_code == 200
    assert error_of(call("DELETE", "/orders/7")) == (405, 1003)  # let through to a view that has no DELETE


def test_maintenance_is_switched_for_all_processes(monkeypatch: Any) -> None:
    monkeypatch.setattr(maintenance, "ASK_EVERY_S", 0.0)
    maintenance.switch(True)
    try:
        assert error_of(call("POST", "/echo", {"amount": "1"})) == (503, 3017)
    finally:
        maintenance.switch(False)
    assert call("POST", "/echo", {"amount": "1"}).status_code == 200


def test_forwarded_address_counts_only_behind_trusted_proxies(settings: Any) -> None:
    assert client_address("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert client_address("10.0.0.1", "198.51.100.1") == "198.51.100.1"
    assert client_address("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2") == "198.51.100.1"
    assert client_address("10.0.0.1", "nonsense, 10.0.0.2") == "10.0.0.2"
    assert client_address("10.0.0.1", "") == "10.0.0.1"


def test_ipv6_callers_are_counted_by_their_network() -> None:
    assert rate_identity("2001:db8:1:2:3:4:5:6") == rate_identity("2001:db8:1:2::9") == "2001:db8:1:2::"
    assert rate_identity("::ffff:198.51.100.1") == rate_identity("198.51.100.1") == "198.51.100.1"
    assert rate_identity("nonsense") == "0.0.0.0"


@pytest.mark.parametrize("path", ["/a%00b", "/health/live?x=%00", "/orders/%00"])
def test_nul_in_an_address_is_a_400(path: Any) -> None:
    assert error_of(call("GET", path)) == (400, 1000)


@pytest.mark.parametrize("path", ["/%ff%fe", "/health/live?x=%ff%fe", "/%zz", "/health/live?%", "/" + "a" * 5_000])
def test_broken_percent_encoding_is_never_a_500(path: Any) -> None:
    assert call("GET", path).status_code in (200, 404)


def test_too_many_query_fields_are_a_400() -> None:
    assert error_of(call("GET", "/big?" + "&".join(f"a{n}=1" for n in range(2_000)))) == (400, 1000)


def test_access_line_names_request_user_and_route(caplog: Any) -> None:
    caplog.set_level(logging.INFO, "astrade.access")

    call("GET", "/who", headers={"X-Test-User": "42"})

    line = next(record for record in caplog.records if record.message == "http_request")
    assert (line.method, line.path, line.status) == ("GET", "/who", 200)
    assert line.ms > 0


def test_pages_middleware_is_not_run_for_the_api() -> None:
    assert "Cookie" not in call("GET", "/health/live").get("Vary", "")
    assert "sessionid" not in call("GET", "/health/live").cookies
    assert project.MIDDLEWARE[0] == "astrade.core.middleware.RequestMiddleware"
