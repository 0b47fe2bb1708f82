"""The key ring from a Vault: asked over HTTP, its refusals named, nothing of token and keys told."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from accounts.key_sources import VaultKeys
from accounts.sealing import key_ring, seal, unseal
from accounts.tests.test_sealing import NEW, OLD, ROW

PATH, TOKEN = "/v1/secret/data/astrade", "hvs.a-token"


class Vault:
    """One secret of a Vault behind a real socket; `body` and `status` answer whoever has the token."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, secret_of(f"{NEW}\n{OLD}\n"), 0
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                vault.asked += 1
                is_known = self.headers["X-Vault-Token"] == TOKEN and self.path == PATH
                self.send_response(vault.status if is_known else 403)
                self.end_headers()
                self.wfile.write(vault.body if is_known else b'{"errors": ["permission denied"]}')

            def log_message(self, *arguments: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}{PATH}"


def secret_of(keys: str) -> bytes:
    """As KV version 2 answers."""
    return json.dumps({"data": {"data": {"keys": keys}, "metadata": {"version": 3}}}).encode()


@pytest.fixture
def vault(settings: Any) -> Iterator[Vault]:
    made = Vault()
    thread = Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings.ENCRYPTION_KEYS_VAULT_URL, settings.VAULT_TOKEN = made.url, TOKEN
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_the_ring_comes_from_a_vault_and_is_asked_for_once(vault: Vault) -> None:
    sealed = seal(b"secret", purpose="totp", row=ROW)
    assert unseal(sealed, purpose="totp", row=ROW) == b"secret"
    assert (list(key_ring()), vault.asked) == (["new", "old"], 1)


def test_the_token_may_stand_in_a_file(vault: Vault, settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    settings.VAULT_TOKEN, settings.VAULT_TOKEN_FILE = "", str(file)
    assert list(key_ring()) == ["new", "old"]


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (503, b'{"errors": ["Vault is sealed"]}', "answered 503"),
        (404, b'{"errors": []}', "answered 404"),
        (200, b'{"data": {"data": {"other": "x"}}}', "no secret with the field 'keys'"),
        (200, b'{"data": {"data": null}}', "no secret with the field 'keys'"),
        (200, b"<html>", "no secret with the field 'keys'"),
        (200, secret_of(""), "empty"),
        (200, secret_of("a:short"), "32 random characters"),
    ],
)
def test_what_is_no_ring_is_a_refusal_to_start(vault: Vault, status: int, body: bytes, fault: str) -> None:
    vault.status, vault.body = status, body
    with pytest.raises(ImproperlyConfigured, match=fault) as refused:
        key_ring()
    assert TOKEN not in str(refused.value)

    vault.status, vault.body = 200, secret_of(NEW)
    assert list(key_ring()) == ["new"], "asked again, for nothing was kept"


def test_a_refused_token_and_a_vault_that_is_away_are_named(vault: Vault, settings: Any) -> None:
    settings.VAULT_TOKEN = "hvs.another"
    with pytest.raises(ImproperlyConfigured, match="answered 403"):
        key_ring()
    settings.ENCRYPTION_KEYS_VAULT_URL = "http://127.0.0.1:1/v1/secret/data/astrade"
    with pytest.raises(ImproperlyConfigured, match="can't be asked"):
        key_ring()


def test_two_sources_are_one_too_many(vault: Vault, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    with pytest.raises(ImproperlyConfigured, match="name one"):
        key_ring()


def test_a_source_shows_nothing_of_its_token() -> None:
    assert TOKEN not in repr(VaultKeys("https://vault", TOKEN, token_file=""))
