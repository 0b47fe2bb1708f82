import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from astrade.settings.demands import is_emulator, refuse

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "SECRET_KEY": "qN3vT8xZ1bK6mW0rY5hJ9pL2dF7gC4sA" * 2,
    "DATABASE_URL": "postgresql://astrade:pw@database.astrade.io/astrade",
    "REDIS_URL": "rediss://cache.astrade.io/0",
    "ALLOWED_HOSTS": "api.astrade.io",
    "ENCRYPTION_KEY": "a8F3kQ9zL1xV6tB0nM5cR7wE2yU4iO8p",
}


def faults_of(**changes: str) -> str:
    with pytest.raises(ImproperlyConfigured) as refusal:
        refuse({**GOOD, **changes})
    return str(refusal.value)


def test_a_complete_environment_is_accepted() -> None:
    refuse(GOOD)
    refuse(
        {
            **GOOD,
            "EXTENDED_API_URL": "https://api.extended.exchange",
            "EXTENDED_TESTNET_API_URL": "https://api.starknet.sepolia.extended.exchange/api/v1",
            "EXTENDED_MAINNET_STREAM_URL": "wss://api.starknet.extended.exchange/stream.extended.exchange/v1",
        }
    )


def test_everything_that_is_missing_is_told_at_once() -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        refuse({})
    for name in GOOD:
        assert f"{name} is missing" in str(refusal.value)


@pytest.mark.parametrize(
    "secret",
    ["short", "a" * 64, "development-only-not-for-production-0123456789abcdefghijkl", "your-secret-key-" * 5],
)
def test_a_weak_secret_is_refused_without_being_shown(secret: str) -> None:
    told = faults_of(SECRET_KEY=secret)
    assert "SECRET_KEY is weak" in told
    assert secret not in told


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"DEBUG": "true"}, "DEBUG is on"),
        ({"DATABASE_URL": "sqlite:///./astratrade.db"}, "DATABASE_URL must begin with postgresql://"),
        ({"REDIS_URL": "memory://"}, "REDIS_URL must begin with rediss://"),
        ({"BINANCE_API_URL": "http://127.0.0.1:8700"}, "BINANCE_API_URL points to this machine"),
        ({"BINANCE_API_URL": "https://api.binance.com"}, "BINANCE_API_URL is an address of the other network"),
        (
            {"BINANCE_NETWORK": "mainnet", "BINANCE_STREAM_URL": "wss://stream.testnet.binance.vision"},
            "BINANCE_STREAM_URL is an address of the other network",
        ),
        ({"BINANCE_NETWORK": "demo"}, "BINANCE_NETWORK is demo"),
        ({"ALLOWED_HOSTS": "api.astrade.io,*"}, "ALLOWED_HOSTS has '*'"),
        ({"CORS_ALLOWED_ORIGINS": "*"}, "CORS_ALLOWED_ORIGINS has '*'"),
        ({"ALGORITHM": "none"}, "ALGORITHM is none"),
        ({"ENCRYPTION_KEY": "short"}, "ENCRYPTION_KEY is weak"),
        (
            {"ENCRYPTION_KEYS_VAULT_URL": "http://vault:8200/v1/secret/data/a", "VAULT_TOKEN": "t"},
            "ENCRYPTION_KEYS_VAULT_URL must begin with https://",
        ),
        ({"ENCRYPTION_KEYS_VAULT_URL": "https://vault:8200/v1/secret/data/a"}, "VAULT_TOKEN_FILE is missing"),
        ({"SECRET_KEY_FALLBACKS": "old"}, "SECRET_KEY_FALLBACKS[1] is weak"),
        ({"EXTENDED_API_URL": "http://localhost:9001"}, "EXTENDED_API_URL points to this machine"),
        ({"EXTENDED_EXCHANGE_BASE_URL": "https://10.0.0.5/v1"}, "EXTENDED_EXCHANGE_BASE_URL points to this machine"),
        ({"EXTENDED_API_URL": "http://api.extended.exchange"}, "EXTENDED_API_URL must begin with https://"),
        (
            {"EXTENDED_MAINNET_API_URL": "http://127.0.0.1:8600/api/v1"},
            "EXTENDED_MAINNET_API_URL points to this machine",
        ),
        ({"EXTENDED_TESTNET_STREAM_URL": "ws://x.exchange/v1"}, "EXTENDED_TESTNET_STREAM_URL must begin with https://"),
        (
            {"EXTENDED_MAINNET_ORDERS_URL": "https://api.starknet.sepolia.extended.exchange/api/v1"},
            "EXTENDED_MAINNET_ORDERS_URL is an address of the other network",
        ),
        (
            {"EXTENDED_TESTNET_ONBOARDING_URL": "https://api.starknet.extended.exchange"},
            "EXTENDED_TESTNET_ONBOARDING_URL is an address of the other network",
        ),
        (
            {"EXTENDED_API_URL": "https://api.starknet.extended.exchange/api/v1"},
            "EXTENDED_API_URL is an address of the other network",
        ),
        ({"STARKNET_NETWORK": "goerli"}, "STARKNET_NETWORK is goerli"),
        ({"EXTENDED_NETWORKS": "mainnet,goerli"}, "EXTENDED_NETWORKS has goerli"),
    ],
)
def test_each_fault_is_named(changes: dict[str, str], fault: str) -> None:
    assert fault in faults_of(**changes)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://[::1]", "https://emulator:8080", "https://venue.internal"]
)
def test_local_addresses_are_emulators(url: str) -> None:
    assert is_emulator(url)


def manage(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env={**inherited, "DJANGO_SETTINGS_MODULE": "astrade.settings.production", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.processes
def test_production_does_not_start_on_a_bare_environment() -> None:
    answer = manage("check")
    assert answer.returncode != 0
    assert "AsTrade doesn't start in production like this" in answer.stderr
    assert "DATABASE_URL is missing" in answer.stderr


@pytest.mark.processes
def test_production_starts_on_a_complete_environment_and_refuses_demo_users() -> None:
    assert manage("check", **GOOD).returncode == 0
    answer = manage("seed_demo", **GOOD)
    assert answer.returncode != 0
    assert "not for production" in answer.stderr
