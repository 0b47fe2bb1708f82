"""Connecting an account at Extended: proven here and at the venue, kept sealed, let go of again."""

from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.errors import TwoFactorInvalid
from accounts.models import KeyOrigin, StarkKey, VenueCredential
from accounts.sealing import SealBroken
from accounts.services.stark_keys import signer_of
from accounts.services.venue_connections import access_of, mark_refused
from accounts.tests.factories import ApiKeyFactory
from accounts.tests.test_two_factor import code_of, protected
from astrade.core.errors import NotFound
from astrade.core.models import AuditEvent
from astrade.emulators.tests.harness import Harness
from astrade.tests.venue import EXTENDED, Person, at_fault, extended_at, states
from astrade.tests.wiretap import wiretap
from astrade.venues.errors import InvalidVenueCredentials
from astrade.venues.extended import account_calls
from astrade.venues.extended.client import client_of
from astrade.venues.extended.profiles import profile_of
from astrade.venues.extended.signing import CURVE_ORDER, public_key_of, verifies

pytestmark = pytest.mark.django_db
OPEN_TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


def test_connecting_looking_and_letting_go(person: Person, venue: Harness, heard: list[Any]) -> None:
    account = venue.account
    connected = person.connect(account)

    assert connected.status == 200
    shown = connected.data
    assert set(shown) == {
        "id", "venue", "network", "state", "signing", "account_id", "vault", "stark_public_key", "created_at",
        "checked_at",
    }  # fmt: skip
    assert (shown["venue"], shown["network"], shown["state"], shown["signing"]) == (
        "extended", "testnet", "active", "delegated",
    )  # fmt: skip
    assert (shown["account_id"], shown["vault"]) == (str(account.id), account.vault)
    assert shown["stark_public_key"] == hex(account.public_key)
    assert person.api.get(EXTENDED).data == shown
    assert person.api.get("/venue-credentials").data == [shown]
    row = VenueCredential.objects.get()

    removed = person.api.delete(EXTENDED)

    assert removed.data == {"state": "removed"}
    assert person.api.get(EXTENDED).error == person.api.delete(EXTENDED).error == (404, 1002)
    assert person.api.get("/venue-credentials").data == []
    row.refresh_from_db()
    assert (row.state, row.api_key, row.stark_key.private_key) == ("removed", None, None)
    assert heard == [("connected", None), ("disconnecting", row.pk)]
    actions = AuditEvent.objects.filter(actor_id=person.user.pk).order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["venue.connected", "venue.disconnected"]


