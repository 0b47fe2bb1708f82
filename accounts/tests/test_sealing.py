"""Secrets at rest: opened by whom they were sealed for, and by nobody else."""

import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import TotpDevice
from accounts.sealing import SealBroken, is_current, key_ring, seal, unseal
from accounts.services import two_factor
from accounts.tests.factories import UserFactory
from astrade.core.clock import system_clock

ROW, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
OLD, NEW = "old:" + "o" * 32, "new:" + "n" * 32


@given(secret=st.binary(max_size=200))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_what_was_sealed_is_opened_again_and_looks_different_each_time(secret: bytes) -> None:
    first, second = (seal(secret, purpose="totp", row=ROW) for _ in range(2))
    assert first != second
    assert unseal(first, purpose="totp", row=ROW) == unseal(second, purpose="totp", row=ROW) == secret


def test_another_row_or_purpose_opens_nothing() -> None:
    sealed = seal(b"secret", purpose="totp", row=ROW)
    for purpose, row in (("totp", OTHER), ("venue", ROW)):
        with pytest.raises(SealBroken) as broken:
            unseal(sealed, purpose=purpose, row=row)
        assert "secret" not in str(broken.value)


def test_a_changed_byte_anywhere_opens_nothing() -> None:
    sealed = seal(b"secret", purpose="totp", row=ROW)
    assert b"secret" not in sealed
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            unseal(bytes(changed), purpose="totp", row=ROW)
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            unseal(sealed[:length], purpose="totp", row=ROW)


def test_a_new_key_seals_and_the_old_one_still_opens(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    sealed = seal(b"secret", purpose="totp", row=ROW)
    assert is_current(sealed)

    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert unseal(sealed, purpose="totp", row=ROW) == b"secret"
    assert not is_current(sealed)
    assert is_current(seal(b"secret", purpose="totp", row=ROW))

    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(SealBroken, match="not in the ring"):
        unseal(sealed, purpose="totp", row=ROW)


def test_the_ring_comes_from_a_file_too(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{NEW}\n\n{OLD}\n")
    settings.ENCRYPTION_KEYS_FILE = str(file)
    assert list(key_ring()) == ["new", "old"]


def test_a_single_key_is_named_by_itself(settings: Any) -> None:
    settings.ENCRYPTION_KEY = "k" * 32
    (name,) = key_ring()
    settings.ENCRYPTION_KEY = "l" * 32
    assert list(key_ring()) != [name]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (["a:short"], "32 random characters"),
        (["no secret"], "32 random characters"),
        ([":" + "s" * 32], "id:secret"),
        ([OLD, OLD], "each id once"),
        (["n" * 33 + ":" + "s" * 32], "id:secret"),
    ],
)
def test_a_bad_ring_is_a_refusal_to_start(settings: Any, keys: list[str], fault: str) -> None:
    settings.ENCRYPTION_KEYS = keys
    with pytest.raises(ImproperlyConfigured, match=fault) as refused:
        key_ring()
    assert "s" * 32 not in str(refused.value)


def test_a_file_that_is_not_there_is_a_refusal_to_start(settings: Any, tmp_path: Path) -> None:
    settings.ENCRYPTION_KEYS_FILE = str(tmp_path / os.urandom(4).hex())
    with pytest.raises(ImproperlyConfigured, match="can't be read"):
        key_ring()


@pytest.fixture
def devices(db: None, settings: Any) -> list[TotpDevice]:
    """Three authenticators under the old key."""
    settings.ENCRYPTION_KEYS = [OLD]
    for _ in range(3):
        two_factor.begin_setup(UserFactory.create().pk, now=system_clock())
    return list(TotpDevice.objects.order_by("pk"))


def opened() -> list[bytes]:
    rows = TotpDevice.objects.order_by("pk")
    return [unseal(row.secret, purpose=two_factor.PURPOSE, row=row.uuid) for row in rows]


def test_rotating_seals_everything_anew_once(devices: list[TotpDevice], settings: Any, capsys: Any) -> None:
    before = opened()
    settings.ENCRYPTION_KEYS = [NEW, OLD]

    call_command("rotate_keys")
    assert "3 rows looked at, 3 sealed anew" in capsys.readouterr().out
    call_command("rotate_keys")
    assert "3 rows looked at, 0 sealed anew" in capsys.readouterr().out

    settings.ENCRYPTION_KEYS = [NEW]
    assert opened() == before


def test_rotating_stops_at_a_row_that_cannot_be_opened(devices: list[TotpDevice], settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    last = devices[-1]
    TotpDevice.objects.filter(pk=last.pk).update(secret=bytes(last.secret)[:-1] + b"\0")

    with pytest.raises(CommandError, match="can't be opened"):
        call_command("rotate_keys")
