"""The demo user's live account, made by `seed_demo` at an emulator beside it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User, VenueCredential
from accounts.services.terms import has_accepted_terms
from astrade.emulators.tests.harness import Harness
from astrade.management.live_demo import is_wanted
from trading.models import TradingAccount


@pytest.fixture
def seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setenv("ASTRADE_HOME", str(tmp_path))

    def run(**options: Any) -> dict[str, Any]:
        call_command("seed_demo", **options, verbosity=0)
        content: dict[str, Any] = json.loads((tmp_path / "demo.json").read_text())
        return content

    return run


def test_the_demo_user_is_connected_and_another_account_is_shown(
    venue: Harness, seed: Callable[..., dict[str, Any]]
) -> None:
    demo = seed(emulator=venue.url)

    user = User.objects.get(email=demo["user"]["email"])
    account = TradingAccount.objects.get(uuid=demo["live_account_id"])
    row = VenueCredential.objects.get()
    assert (account.user, account.credential, account.venue) == (user, row, "extended")
    assert row.vault == venue.account.vault and has_accepted_terms(user.pk)
    shown, stranger = demo["extended"], venue.stranger
    assert shown == {
        "base_url": f"{venue.url}/api/v1",
        "ws_url": venue.url.replace("http", "ws") + "/stream.extended.exchange/v1",
        "api_key": stranger.api_key,
        "stark_private_key": hex(stranger.private_key or 0),
        "stark_public_key": hex(stranger.public_key),
        "vault": stranger.vault,
    }
    assert stranger.client_id != venue.account.client_id
    assert demo == seed(emulator=venue.url), "a second time changes nothing"
    assert VenueCredential.objects.count() == 1


def test_what_the_user_connected_themself_stays(venue: Harness, seed: Callable[..., dict[str, Any]]) -> None:
    demo = seed(emulator=venue.url)
    VenueCredential.objects.update(vault=4_711)  # as if it were another one

    again = seed(emulator=venue.url)

    assert again["live_account_id"] == demo["live_account_id"]
    assert VenueCredential.objects.get().vault == 4_711


def test_a_user_who_cannot_be_connected_has_the_rest(
    venue: Harness, seed: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    venue.exchange.switch_faults("key_revoked")

    demo = seed(emulator=venue.url)

    assert "live_account_id" not in demo and demo["extended"]["vault"] == venue.stranger.vault
    assert "has no account at the emulated Extended" in capsys.readouterr().err
    assert not VenueCredential.objects.exists()


def test_without_an_emulator_nobody_is_connected(transactional_db: None, seed: Callable[..., dict[str, Any]]) -> None:
    demo = seed()
    assert demo.keys() == {"base_url", "user", "staff"}


@pytest.mark.parametrize(
    ("environment", "networks", "wanted"),
    [
        ({}, ["testnet"], True),
        ({"EXTENDED_TESTNET_API_URL": ""}, ["testnet", "mainnet"], True),
        ({"EXTENDED_TESTNET_API_URL": "https://venue.example/api/v1"}, ["testnet"], False),
        ({"EXTENDED_TESTNET_STREAM_URL": "wss://venue.example"}, ["testnet"], False),
        ({"EXTENDED_EXCHANGE_BASE_URL": "https://venue.example/api/v1"}, ["testnet"], False),
        ({}, ["mainnet"], False),
    ],
)
def test_an_emulator_stands_in_where_nobody_names_a_venue(
    settings: Any, environment: dict[str, str], networks: list[str], wanted: bool
) -> None:
    settings.EXTENDED_NETWORKS = networks
    assert is_wanted(environment) is wanted


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    state = tmp_path / "emulator.json"
    state.write_text("{")
    with pytest.raises(CommandError, match="remove it to begin anew"):
        call_command("emulate", "extended", port=0, state=state)
