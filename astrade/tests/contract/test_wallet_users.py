"""Requirement document 4: sign-up and keys, at the root as it prints them; its holes as they were settled."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.models import KeyOrigin, StarkKey, User
from accounts.sealing import unseal
from accounts.services.stark_keys import PURPOSE, signer_of
from accounts.tests.client import Api, some_address
from astrade.core.clock import to_ms
from astrade.venues.extended.signing import CURVE_ORDER, verifies

pytestmark = pytest.mark.django_db


@pytest.fixture
def visitor() -> Api:
    """Nobody in particular at that root."""
    return Api(root="")


def private_key_of(made: dict[str, Any]) -> int:
    """What the server keeps and never tells."""
    row = StarkKey.objects.get(public_key=made["stark_public_key"])
    assert row.private_key is not None
    return int.from_bytes(unseal(row.private_key, purpose=PURPOSE, row=row.uuid))


@pytest.mark.parametrize("path", ["/users/", "/users", "/api/users", "/api/v1/users/"])
def test_post_users_as_printed(path: str) -> None:
    """`curl -X POST http://localhost:8000/users/`: no body, no content type."""
    response = Client(REMOTE_ADDR=some_address()).generic("POST", path)

    assert response.status_code == 201
    made = response.json()["data"]
    user = User.objects.get(uuid=UUID(made["user_id"]))
    assert made["created_at"] == to_ms(user.created_at)


def test_the_private_key_is_returned_never(visitor: Api) -> None:
    made = visitor.post("/users/")
    key = private_key_of(made.data)
    assert f"{key:x}" not in str(made.content).lower()
    assert str(key) not in str(made.content)
    assert made.data["stark_public_key"].startswith("0x")


def test_every_private_key_is_one_of_the_curve(visitor: Api) -> None:
    """Of the document's 32 random bytes three in a hundred are."""
    keys = [private_key_of(visitor.post("/users").data) for _ in range(10)]
    assert all(0 < key < CURVE_ORDER for key in keys)
    assert len(set(keys)) == 10


def test_a_key_is_verified_by_a_signature_of_its_own(visitor: Api) -> None:
    row = StarkKey.objects.get(public_key=visitor.post("/users").data["stark_public_key"])
    with signer_of(row) as signer:
        assert verifies(int(row.public_key, 16), 1, signer.sign(1))


def test_users_are_unique_by_public_key(visitor: Api) -> None:
    made = [visitor.post("/users").data["stark_public_key"] for _ in range(3)]
    assert StarkKey.objects.filter(public_key__in=made, origin=KeyOrigin.GENERATED).count() == 3


def test_a_new_user_of_a_wallet_has_the_printed_progress(visitor: Api) -> None:
    made = visitor.post("/users", {"provider": "apple"}).data
    progress = visitor.bearer(made["access_token"])
    progress.root = ""
    shown = progress.get("/progress").data
    assert {
        name: shown[name]
        for name in ("total_xp", "level", "current_planet", "unlocked_planets", "completed_missions", "achievements")
    } == {
        "total_xp": 0, "level": 1, "current_planet": 1, "unlocked_planets": [1], "completed_missions": [],
        "achievements": [],
    }  # fmt: skip


def test_totals_begin_at_nothing(visitor: Api) -> None:
    made = visitor.post("/users").data
    assert made["user"]["totals"] == {"volume": "0", "trades": 0, "realized_pnl": "0"}


def test_email_cavos_id_and_provider_are_stored_and_prove_nothing(visitor: Api) -> None:
    said = {"email": "ann@example.com", "cavos_user_id": "cavos-1", "provider": "google"}
    one, other = (visitor.post("/users", said).data for _ in range(2))

    assert one["user_id"] != other["user_id"]
    stored = User.objects.values_list("claimed_email", "cavos_user_id", "provider", "email", "email_verified")
    assert list(stored) == [("ann@example.com", "cavos-1", "google", None, False)] * 2


def test_orders_want_more_than_the_name_of_a_user(visitor: Api) -> None:
    """`X-User-ID` alone, as the document has it."""
    made = visitor.post("/users").data
    order = {"symbol": "BTCUSD", "side": "buy", "type": "market", "quantity": 0.001}
    assert visitor.post("/orders/", order, X_User_ID=made["user_id"]).error == (401, 1100)


def test_sign_up_by_wallet_is_limited_by_address(visitor: Api) -> None:
    answers = [visitor.post("/users") for _ in range(11)]
    assert [answer.status for answer in answers] == [201] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) <= 3_600
