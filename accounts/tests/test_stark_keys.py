"""Stark keys: what is one, how it is kept, and that nothing but its signer ever holds it."""

import copy
import pickle
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import KeyOrigin, StarkKey, User
from accounts.sealing import SealBroken, unseal
from accounts.services.stark_keys import (
    PURPOSE,
    BroughtKey,
    check_key,
    forget_private_key,
    generate_stark_key,
    hold_key,
    signer_of,
)
from accounts.stark import KEY_BYTES, as_hex, from_hex, key_of_wallet
from accounts.tests.factories import UserFactory
from astrade.core.clock import system_clock
from astrade.core.errors import NotFound
from astrade.core.models import AuditEvent
from astrade.venues.errors import InvalidSignature, InvalidVenueCredentials
from astrade.venues.extended.profiles import Network
from astrade.venues.extended.signing import CURVE_ORDER, Unsignable, public_key_of, verifies

KEY, OTHER_KEY = 0x1234567890ABCDEF, 0xFEDCBA0987654321
OLD, NEW = "old:" + "o" * 32, "new:" + "n" * 32


@pytest.fixture
def user(db: None) -> User:
    made: User = UserFactory.create()
    return made


def held(user: User, key: int | None = KEY, *, network: Network = Network.TESTNET, **changes: Any) -> StarkKey:
    """A key as it is taken in."""
    brought = BroughtKey(**{"origin": KeyOrigin.IMPORTED, "private_key": key, **changes})
    with transaction.atomic():
        return hold_key(user, brought, network=network, now=system_clock())


def test_a_wallets_signature_gives_the_key_of_the_reference() -> None:
    """extended-api.md §13: 65 bytes of 0x11."""
    key = key_of_wallet(b"\x11" * 65)
    assert as_hex(key) == "0x7d3214da593feb0bcde5420d6bd5a699c15cd53f49952fb96cc4786792621fe"


def test_a_wallets_signature_gives_the_key_of_the_official_sdk() -> None:
    signed = (
        "19e37bc8bd2fb9e4d16e82d1baf20ec7e13157ef9164db3767a0d55e7b6a5dd7"
        "3d8216b843bf831f1163ac629ef90a7cf6936879c162b6a02b29213bb585d46e1c"
    )
    key = key_of_wallet(bytes.fromhex(signed))
    assert as_hex(key) == "0x47d0910381291f4279f8ba48bca04e0e902676ddc591cdc1f4302e73fecb0a7"


@given(signature=st.binary(min_size=65, max_size=65))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_wallet_signature_gives_a_key_within_the_order(signature: bytes) -> None:
    assert 0 < key_of_wallet(signature) < CURVE_ORDER
    assert key_of_wallet(signature) == key_of_wallet(signature[:32] + b"\x01" * 33)


@pytest.mark.parametrize("length", [0, 64, 66])
def test_another_length_is_no_wallet_signature(length: int) -> None:
    with pytest.raises(ValueError, match="65 bytes"):
        key_of_wallet(b"\x11" * length)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0xAb", 0xAB), ("00ab", 0xAB), ("0x", None), ("", None), ("-1", None), ("0x" + "f" * 65, None), ("1_0", None)],
)
def test_hexadecimal_in_and_out(text: str, value: int | None) -> None:
    assert from_hex(text) == value


def test_generated_keys_are_sealed_and_within_the_order(user: User) -> None:
    keys = [generate_stark_key(user, network=Network.TESTNET, now=system_clock()) for _ in range(20)]

    opened = {int.from_bytes(unseal(key.private_key or b"", purpose=PURPOSE, row=key.uuid)) for key in keys}
    assert len(opened) == 20
    assert all(0 < key < CURVE_ORDER for key in opened)
    assert {as_hex(public_key_of(key)) for key in opened} == {key.public_key for key in keys}


def test_a_signer_signs_within_its_block_only(user: User) -> None:
    row = held(user)
    with signer_of(row) as signer:
        signature = signer.sign(4711)
        assert verifies(int(row.public_key, 16), 4711, signature)
    with pytest.raises(Unsignable, match="closed"):
        signer.sign(4711)


def test_a_signer_shows_and_copies_nothing(user: User) -> None:
    with signer_of(held(user)) as signer:
        assert repr(signer) == str(signer) == "<Signer>"
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                take(signer)
        assert not hasattr(signer, "__dict__")
    assert str(KEY) not in repr(BroughtKey(KeyOrigin.IMPORTED, KEY))


def test_no_signer_without_a_key(user: User) -> None:
    external = held(user, origin=KeyOrigin.EXTERNAL, key=None, public_key=public_key_of(KEY))
    with pytest.raises(NotFound), signer_of(external):
        raise AssertionError("not reached")


def test_a_sealed_key_opens_in_its_own_row_only(user: User) -> None:
    one, other = held(user), held(user, OTHER_KEY)
    one.private_key = other.private_key
    with pytest.raises(SealBroken), signer_of(one):
        raise AssertionError("not reached")


@pytest.mark.parametrize("private_key", [0, CURVE_ORDER, CURVE_ORDER + 1, 2**256 - 1])
def test_what_is_outside_the_order_is_no_private_key(private_key: int) -> None:
    with pytest.raises(InvalidVenueCredentials) as refused:
        check_key(BroughtKey(KeyOrigin.IMPORTED, private_key))
    assert refused.value.details == {"fields": {"stark_private_key": ["Not a private key of the Stark curve."]}}


