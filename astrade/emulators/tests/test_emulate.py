"""The command: it serves what its options say, stops cleanly, and never runs in production."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

ROOT = Path(__file__).resolve().parents[3]


VENUES = {
    "extended": ("vault", [10_001, 10_002, 10_003]),
    "binance": ("account_id", [200_001, 200_002, 200_003]),
}


@pytest.mark.parametrize("venue", VENUES)
def test_production_refuses_to_run_an_emulator(settings, venue):
    settings.DEMO_ALLOWED = False
    with pytest.raises(CommandError, match="not for production"):
        call_command("emulate", venue, port=0)


def test_a_scenario_that_names_no_fault_is_refused():
    with pytest.raises(CommandError, match="'nonsense' is no fault"):
        call_command("emulate", "extended", port=0, faults="nonsense")


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Can't listen on 127.0.0.1:{port}"):
            call_command("emulate", "extended", port=port)


@pytest.mark.parametrize("venue", VENUES)
def test_it_serves_until_it_is_told_to_stop(tmp_path, venue):
    """Without a database and without Redis; what it knows is then written down for its owner alone."""
    state, (name, numbers) = tmp_path / "state.json", VENUES[venue]
    options = ["--port", "0", "--seed", "3", "--faults", "rate_limited", "--state", str(state)]
    command = [sys.executable, "manage.py", "emulate", venue, *options]
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    environment = {**os.environ, **nowhere, "DJANGO_SETTINGS_MODULE": "astrade.settings.dev"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base = "http://" + process.stdout.readline().split("http://")[1].split("/")[0]
            with urllib.request.urlopen(f"{base}/emulator/accounts") as answer:
                accounts = json.load(answer)
            with urllib.request.urlopen(f"{base}/emulator/faults") as answer:
                faults = json.load(answer)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert [account[name] for account in accounts] == numbers
    assert faults["on"] == {"rate_limited": "1"}
    assert len(json.loads(state.read_text())["accounts"]) == 3
    assert state.stat().st_mode & 0o077 == 0


def test_a_replay_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(CommandError, match="no recording for a known market"):
        call_command("emulate", "binance", port=0, replay=tmp_path)
    with pytest.raises(CommandError, match="either replayed or"):
        call_command("emulate", "binance", port=0, replay=tmp_path, prices="published")
