import json
from typing import Any

import pytest
import redis as redis_library

from astrade.core import health, metrics
from astrade.core.api import pages, schema, system
from astrade.core.tests.http import call, error_of

OWN_CHECKS = {"database", "cache", "broker"}
ROOTS = ["", "/api", "/api/v1"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: Any) -> None:
    monkeypatch.setattr(health, "_last", None)
    own = {name: check for name, check in health._checks.items() if name in OWN_CHECKS}
    monkeypatch.setattr(health, "_checks", own)  # what other apps register has tests of its own


@pytest.mark.parametrize("root", ROOTS)
def test_live_looks_at_nothing(root: Any, django_db_blocker: Any) -> None:
    with django_db_blocker.block():
        assert call("GET", f"{root}/health/live").json()["data"] == {"state": "ok"}


@pytest.mark.django_db
@pytest.mark.parametrize("root", ROOTS)
def test_ready_lists_each_check(root: Any) -> None:
    response = call("GET", f"{root}/health/ready")
    assert response.status_code == 200
    checks = {check["name"]: check for check in response.json()["data"]["checks"]}
    assert set(checks) == OWN_CHECKS
    assert all(check["passed"] and check["critical"] for check in checks.values())


@pytest.mark.django_db
def test_venue_outage_degrades_and_never_unreadies() -> None:
    def away() -> None:
        raise TimeoutError("no answer from secret-host")

    health.register("venue", away)
    response = call("GET", "/health/ready")
    assert response.status_code == 200
    assert response.json()["data"]["state"] == "degraded"
    assert b"secret-host" not in response.content


@pytest.mark.django_db
def test_critical_failure_unreadies_and_names_the_check() -> None:
    def away() -> None:
        raise redis_library.ConnectionError("refused")

    health.register("cache", away, critical=True)
    response = call("GET", "/health/ready")
    assert error_of(response) == (503, 5004)
    checks = response.json()["error"]["details"]["checks"]
    assert [check["name"] for check in checks if not check["passed"]] == ["cache"]
    assert call("GET", "/health").json()["data"]["state"] == "unavailable"


@pytest.mark.django_db
def test_checks_are_made_once_a_second() -> None:
    calls = []
    health.register("counted", lambda: calls.append(1))
    for _ in range(5):
        call("GET", "/health/ready")
    assert len(calls) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("root", ROOTS)
def test_metrics_are_for_internal_networks_or_the_token(root: Any, settings: Any) -> None:
    assert call("GET", f"{root}/metrics", address="127.0.0.1").status_code == 200
    assert error_of(call("GET", f"{root}/metrics", address="203.0.113.5")) == (403, 1105)
    settings.METRICS_TOKEN = "a-long-token"
    with_token = {"Authorization": "Bearer a-long-token"}
    assert call("GET", f"{root}/metrics", address="203.0.113.5", headers=with_token).status_code == 200
    wrong = {"Authorization": "Bearer another"}
    assert call("GET", f"{root}/metrics", address="203.0.113.5", headers=wrong).status_code == 403


@pytest.mark.django_db
def test_metrics_behind_an_untold_proxy_are_not_public() -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.5"}
    assert call("GET", "/metrics", address="10.0.0.1", headers=forwarded).status_code == 403


def test_requests_are_counted_by_route_and_not_by_path() -> None:
    call("GET", "/api/v1/health/live")
    call("GET", "/api/v1/made-up-path-12345")
    text = metrics.exposition().decode()
    assert 'route="api/v1/health/live"' in text
    assert "made-up-path-12345" not in text
    assert 'route="unmatched",status="404"' in text


def test_failing_scrape_hook_is_left_out(monkeypatch: Any, caplog: Any) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(metrics, "_hooks", [broken])
    assert b"astrade_http_requests_total" in metrics.exposition()
    assert caplog.records[-1].message == "metrics_hook_failed"


def test_openapi_tells_the_whole_truth_without_warnings(recwarn: Any) -> None:
    document = json.loads(system.openapi_document())
    assert schema.warnings_so_far() == 0
    assert document["openapi"].startswith("3.1")
    assert all(path.startswith("/api/v1/") for path in document["paths"])
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert {"4XX", "5XX"} <= set(operation["responses"])
        assert "204" not in operation["responses"]
        for code, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json")
            if code.startswith("2") and content:
                assert content["schema"]["required"] == ["status", "data", "request_id", "timestamp"]


def test_openapi_knows_both_ways_to_sign_in() -> None:
    schemes = json.loads(system.openapi_document())["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("name")) for scheme in schemes.values()} == {
        ("http", None),
        ("apiKey", "X-Api-Key"),
    }


def test_openapi_asks_for_one_credential_or_the_other() -> None:
    paths = json.loads(system.openapi_document())["paths"]
    token: dict[str, list[str]] = {"accessToken": []}
    key: dict[str, list[str]] = {"apiKey": []}

    assert paths["/api/v1/orders"]["post"]["security"] == [token, key]
    assert paths["/api/v1/markets"]["get"]["security"] == [token, key, {}]
    assert paths["/api/v1/api-keys"]["post"]["security"] == [token]
    assert paths["/api/v1/auth/login"]["post"]["security"] == [{}]


def test_openapi_groups_calls_by_what_they_are_about() -> None:
    document = json.loads(system.openapi_document())

    groups = {tag["name"] for tag in document["tags"]}
    used = {tuple(operation["tags"]) for item in document["paths"].values() for operation in item.values()}
    assert used == {(name,) for name in groups}
    assert document["paths"]["/api/v1/orders"]["post"]["tags"] == ["Trading"]


@pytest.mark.parametrize("path", ["/favicon.ico", "/favicon.svg"])
def test_there_is_an_icon(path: str) -> None:
    response = call("GET", path)
    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")
    assert response.content.startswith(b"<svg")


def test_redoc_fetches_nothing_from_its_makers() -> None:
    script = call("GET", "/redoc/bundles/redoc.standalone.js")
    assert script.status_code == 200
    assert b"cdn.redoc.ly" not in script.content
    assert pages.NO_PICTURE in script.content


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_documentation_pages_need_nothing_from_elsewhere(path: Any) -> None:
    response = call("GET", path)
    text = response.content.decode()
    assert response.status_code == 200
    assert "http://" not in text
    assert "https://" not in text
    assert "<script>" not in text  # nothing inline, as the policy demands
    assert "script-src 'self'" in response["Content-Security-Policy"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_files_of_the_documentation_pages_are_served(path: Any) -> None:
    text = call("GET", path).content.decode()
    files = {part.split('"')[0] for part in text.split('src="')[1:]} | {
        part.split('"')[0] for part in text.split('href="')[1:]
    }
    assert files
    for file in files:
        response = call("GET", file.replace("&amp;", "&"))
        assert response.status_code == 200
        assert response.getvalue()
        response.close()


@pytest.mark.parametrize("path", ["/api/schema", "/api/asyncapi"])
def test_documents_are_json(path: Any) -> None:
    assert {"openapi", "asyncapi"} & set(call("GET", path).json())
