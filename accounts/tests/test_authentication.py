"""What proves an identity and what doesn't, and how fast a revocation is in force."""

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import revocations, services, tokens
from accounts.models import RefreshFamily
from accounts.services import authenticate_token, issue_ws_ticket, redeem_ws_ticket
from accounts.services.tickets import LIFETIME_S
from accounts.sockets import SocketIdentity
from accounts.tests.client import Api
from accounts.tests.factories import ApiKeyFactory, UserFactory, signed_in
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError, InvalidCredentials, TokenExpired, UserFrozen
from astrade.core.models import AuditEvent
from astrade.core.redis import sync_client

transactional = pytest.mark.django_db(transaction=True)
SECRET = "ak_0badcafe_some-secret-of-256-bits"


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    """A Redis that answers nobody."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    sync_client.cache_clear()
    yield
    sync_client.cache_clear()


@pytest.fixture
def heard() -> Iterator[Any]:
    """What the sockets are told on the `auth` channel."""
    with sync_client().pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(revocations.CHANNEL)
        channel.get_message(timeout=1)

        def messages() -> list[dict[str, Any]]:
            found = []
            while (message := channel.get_message(timeout=0.3)) is not None:
                found.append(json.loads(message["data"]))
            return found

        yield messages


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"X-Api-Key": "  "},
    ],
)
def test_nobody_is_told_to_sign_in(api: Api, headers: dict[str, str]) -> None:
    assert api.get("/users/me", **headers).error == (401, 1100)


@pytest.mark.django_db
def test_naming_a_user_proves_nothing(api: Api) -> None:
    pair, other = signed_in(), UserFactory.create()
    caller = api.bearer(pair.access_token)

    assert api.get("/users/me", X_User_ID=str(pair.user.uuid)).error == (401, 1100)
    assert caller.get("/users/me", X_User_ID=str(pair.user.uuid).upper()).data["id"] == str(pair.user.uuid)
    assert not AuditEvent.objects.exists()
    assert caller.get("/users/me", X_User_ID=str(other.uuid)).error == (403, 1105)
    assert caller.get("/users/me", X_User_ID="").error == (403, 1105)
    assert AuditEvent.objects.filter(action="user.impersonation_refused", actor_id=pair.user.pk).count() == 2


def forged(**changes: Any) -> str:
    """A token that is right but for `changes`."""
    kid, key = tokens.key_ring()[0]
    now = int(system_clock().timestamp())
    claims = {
        "sub": str(uuid.uuid4()), "fam": str(uuid.uuid4()), "tier": "standard", "staff": False,
        "typ": "access", "iat": now, "exp": now + 60,
    }  # fmt: skip
    headers = {"kid": changes.pop("kid", kid)}
    signing_key = changes.pop("key", key)
    algorithm = changes.pop("algorithm", "HS256")
    kept = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(kept, signing_key, algorithm=algorithm, headers=headers)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"key": b"x" * 32},
        {"kid": "other"},
        {"kid": ""},
        {"algorithm": "HS512", "key": b"x" * 64},
        {"algorithm": "none", "key": None},
        {"typ": "refresh"},
        {"sub": None},
        {"sub": "1"},
        {"fam": "x"},
        {"fam": None},
        {"exp": None},
        {"tier": None},
        {"staff": None},
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_token_that_is_not_ours_is_refused(api: Api, changes: dict[str, Any]) -> None:
    assert api.bearer(forged(**changes)).get("/users/me").error == (401, 1101)


@pytest.mark.django_db
@pytest.mark.parametrize("raw", ["a.b.c", "eyJhbGciOiJIUzI1NiJ9..", "x" * 9000, "é", "..", "a b"])
def test_garbage_is_refused(api: Api, raw: str) -> None:
    assert api.bearer(raw).get("/users/me").error == (401, 1101)


@pytest.mark.django_db
def test_a_token_ends_when_it_says_so(settings: Any) -> None:
    settings.ACCESS_TOKEN_EXPIRE_MINUTES = 5
    pair, now = signed_in(), system_clock()

    assert pair.expires_in == 300
    authenticate_token(pair.access_token, client_ip=None, now=now + timedelta(seconds=298))
    with pytest.raises(TokenExpired):
        authenticate_token(pair.access_token, client_ip=None, now=now + timedelta(seconds=301))


@pytest.mark.django_db
def test_a_token_of_a_session_we_do_not_know_is_refused(api: Api) -> None:
    sync_client().delete(revocations.KEY)

    assert api.bearer(forged()).get("/users/me").error == (401, 1102)


@pytest.mark.django_db
def test_keys_rotate_without_signing_anybody_out(settings: Any) -> None:
    settings.JWT_KEYS = [f"old:{'o' * 32}"]
    before = signed_in().access_token
    settings.JWT_KEYS = [f"new:{'n' * 32}", f"old:{'o' * 32}"]
    after = signed_in().access_token

    assert jwt.get_unverified_header(after)["kid"] == "new"
    assert authenticate_token(before, client_ip=None).user_id != authenticate_token(after, client_ip=None).user_id
    settings.JWT_KEYS = [f"new:{'n' * 32}"]
    with pytest.raises(InvalidCredentials):
        authenticate_token(before, client_ip=None)


@pytest.mark.parametrize("entry", ["short:secret", "x" * 40, ":" + "x" * 40])
def test_a_weak_signing_key_is_a_refusal_to_start(settings: Any, entry: str) -> None:
    settings.JWT_KEYS = [entry]

    with pytest.raises(ImproperlyConfigured):
        tokens.key_ring()


@pytest.mark.django_db
def test_a_signed_in_person_costs_no_query() -> None:
    pair = signed_in()
    authenticate_token(pair.access_token, client_ip=None)

    with CaptureQueriesContext(connection) as captured:
        caller = authenticate_token(pair.access_token, client_ip=None)

    assert len(captured) == 0
    assert (caller.user_id, caller.user_uuid, caller.source) == (pair.user.pk, pair.user.uuid, "app")
    assert caller.scopes == {"read", "trade", "withdraw"}


@transactional
@pytest.mark.usefixtures("redis_away")
def test_without_redis_postgresql_is_asked(api: Api) -> None:
    ended, frozen, fine = signed_in(), signed_in(), signed_in()
    services.sign_out_everywhere(ended.user.pk, now=system_clock())
    services.freeze_user(frozen.user.pk, actor_id=None, reason="test")

    for raw, error in [(ended.access_token, TokenExpired), (frozen.access_token, UserFrozen)]:
        with pytest.raises(error):
            authenticate_token(raw, client_ip=None)
    caller = authenticate_token(fine.access_token, client_ip=None)
    with pytest.raises(AstradeError) as refusal:
        issue_ws_ticket(caller)
    assert refusal.value.status == 503
    with pytest.raises(AstradeError) as refusal:
        redeem_ws_ticket("x")
    assert refusal.value.status == 503


@transactional
def test_an_emptied_redis_is_filled_from_postgresql() -> None:
    ended, frozen, fine = signed_in(), signed_in(), signed_in()
    services.sign_out_everywhere(ended.user.pk, now=system_clock())
    services.freeze_user(frozen.user.pk, actor_id=None, reason="test")
    sync_client().delete(revocations.KEY)

    with pytest.raises(TokenExpired):
        authenticate_token(ended.access_token, client_ip=None)

    family = RefreshFamily.objects.get(user=ended.user)
    assert sync_client().smembers(revocations.KEY) == {
        b"ready", f"f:{family.uuid}".encode(), f"u:{frozen.user.uuid}".encode()
    }  # fmt: skip
    assert 0 < sync_client().ttl(revocations.KEY) <= revocations.LIFETIME_S
    with pytest.raises(UserFrozen):
        authenticate_token(frozen.access_token, client_ip=None)
    assert authenticate_token(fine.access_token, client_ip=None).user_id == fine.user.pk


@transactional
def test_a_listing_left_behind_refuses_nobody() -> None:
    pair = signed_in()
    revocations.rebuild(now=system_clock())
    sync_client().sadd(revocations.KEY, f"u:{pair.user.uuid}")

    assert authenticate_token(pair.access_token, client_ip=None).user_id == pair.user.pk


@transactional
def test_sockets_are_told_of_every_end(heard: Any) -> None:
    pair = signed_in()
    key = ApiKeyFactory.create(user=pair.user)
    family = RefreshFamily.objects.get()

    services.revoke_api_key(pair.user.pk, key=key.uuid, now=system_clock())
    services.freeze_user(pair.user.pk, actor_id=None, reason="test")
    services.sign_out_everywhere(pair.user.pk, now=system_clock())

    assert heard() == [{"api_key": key.pk}, {"user": pair.user.pk}, {"family": str(family.uuid)}]


@transactional
def test_a_ticket_stands_for_its_caller_once(api: Api) -> None:
    pair = signed_in()
    answer = api.bearer(pair.access_token).post("/auth/ws-ticket")

    assert answer.data["expires_in"] == LIFETIME_S
    caller = redeem_ws_ticket(answer.data["ticket"])

    assert caller == authenticate_token(pair.access_token, client_ip=None)
    for used in [answer.data["ticket"], "", "x"]:
        with pytest.raises(InvalidCredentials):
            redeem_ws_ticket(used)


@transactional
def test_a_ticket_lasts_a_minute_and_is_kept_as_a_digest() -> None:
    ticket = issue_ws_ticket(authenticate_token(signed_in().access_token, client_ip=None))

    names = [name for name in sync_client().keys("auth:ticket:*") if 0 < sync_client().ttl(name) <= LIFETIME_S]
    assert tokens.digest_of(ticket).hex() in str(names)
    assert ticket not in str(names)


@transactional
def test_a_ticket_ends_with_what_it_stands_for() -> None:
    pair, key = signed_in(), ApiKeyFactory.create(secret=SECRET, scopes=["read", "trade"])
    person, program = (authenticate_token(raw, client_ip=None) for raw in (pair.access_token, SECRET))
    tickets = [issue_ws_ticket(person), issue_ws_ticket(program), issue_ws_ticket(program)]

    assert redeem_ws_ticket(tickets[1]) == program
    services.sign_out_everywhere(pair.user.pk, now=system_clock())
    services.revoke_api_key(key.user_id, key=key.uuid, now=system_clock())

    for ticket in (tickets[0], tickets[2]):
        with pytest.raises(TokenExpired):
            redeem_ws_ticket(ticket)


@transactional
def test_sockets_may_ask_who_of_many_must_go() -> None:
    identity = SocketIdentity()
    people = [signed_in() for _ in range(3)]
    keys = [ApiKeyFactory.create(secret=f"ak_0badcafe_{n}") for n in range(3)]
    callers = [identity.by_token(pair.access_token, client_ip="") for pair in people]
    callers += [identity.by_token(f"ak_0badcafe_{n}", client_ip="") for n in range(3)]
    assert identity.revoked(callers) == identity.revoked([]) == set()

    services.sign_out_everywhere(people[0].user.pk, now=system_clock())
    services.freeze_user(people[1].user.pk, actor_id=None, reason="test")
    services.revoke_api_key(keys[0].user_id, key=keys[0].uuid, now=system_clock())
    keys[1].expires_at = system_clock()
    keys[1].save()

    assert identity.revoked(callers) == {callers[0], callers[1], callers[3], callers[4]}
    assert identity.by_ticket(issue_ws_ticket(callers[2]), client_ip="") == callers[2]