def test_what_is_connected_can_be_used(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    access = access_of(VenueCredential.objects.get())

    assert (access.network, access.vault, access.account_id) == ("testnet", venue.account.vault, venue.account.id)
    assert access.access.owner == person.user.pk
    assert venue.account.api_key not in repr(access)
    balance = client_of(profile_of(access.network)).send(account_calls.balance(), access.access)
    assert balance is not None and balance.balance == 100_000
    with signer_of(access.stark_key) as signer:
        assert verifies(access.public_key, 7, signer.sign(7))


def test_a_removed_or_refused_account_gives_no_access(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    row = VenueCredential.objects.get()
    mark_refused(row.pk)
    assert person.api.get(EXTENDED).data["state"] == "refused"
    row.refresh_from_db()
    with pytest.raises(InvalidVenueCredentials):
        access_of(row)

    assert person.connect(venue.account).data["state"] == "active"
    assert states() == ["removed", "active"]
    person.api.delete(EXTENDED)
    mark_refused(row.pk)
    assert states() == ["removed", "removed"]
    row.refresh_from_db()
    with pytest.raises(InvalidVenueCredentials):
        access_of(row)


def test_an_api_key_opens_in_its_own_row_only(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    other = Person()
    other.connect(venue.second)
    mine, theirs = VenueCredential.objects.order_by("pk")
    mine.api_key = theirs.api_key
    with pytest.raises(SealBroken):
        access_of(mine)


def test_a_user_who_signs_leaves_no_private_key(person: Person, venue: Harness) -> None:
    public_key = hex(venue.account.public_key)
    person.connect(venue.account)
    changes = {"signing": "user_signed", "stark_private_key": None, "stark_public_key": public_key}

    assert person.connect(venue.account, **changes).data["signing"] == "user_signed"

    key = StarkKey.objects.get()
    assert (key.public_key, key.private_key, key.origin) == (public_key, None, KeyOrigin.EXTERNAL)
    with pytest.raises(NotFound), signer_of(key):
        raise AssertionError("not reached")


def test_both_halves_may_be_named_in_any_spelling(person: Person, venue: Harness) -> None:
    account = venue.account
    assert account.private_key is not None
    written = f"{account.private_key:064X}"
    public = f"{account.public_key:064X}"
    assert person.connect(account, stark_private_key=written, stark_public_key=public).status == 200


WRONG: dict[str, tuple[dict[str, Any], tuple[int, int], str]] = {
    "another key": ({"stark_private_key": "0x1234"}, (401, 5001), "stark_private_key"),
    "another pair": ({"stark_public_key": hex(public_key_of(1))}, (401, 5002), "stark_public_key"),
    "no key of the curve": ({"stark_private_key": hex(CURVE_ORDER)}, (401, 5001), "stark_private_key"),
    "another wallet": (
        {"stark_private_key": None, "wallet_signature": "11" * 65}, (401, 5001), "wallet_signature",
    ),
    "another public key": (
        {"signing": "user_signed", "stark_private_key": None, "stark_public_key": hex(public_key_of(1))},
        (401, 5001),
        "stark_public_key",
    ),
    "another vault": ({"vault": 1}, (401, 5001), "vault"),
    "a network that is not offered": ({"network": "mainnet"}, (400, 1001), "network"),
    "an unknown network": ({"network": "goerli"}, (400, 1001), "network"),
    "no key": ({"stark_private_key": None}, (400, 1001), "stark_private_key"),
    "two keys": ({"wallet_signature": "11" * 65}, (400, 1001), "stark_private_key"),
    "half a wallet signature": (
        {"stark_private_key": None, "wallet_signature": "11" * 64}, (400, 1001), "wallet_signature",
    ),
    "no number": ({"stark_private_key": "secret"}, (400, 1001), "stark_private_key"),
    "a private key where the user signs": ({"signing": "user_signed"}, (400, 1001), "stark_private_key"),
    "no public key where the user signs": (
        {"signing": "user_signed", "stark_private_key": None}, (400, 1001), "stark_public_key",
    ),
    "a vault beyond 32 bit": ({"vault": 2**32}, (400, 1001), "vault"),
    "no vault": ({"vault": None}, (400, 1001), "vault"),
    "no API key": ({"api_key": None}, (400, 1001), "api_key"),
    "a Stark key for an API key": ({"api_key": hex(CURVE_ORDER - 1)}, (400, 1001), "api_key"),
    "an API key that fits no header": ({"api_key": "a\u00e9"}, (400, 1001), "api_key"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_and_changes_nothing(
    person: Person, venue: Harness, heard: list[Any], name: str
) -> None:
    changes, error, field = WRONG[name]
    refused = person.connect(venue.account, **changes)

    assert refused.error == error
    assert at_fault(refused) == {field}
    for sent in (venue.account.api_key, str(changes.get("stark_private_key") or "-"), "11" * 30):
        assert sent not in str(refused.content)
    assert not VenueCredential.objects.exists()
    assert not StarkKey.objects.exists()
    assert heard == []


def test_an_unknown_api_key_is_refused_by_the_venue(person: Person, venue: Harness) -> None:
    refused = person.connect(venue.account, api_key="wrong-key")
    assert refused.error == (401, 5001)
    assert refused.content["error"]["details"]["venue_code"] == 1500
    assert not StarkKey.objects.exists()


def test_another_sub_accounts_api_key_is_refused(person: Person, venue: Harness) -> None:
    refused = person.connect(venue.account, api_key=venue.second.api_key)
    assert (refused.error, at_fault(refused)) == ((401, 5001), {"stark_private_key"})


def test_an_account_that_is_not_active_is_refused(person: Person, venue: Harness) -> None:
    venue.account.status = "BLOCKED"
    refused = person.connect(venue.account)
    assert (refused.error, at_fault(refused)) == ((401, 5001), {"api_key"})
    assert not StarkKey.objects.exists()


@pytest.mark.parametrize("fault", ["wrong_content_type", "truncated_json"])
def test_a_venue_that_is_away_saves_nothing(person: Person, venue: Harness, fault: str) -> None:
    venue.exchange.faults.switch(fault)
    assert person.connect(venue.account).error == (503, 5004)
    assert not StarkKey.objects.exists()


def test_a_venue_that_is_slow_saves_nothing(person: Person, venue: Harness, settings: Any) -> None:
    venue.exchange.faults.switch("slow_loris")
    settings.VENUE_READ_TIMEOUT_S = 0.3
    assert person.connect(venue.account).error == (504, 5003)
    assert not StarkKey.objects.exists()


def test_a_second_factor_is_asked_for_where_there_is_one(venue: Harness) -> None:
    user, secret, _ = protected()
    person = Person(user)
    assert person.connect(venue.account).error == (403, 1103)
    assert person.connect(venue.account, code="000000").error == (TwoFactorInvalid().status, 1104)
    code = code_of(secret)
    assert person.connect(venue.account, code=code).status == 200
    for used in (None, code):
        headers = {"X_2FA_Code": used} if used else {}
        assert person.api.call("DELETE", EXTENDED, **headers).error[1] == (1104 if used else 1103)
    assert person.api.call("DELETE", EXTENDED, X_2FA_Code=code_of(secret, steps=1)).status == 200


def test_programs_have_no_say_in_it(person: Person, venue: Harness) -> None:
    secret = "ak_0123456789_" + "s" * 40
    ApiKeyFactory.create(user=person.user, secret=secret, scopes=["read", "trade", "withdraw"])
    program = Person(person.user)
    program.api.headers = {"X-Api-Key": secret}
    assert program.connect(venue.account).error == (403, 1105)
    for method, path in (("GET", EXTENDED), ("DELETE", EXTENDED), ("GET", "/venue-credentials")):
        assert program.api.call(method, path).error == (403, 1105)


def test_each_sees_their_own(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    stranger = Person()
    assert stranger.api.get(EXTENDED).error == stranger.api.delete(EXTENDED).error == (404, 1002)
    assert stranger.api.get("/venue-credentials").data == []
    assert person.api.get(f"{EXTENDED}?network=mainnet").error == (404, 1002)
    assert states() == ["active"]


@pytest.mark.django_db(transaction=True)
def test_the_venue_is_asked_outside_of_any_transaction(exchange: Harness, settings: Any) -> None:
    person, parameters, seen = Person(), connection.get_connection_params(), []

    def look() -> None:
        with psycopg.connect(**parameters) as other:
            other.execute("SET ROLE NONE")  # the role of the processes isn't shown what others do
            seen.append(other.execute(OPEN_TRANSACTIONS).fetchone())

    with wiretap(exchange.url) as tap, extended_at(tap.url, settings):
        tap.first = look
        assert person.connect(exchange.account).status == 200
    assert set(seen) == {(0,)}
