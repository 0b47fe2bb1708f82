"""Whose a connected account is: what takes over from what, what has to stay, and one owner for each."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import CredentialState, StarkKey, VenueCredential
from accounts.services import close_user
from astrade.core.clock import system_clock
from astrade.core.fields import public_id
from astrade.emulators.tests.harness import Harness
from astrade.tests.venue import EXTENDED, Person, at_fault, states
from astrade.venues.extended.signing import public_key_of

pytestmark = pytest.mark.django_db


def test_new_keys_of_the_same_account_take_over(person: Person, venue: Harness, heard: list[Any]) -> None:
    person.connect(venue.account)
    first = VenueCredential.objects.get()

    person.connect(venue.account)

    assert states() == ["removed", "active"]
    assert StarkKey.objects.count() == 1
    assert heard == [("connected", None), ("connected", first.pk)]
    first.refresh_from_db()
    assert first.api_key is None


def test_another_account_is_a_further_one(person: Person, venue: Harness, heard: list[Any]) -> None:
    first = person.connect(venue.account).data
    second = person.connect(venue.second).data

    assert (second["vault"], states()) == (venue.second.vault, ["active", "active"])
    assert heard == [("connected", None), ("connected", None)]
    assert person.api.get("/venue-credentials").data == [second, first]
    assert person.api.get(EXTENDED).data == first | {"others": [second]}
    for shown in (first, second):
        assert person.api.get(f"{EXTENDED}?vault={shown['vault']}").data == shown
    assert person.api.get(f"{EXTENDED}?vault=5").error == (404, 1002)


def test_of_several_one_is_let_go_of_by_its_vault(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    second = person.connect(venue.second).data

    unnamed = person.api.delete(EXTENDED)
    assert (unnamed.error, at_fault(unnamed)) == ((400, 1001), {"vault"})
    for vault, error in (("5", (404, 1002)), ("x", (400, 1001))):
        assert person.api.delete(f"{EXTENDED}?vault={vault}").error == error
    assert states() == ["active", "active"]

    assert person.api.delete(f"{EXTENDED}?vault={venue.account.vault}").status == 200
    assert states() == ["removed", "active"]
    assert person.api.get(EXTENDED).data == second
    keys = StarkKey.objects.order_by("pk").values_list("private_key", flat=True)
    assert [key is None for key in keys] == [True, False]
    assert person.api.delete(EXTENDED).status == 200


def test_new_keys_renew_one_of_several(person: Person, venue: Harness, heard: list[Any]) -> None:
    for account in (venue.account, venue.second):
        person.connect(account)
    first, before = VenueCredential.objects.earliest("pk"), person.api.get(EXTENDED).data

    renewed = person.connect(venue.account).data

    assert states() == ["removed", "active", "active"]
    assert heard[2:] == [("connected", first.pk)]
    assert renewed["created_at"] == before["created_at"]
    assert person.api.get(EXTENDED).data == renewed | {"others": before["others"]}


def test_each_account_has_a_key_of_its_own(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    second = venue.second
    second.public_key, second.private_key = venue.account.public_key, venue.account.private_key
    refused = person.connect(second)
    assert (refused.error, at_fault(refused)) == ((401, 5001), {"stark_private_key"})
    assert states() == ["active"]


def test_there_are_ten_on_a_network_at_most(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    row = VenueCredential.objects.get()
    for vault in range(1, 10):
        row.pk, row.uuid, row.vault = None, public_id(), vault
        row.save()
    refused = person.connect(venue.second)
    assert (refused.error, at_fault(refused)) == ((400, 1001), {"vault"})


@pytest.mark.usefixtures("refusing")
def test_what_has_something_open_stays(person: Person, venue: Harness) -> None:
    person.connect(venue.account)

    assert person.api.delete(EXTENDED).error == (409, 4005)
    assert person.api.delete("/users/me").error == (409, 4005)

    row = VenueCredential.objects.get()
    assert (row.state, row.vault) == ("active", venue.account.vault)
    assert row.api_key is not None and row.stark_key.private_key is not None
    assert person.connect(venue.account).status == 200


def test_a_venue_account_is_one_users(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    refused = Person().connect(venue.account)
    assert (refused.error, at_fault(refused)) == ((401, 5001), {"stark_private_key"})
    assert VenueCredential.objects.get().user_id == person.user.pk


def test_a_venue_account_may_move_to_another_user(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    close_user(person.user.pk, now=system_clock())
    assert states() == ["removed"]
    newcomer = Person()
    assert newcomer.connect(venue.account).status == 200
    assert StarkKey.objects.get().user_id == newcomer.user.pk


def test_a_vault_is_connected_once_whatever_its_key(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    StarkKey.objects.update(public_key=hex(public_key_of(1)))  # as if the venue had let the account change its key
    refused = Person().connect(venue.account)
    assert (refused.error, at_fault(refused)) == ((401, 5001), {"vault"})
    assert VenueCredential.objects.count() == 1


def test_the_database_keeps_one_connection_a_vault_and_no_removed_secret(person: Person, venue: Harness) -> None:
    person.connect(venue.account)
    row = VenueCredential.objects.get()
    for changes, constraint in (
        ({"state": CredentialState.REMOVED}, "removed_keeps_nothing"),
        ({"api_key": None}, "removed_keeps_nothing"),
        ({"vault": 2**32}, "vault_in_range"),
        ({"network": "sepolia"}, "network_known"),
    ):
        with pytest.raises(Exception, match=constraint), transaction.atomic():
            VenueCredential.objects.filter(pk=row.pk).update(**changes)
    row.pk, row.uuid, row.state = None, public_id(), CredentialState.REFUSED
    with pytest.raises(Exception, match="one_a_vault"), transaction.atomic():
        row.save()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_connect_one_account_at_once_one_gets_it(venue: Harness) -> None:
    people, barrier = [Person(), Person()], Barrier(2)

    def connect(person: Person) -> int:
        barrier.wait()
        try:
            return person.connect(venue.account).status
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(connect, people)) == [200, 401]
    assert states() == ["active"]
