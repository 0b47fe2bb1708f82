"""What wallets sign for Extended, against what the official SDK 2.6.0 made of the same inputs (eth-account 0.14)."""

import secrets
from datetime import UTC, datetime

import pytest
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from astrade.venues.ethereum import checksummed, message_digest, wallet_of
from astrade.venues.extended.onboarding import (
    Registration,
    SignedRegistration,
    create_api_key,
    key_derivation,
    register,
)
from astrade.venues.extended.profiles import Network, Profile
from astrade.venues.extended.signing import public_key_of, registration_hash, sign

WALLET = "0xdB00079cad3e665853Bf766eFe26F4C38cdbdCDA"  # of the key 4c4c…
AT = datetime(2026, 11, 22, 3, 4, 5, 999_000, tzinfo=UTC)
CREATION = (
    "19e37bc8bd2fb9e4d16e82d1baf20ec7e13157ef9164db3767a0d55e7b6a5dd7"
    "3d8216b843bf831f1163ac629ef90a7cf6936879c162b6a02b29213bb585d46e1c"
)
REGISTRATION = (
    "882dc33c036ad4b05906568a9ea354baba055ec153afca3e63b3b8c2d8d1c704"
    "2fc9b773e18d3385fc81ec91ed1406c8054276b2dcf68a496baf0c13a01aec901c"
)
API_KEY = (
    "25cec3448634011ee6b991d5a22bfdf68d62be6d7bc40610d775ccd857043469"
    "7f89b9a9328465980ea09e1b6b870c3346ab0038c8ca0e9a696abea532300f251c"
)
SDK_BODY = {
    "l1Signature": f"0x{REGISTRATION}",
    "l2Key": "0x667849f9608bde9e80bceebcdf44fc896650a57329a9cdf13c667077660dd3b",
    "l2Signature": {
        "r": "0x2069942060b36c02d96178a1b7be48be8345fff45e0ad98f5cac1e2c55526dc",
        "s": "0x2e139b33b363709266d0062379c1c5be8bb7954cccc852cb30498848b323581",
    },
    "accountCreation": {
        "accountIndex": 0,
        "wallet": WALLET,
        "tosAccepted": True,
        "time": "2026-11-22T03:04:05Z",
        "action": "REGISTER",
        "host": "https://api.starknet.sepolia.extended.exchange",
    },
    "referralCode": None,
}


@pytest.fixture
def profile() -> Profile:
    return Profile(network=Network.TESTNET, rest_url="https://api.starknet.sepolia.extended.exchange/api/v1")


def test_the_sdks_signatures_are_the_wallets_of_our_messages(profile: Profile) -> None:
    registration = Registration.at(AT, wallet=WALLET, profile=profile)

    digests = {
        CREATION: key_derivation(WALLET, profile).digest,
        REGISTRATION: registration.typed(profile).digest,
        API_KEY: message_digest(registration.api_key_message),
    }

    assert [digest.hex() for digest in digests.values()] == [
        "55513f7a0b822774b47ba9e81be18b3100787feed82e2bb1ad91f37a2f5e36d1",
        "9ddc6f5aec5b9af7ac2acbd3e8c198bdcde8863ecd4c689619eafb11beb295d9",
        "398a4b44a1ac6e35eb7eb96a2792c354bbca3efd99b7572edeed9cab5b8bf129",
    ]
    assert {wallet_of(digest, bytes.fromhex(signed)) for signed, digest in digests.items()} == {WALLET}


def test_our_registration_is_the_sdks_to_the_byte(profile: Profile) -> None:
    key = 0x47D0910381291F4279F8BA48BCA04E0E902676DDC591CDC1F4302E73FECB0A7  # which CREATION gives
    public_key = public_key_of(key)
    signed = SignedRegistration(
        registration=Registration.at(AT, wallet=WALLET, profile=profile),
        wallet_signature=bytes.fromhex(REGISTRATION),
        public_key=public_key,
        stark_signature=sign(key, registration_hash(wallet=int(WALLET, 16), public_key=public_key)),
    )

    assert register(signed).body == SDK_BODY


def test_no_call_shows_its_signatures(profile: Profile) -> None:
    made = create_api_key(7, time="2026-11-22T03:04:05Z", signature=bytes.fromhex(API_KEY), description="x")

    assert made.headers["L1_SIGNATURE"] == f"0x{API_KEY}"
    assert API_KEY[:32] not in repr(made)


def test_whoever_signed_is_found_as_the_reference_library_finds_them() -> None:
    for _ in range(5):
        key, digest = PrivateKey(secrets.token_bytes(32)), secrets.token_bytes(32)
        signed = key.sign_msg_hash(digest)
        raw = signed.to_bytes()

        assert wallet_of(digest, raw) == key.public_key.to_checksum_address()
        assert wallet_of(digest, raw[:64] + bytes([signed.v + 27])) == key.public_key.to_checksum_address()
        assert wallet_of(digest, raw[:64] + bytes([1 - signed.v])) != key.public_key.to_checksum_address()


def test_points_that_are_equal_or_cancel_out_are_added_rightly() -> None:
    generator = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798  # its y is even
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    key, digest = PrivateKey(bytes(31) + b"\x07"), keccak(b"message")
    by_one = (int.from_bytes(digest) + generator * 7) % order  # s of a signature whose nonce is 1, so R is G

    assert wallet_of(digest, signature_of(generator, by_one)) == key.public_key.to_checksum_address()
    assert wallet_of(digest, signature_of(generator, int.from_bytes(digest) % order)) is None


def signature_of(r: int, s: int) -> bytes:
    return r.to_bytes(32) + s.to_bytes(32) + b"\x00"


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(65),
        bytes([1]) * 64,
        bytes(32) + bytes([1]) * 32 + b"\x1b",
        bytes([1]) * 32 + bytes(32) + b"\x1b",
        b"\xff" * 64 + b"\x1b",
        bytes([1]) * 64 + b"\x1d",
        (5).to_bytes(32) + bytes([1]) * 32 + b"\x1b",  # no point of the curve has this x
    ],
)
def test_what_is_no_signature_is_nobodys(signature: bytes) -> None:
    assert wallet_of(keccak(b"message"), signature) is None


@pytest.mark.parametrize("spelt", [WALLET.lower(), "0x" + WALLET[2:].upper(), WALLET])
def test_an_address_has_one_spelling(spelt: str) -> None:
    assert checksummed(spelt) == WALLET


@pytest.mark.parametrize("wrong", ["", WALLET[:-1], WALLET[2:], WALLET.replace("dB", "Db"), WALLET + "\n"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="address"):
        checksummed(wrong)
