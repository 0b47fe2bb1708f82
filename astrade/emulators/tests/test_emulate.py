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


def test_production_refuses_to_run_an_emulator(settings):
    settings.DEMO_ALLOWED = False
    with pytest.raises(CommandError, match="not for production"):
        call_command("emulate", "extended", port=0)


def test_a_scenario_that_names_no_fault_is_refused():
    with pytest.raises(CommandError, match="'nonsense' is no fault"):
        call_command("emulate", "extended", port=0, faults="nonsense")


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Can't listen on 127.0.0.1:{port}"):
            call_command("emulate", "extended", port=port)


def test_it_serves_until_it_is_told_to_stop(tmp_path):
    """Without a database and without Redis; what it knows is then written down for its owner alone."""
    state = tmp_path / "state.json"
    command = [
        sys.executable,
        "manage.py",
        "emulate",
        "extended",
        "--port",
        "0",
        "--seed",
        "3",
        "--faults",
        "rate_limited",
        "--state",
        str(state),
    ]
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
    assert [account["vault"] for account in accounts] == [10_001, 10_002, 10_003]
    assert faults["on"] == {"rate_limited": "1"}
    assert [account["vault"] for account in json.loads(state.read_text())["accounts"]] == [10_001, 10_002, 10_003]
    assert state.stat().st_mode & 0o077 == 0
