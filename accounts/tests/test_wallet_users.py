"""Sign-up from a wallet app: always somebody new, whoever they say they are."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import KeyOrigin, StarkKey, User
from accounts.services.stark_keys import signer_of
from accounts.signals import user_registered
from accounts.tests.client import Api, some_address, some_email
from accounts.tests.factories import UserFactory
from astrade.core.errors import OpenPositions
from astrade.venues.extended.signing import verifies

pytestmark = pytest.mark.django_db


@pytest.fixture
def refusing() -> Iterator[None]:
    """Somebody listens who doesn't want new users."""

    def refuse(**_: Any) -> None:
        raise OpenPositions

    user_registered.connect(refuse)
    yield
    user_registered.disconnect(refuse)


def test_a_new_user_has_a_session_an_account_and_a_key(api: Api) -> None:
    answer = api.post("/users", {"provider": "apple"})

    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.data
    assert set(made) == {
        "user_id", "created_at", "stark_public_key", "access_token", "refresh_token", "token_type", "expires_in",
        "user",
    }  # fmt: skip
    me = api.bearer(made["access_token"])
    assert me.get("/users/me").data["id"] == made["user_id"] == made["user"]["id"]
    (account,) = me.get("/accounts").data
    assert (account["venue"], account["balance"]) == ("practice", "10000")
    key = StarkKey.objects.get(public_key=made["stark_public_key"])
    assert (str(key.user.uuid), key.network, key.origin) == (made["user_id"], "testnet", KeyOrigin.GENERATED)
    with signer_of(key) as signer:
        assert verifies(int(key.public_key, 16), 7, signer.sign(7))


def test_what_they_say_identifies_nobody(api: Api) -> None:
    known = UserFactory.create(email=some_email())
    said = {"email": known.email, "cavos_user_id": "cavos-1", "provider": "google"}

    first, second = (api.post("/users", said).data for _ in range(2))

    assert len({first["user_id"], second["user_id"], str(known.uuid)}) == 3
    assert first["stark_public_key"] != second["stark_public_key"]
    assert (first["user"]["email"], first["user"]["email_verified"]) == (None, False)
    for made in (first, second):
        user = User.objects.get(uuid=made["user_id"])
        assert (user.email, user.claimed_email, user.cavos_user_id) == (None, known.email, "cavos-1")
        assert not user.has_usable_password()
    assert api.post("/auth/login", {"email": known.email, "password": ""}).status == 400


def test_an_identity_token_is_refused_and_not_ignored(api: Api) -> None:
    refused = api.post("/users", {"provider": "google", "id_token": "eyJhbGciOiJub25lIn0.e30."})

    assert refused.error == (400, 1001)
    assert "not offered yet" in str(refused.content["error"]["details"]["fields"]["id_token"])
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "body",
    [{"provider": "facebook"}, {"email": "no address"}, {"cavos_user_id": "x" * 129}, {"cavos_user_id": "a\0"}, []],
)
def test_a_bad_body_makes_nobody(api: Api, body: Any) -> None:
    assert api.post("/users", body).status == 400
    assert not User.objects.exists()


def test_a_repetition_with_its_key_makes_one_user(api: Api) -> None:
    first, second = (api.post("/users", {}, Idempotency_Key="k-1") for _ in range(2))

    assert first.data == second.data
    assert second.headers["Idempotent-Replayed"] == "true"
    assert User.objects.count() == StarkKey.objects.count() == 1
    assert api.post("/users", {"provider": "apple"}, Idempotency_Key="k-1").error == (409, 1005)
    assert (
        Api(address=some_address()).post("/users", {}, Idempotency_Key="k-1").data["user_id"] != first.data["user_id"]
    )


def test_ten_an_hour_come_from_one_address(api: Api) -> None:
    statuses = [api.post("/users").status for _ in range(11)]

    assert statuses == [201] * 10 + [429]
    assert User.objects.count() == 10


@pytest.mark.usefixtures("refusing")
def test_nobody_is_made_where_a_listener_refuses(api: Api) -> None:
    assert api.post("/users").error == (409, 4005)
    assert not User.objects.exists()
    assert not StarkKey.objects.exists()


def test_they_may_add_an_address_later_and_leave_no_trace(api: Api) -> None:
    made = api.post("/users", {"email": some_email(), "cavos_user_id": "cavos-1", "provider": "apple"}).data
    me, address = api.bearer(made["access_token"]), some_email()

    added = me.post("/users/me/credentials", {"email": address, "password": "Correct-Horse-7"}).data
    assert (added["email"], added["email_verified"]) == (address, False)
    assert me.delete("/users/me").data == {"state": "closed"}
    user = User.objects.get(uuid=made["user_id"])
    assert (user.email, user.claimed_email, user.cavos_user_id, user.provider) == (None, "", "", "")
