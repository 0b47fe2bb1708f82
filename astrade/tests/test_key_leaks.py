"""A private key or secret is never in an answer, a log line, a task, a page, Redis, an open column or on the wire."""

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.api.venue_serializers import ConnectExtendedSerializer, offer_of
from accounts.models import Consent, Onboarding, StarkKey, User, VenueCredential
from accounts.sealing import unseal
from accounts.services.stark_keys import PURPOSE, signer_of
from accounts.services.venue_connections import access_of
from accounts.signals import venue_connected
from accounts.stark import key_of_wallet
from accounts.tests.client import Api, some_address
from accounts.tests.factories import UserFactory
from accounts.tests.test_two_factor import code_of
from astrade.core.api.views import shape
from astrade.core.clock import system_clock
from astrade.core.models import AuditEvent
from astrade.emulators.extended.accounts import Account
from astrade.emulators.tests.background import in_background
from astrade.emulators.tests.harness import Harness
from astrade.emulators.tests.wallet import Wallet
from astrade.tests.leaks import Surfaces, spellings, watched
from astrade.tests.venue import EXTENDED, Person, body_of, extended_at
from astrade.tests.wiretap import wiretap

WALLET_SIGNATURE = "5a" * 32 + "3c" * 33
ADMIN_PAGES = ("starkkey", "venuecredential", "consent", "user")