@pytest.mark.parametrize("private_key", [1, CURVE_ORDER - 1])
def test_the_ends_of_the_order_are_keys(private_key: int) -> None:
    assert check_key(BroughtKey(KeyOrigin.IMPORTED, private_key)) == public_key_of(private_key)


def test_two_halves_have_to_be_of_one_key() -> None:
    public_key = public_key_of(KEY)
    assert check_key(BroughtKey(KeyOrigin.IMPORTED, KEY, public_key)) == public_key
    with pytest.raises(InvalidSignature):
        check_key(BroughtKey(KeyOrigin.IMPORTED, OTHER_KEY, public_key))


def test_a_public_key_lies_on_the_curve() -> None:
    for public_key in (0, 2**251 + 17 * 2**192 + 1, 5, None):
        with pytest.raises(InvalidVenueCredentials):
            check_key(BroughtKey(KeyOrigin.EXTERNAL, public_key=public_key))
    assert check_key(BroughtKey(KeyOrigin.EXTERNAL, public_key=public_key_of(KEY))) == public_key_of(KEY)


def test_a_key_stays_one_row_and_keeps_what_was_brought_last(user: User) -> None:
    first = held(user)
    external = held(user, origin=KeyOrigin.EXTERNAL, key=None, public_key=public_key_of(KEY))
    assert (external.pk, external.private_key, external.origin) == (first.pk, None, KeyOrigin.EXTERNAL)
    again = held(user)
    assert (again.pk, again.origin) == (first.pk, KeyOrigin.IMPORTED)
    with signer_of(again) as signer:
        assert verifies(public_key_of(KEY), 1, signer.sign(1))


def test_a_key_of_one_network_never_serves_the_other(user: User) -> None:
    held(user)
    with pytest.raises(InvalidVenueCredentials) as refused:
        held(user, network=Network.MAINNET)
    assert "used on the testnet" in refused.value.details["fields"]["stark_private_key"][0]
    assert StarkKey.objects.get().network == Network.TESTNET


def test_a_key_that_nobody_is_connected_by_goes_with_who_proves_it(user: User) -> None:
    row, newcomer = held(user), UserFactory.create()
    assert held(newcomer).user_id == newcomer.pk
    event = AuditEvent.objects.get(action="stark_key.handed_over")
    assert (event.object_id, event.before, event.after) == (
        str(row.pk), {"user_id": user.pk}, {"user_id": newcomer.pk},
    )  # fmt: skip


def test_a_key_that_was_made_here_is_brought_along_by_nobody(user: User) -> None:
    made = generate_stark_key(user, network=Network.TESTNET, now=system_clock())
    for claimant in (user, UserFactory.create()):
        with pytest.raises(InvalidVenueCredentials):
            held(claimant, origin=KeyOrigin.EXTERNAL, key=None, public_key=int(made.public_key, 16))
    made.refresh_from_db()
    assert made.user_id == user.pk
    assert made.private_key is not None


def test_forgetting_spares_what_nobody_else_has(user: User) -> None:
    made, brought = generate_stark_key(user, network=Network.TESTNET, now=system_clock()), held(user)
    for row in (made, brought):
        forget_private_key(row)
        row.refresh_from_db()
    assert (made.private_key is None, brought.private_key is None) == (False, True)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"public_key": "0x0" + "1" * 62}, "stark_key_canonical"),
        ({"public_key": "0xABC"}, "stark_key_canonical"),
        ({"network": "sepolia"}, "stark_key_network_known"),
        ({"origin": KeyOrigin.EXTERNAL}, "stark_key_external_is_public"),
    ],
)
def test_the_database_holds_no_other_keys(user: User, changes: dict[str, str], constraint: str) -> None:
    row = held(user)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        StarkKey.objects.filter(pk=row.pk).update(**changes)


def test_the_column_holds_no_key(user: User) -> None:
    row = held(user)
    with connection.cursor() as cursor:
        cursor.execute("SELECT private_key FROM accounts_starkkey WHERE id = %s", [row.pk])
        column = bytes(cursor.fetchone()[0])
    assert KEY.to_bytes(KEY_BYTES) not in column
    assert KEY.to_bytes(8) not in column


def test_rotating_seals_keys_anew_and_passes_over_public_ones(user: User, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    row = held(user)
    held(user, origin=KeyOrigin.EXTERNAL, key=None, public_key=public_key_of(OTHER_KEY))

    settings.ENCRYPTION_KEYS = [NEW, OLD]
    told = StringIO()
    call_command("rotate_keys", stdout=told)

    assert "accounts_starkkey: 2 rows looked at, 1 sealed anew" in told.getvalue()
    settings.ENCRYPTION_KEYS = [NEW]
    row.refresh_from_db()
    with signer_of(row) as signer:
        assert verifies(public_key_of(KEY), 1, signer.sign(1))


def test_a_key_that_was_made_here_is_named_by_its_user_alone(user: User) -> None:
    own = generate_stark_key(user, network=Network.TESTNET, now=system_clock())
    named: dict[str, Any] = {"key": None, "origin": KeyOrigin.GENERATED, "public_key": int(own.public_key, 16)}

    assert held(user, **named) == own
    assert StarkKey.objects.get().private_key is not None
    for other, network in ((UserFactory.create(), Network.TESTNET), (user, Network.MAINNET)):
        with pytest.raises(InvalidVenueCredentials):
            held(other, network=network, **named)
    with pytest.raises(InvalidVenueCredentials):
        held(user, None, origin=KeyOrigin.GENERATED, public_key=public_key_of(KEY))