@pytest.mark.django_db(transaction=True)
def test_keys_are_seen_nowhere(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = ["old:" + "o" * 32]
    with in_background(start=system_clock()) as harness, wiretap(harness.url) as tap, extended_at(tap.url, settings):
        account, second = harness.account, harness.second
        with watched(settings) as surfaces:
            provisioned = sign_up_by_wallet()
            person = Person()
            live_with(person, account, surfaces=surfaces)
            go_wrong(person, account)
            opened, made, shown, seed = onboard(harness, surfaces=surfaces)
            break_down(person, second)
            rotate(settings)
            look_at_pages(surfaces)
            let_go(person, account)
            surfaces.note_tables()
        surfaces.note("wire", bytes(tap.sent))

    keys = [provisioned, account.private_key, second.private_key, key_of_wallet(bytes.fromhex(WALLET_SIGNATURE)), *made]
    assert set(surfaces.seen) >= {"answer", "log", "task", "redis", "table", "wire", "repr"}
    assert [surfaces.places_of(key or 0) for key in keys] == [[]] * len(keys)
    assert surfaces.places_of(WALLET_SIGNATURE) == surfaces.places_of(seed) == []
    assert [surfaces.places_of(signature) for signature in shown] == [["wire"]] * len(shown)
    for one in (account, second, *opened):
        assert surfaces.places_of(one.api_key) == ["wire"]
        assert_in_header_only(bytes(tap.sent), one.api_key)


@pytest.mark.parametrize("spelling", spellings(0x1234567890ABCDEF << 128))
def test_the_search_finds_a_key_in_each_spelling(spelling: bytes) -> None:
    for found in (spelling, spelling.upper() if spelling.isalnum() else spelling):
        surfaces = Surfaces()
        surfaces.note("log", b"before " + found + b" after")
        assert surfaces.places_of(0x1234567890ABCDEF << 128) == ["log"]
    assert surfaces.places_of(0x1234567890ABCDEE << 128) == []


def sign_up_by_wallet() -> int:
    """The private key that was made."""
    Api().post("/users", {"provider": "apple", "cavos_user_id": "cavos-1"}, Idempotency_Key="once")
    row = StarkKey.objects.get()
    assert row.private_key is not None
    return int.from_bytes(unseal(row.private_key, purpose=PURPOSE, row=row.uuid))


def live_with(person: Person, account: Account, *, surfaces: Surfaces) -> None:
    """Connect, look, use, set up the second factor."""
    assert person.connect(account).status == 200
    person.api.get(EXTENDED), person.api.get("/venue-credentials")
    person.api.patch("/users/me", {"accepted_terms": [{"document": "terms", "version": "1"}]})
    access = access_of(VenueCredential.objects.get())
    with signer_of(access.stark_key) as signer:
        offer = offer_of(shape(ConnectExtendedSerializer, body_of(account)))
        for one in (signer, signer.sign(7), access, offer, *StarkKey.objects.all(), *VenueCredential.objects.all()):
            surfaces.note("repr", repr(one) + str(one))
    secret = person.api.post("/auth/2fa/setup").data["secret"]
    codes = person.api.post("/auth/2fa/confirm", {"code": code_of(secret)}).data["recovery_codes"]
    assert person.connect(account).status == 403
    assert person.connect(account, code=codes[0]).status == 200
    assert person.api.post("/auth/2fa/disable", X_2FA_Code=codes[1]).status == 200


def go_wrong(person: Person, account: Account) -> None:
    """Secrets in the wrong place, wrong secrets, and a body that breaks off within one."""
    body = body_of(account)
    key, api_key = body["stark_private_key"], body["api_key"]
    mistakes: list[dict[str, Any]] = [
        *({field: value} for field in ("network", "signing", "vault") for value in (key, api_key, int(key, 16))),
        *({"api_key": one} for one in (key, key.removeprefix("0x"), key.upper() + " ", str(int(key, 16)))),
        {"api_key": "wrong"},
        {"stark_private_key": api_key + "z"},
        {"stark_private_key": int(key, 16)},
        {"stark_public_key": key},
        {"vault": 1},
        {"wallet_signature": WALLET_SIGNATURE},
        {"wallet_signature": WALLET_SIGNATURE, "stark_private_key": None},
        {"signing": "user_signed"},
        {"unknown": key},
    ]
    for changes in mistakes:
        answer = person.connect(account, **changes)
        assert answer.status in (400, 401) or "unknown" in changes, changes
    for raw in (json.dumps(body).encode()[:-9], json.dumps([key]).encode(), json.dumps(key).encode()):
        assert person.api.call("PUT", EXTENDED, raw).status == 400
    assert person.api.get(f"{EXTENDED}?network={key}").status == 400
    assert Person().connect(account).status == 401


def onboard(harness: Harness, *, surfaces: Surfaces) -> tuple[list[Account], list[int], list[str], str]:
    """Open accounts by two wallets, with a key of the server's and with the wallet's own, against mistakes and faults.

    Returns the accounts, their private keys, the signatures that only the venue is shown, and the one that nobody is.
    """
    shown, keys, seed = [], [], ""
    for number, origin in enumerate(("generated", "derived")):
        person, wallet = Person(), Wallet.number(number)
        begun = person.api.post(f"{EXTENDED}/onboarding", {"wallet": wallet.address, "key": origin})
        answers = wallet.answers(begun.data)
        seed = answers.get("wallet_signature", "")
        wrong = {"registration_signature": answers["api_key_signature"], "api_key_signature": seed, "id": seed}
        for name, value in wrong.items():
            assert person.api.post(f"{EXTENDED}/onboarding/complete", answers | {name: value}).status in (400, 401)
        harness.exchange.faults.switch("reset_after_accept")
        assert person.api.post(f"{EXTENDED}/onboarding/complete", answers).status == 202
        harness.exchange.faults.switch("")
        assert person.api.post(f"{EXTENDED}/onboarding/complete", answers).status == 200
        shown += [answers["registration_signature"][2:], answers["api_key_signature"][2:]]
        row = StarkKey.objects.get(user=person.user)
        assert row.private_key is not None
        keys.append(int.from_bytes(unseal(row.private_key, purpose=PURPOSE, row=row.uuid)))
        surfaces.note("repr", repr([row, *Onboarding.objects.all()]))
    assert keys[1] == wallet.stark_key()
    return [one for own in harness.exchange.wallets.values() for one in own], keys, shown, seed[2:]


def break_down(person: Person, account: Account) -> None:
    """A bug while a key is being handled."""

    def fail(**_: Any) -> None:
        raise RuntimeError("a bug")

    venue_connected.connect(fail)
    try:
        assert person.connect(account).error == (500, 9000)
    finally:
        venue_connected.disconnect(fail)


def rotate(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = ["new:" + "n" * 32, "old:" + "o" * 32]
    call_command("rotate_keys")


def look_at_pages(surfaces: Surfaces) -> None:
    """The back office as staff sees it, and what it does to a user."""
    surfaces.note_tables()
    browser = Client(REMOTE_ADDR=some_address())
    browser.force_login(UserFactory.create(is_staff=True, is_superuser=True), backend="accounts.backends.EmailBackend")
    for name, model in zip(ADMIN_PAGES, (StarkKey, VenueCredential, Consent, User), strict=True):
        assert browser.get(reverse(f"admin:accounts_{name}_changelist")).status_code == 200
        for row in model._default_manager.all():
            assert browser.get(reverse(f"admin:accounts_{name}_change", args=[row.pk])).status_code == 200
    for event in AuditEvent.objects.all():
        assert browser.get(reverse("admin:core_auditevent_change", args=[event.pk])).status_code == 200
    victim = Person()
    page = reverse("admin:accounts_user_changelist")
    browser.post(page, {"action": "freeze", "_selected_action": [victim.user.pk]})


def let_go(person: Person, account: Account) -> None:
    """Signed by the user from now on, then not at all."""
    changes = {"signing": "user_signed", "stark_private_key": None, "stark_public_key": hex(account.public_key)}
    assert person.connect(account, **changes).status == 200
    assert person.api.delete(EXTENDED).status == 200
    assert person.api.delete(EXTENDED).status == 404


def assert_in_header_only(sent: bytes, api_key: str) -> None:
    """The venue's own header is where an API key belongs."""
    header = b"x-api-key: " + api_key.encode() + b"\r\n"
    assert header in sent.lower()
    assert api_key.encode() not in sent.lower().replace(header, b"")
