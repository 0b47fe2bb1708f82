"""Every path and method that is offered, at each root, for whom it is offered, and for nobody else."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.urls import URLPattern, resolve
from django.urls.exceptions import Resolver404

from accounts.models import RefreshFamily
from accounts.tests.client import Api
from accounts.tests.factories import ApiKeyFactory, UserFactory, signed_in
from astrade.core.clock import system_clock
from astrade.urls import api as routes
from trading.models import Withdrawal, WithdrawalAddress
from trading.tests.api.client import RESTING, Trader
from trading.tests.factories import open_account

# A line: method, path, and whom it is for: `public`; `read`, `trade`, `withdraw` a user or an API key with that scope;
# `person` a user who signed in, no API key.
OFFERED = """
POST   /auth/signup                          public
POST   /register                             public
POST   /auth/login                           public
POST   /login                                public
POST   /auth/refresh                         public
POST   /auth/logout                          person
POST   /auth/logout-all                      person
POST   /auth/password/change                 person
POST   /auth/2fa/setup                       person
POST   /auth/2fa/confirm                     person
POST   /auth/2fa/disable                     person
POST   /auth/2fa/verify                      public
POST   /auth/ws-ticket                       read
POST   /users                                public
GET    /users/me                             read
PATCH  /users/me                             person
DELETE /users/me                             person
POST   /users/me/credentials                 person
GET    /api-keys                             person
POST   /api-keys                             person
GET    /api-keys/{key}                       person
DELETE /api-keys/{key}                       person
GET    /sessions                             person
DELETE /sessions/{session}                   person
GET    /venue-credentials                    person
GET    /venue-credentials/extended           person
PUT    /venue-credentials/extended           person
DELETE /venue-credentials/extended           person
POST   /venue-credentials/extended/onboarding person
POST   /venue-credentials/extended/onboarding/complete person
GET    /markets                              public
GET    /markets/{symbol}                     public
GET    /markets/{symbol}/stats               public
GET    /markets/{symbol}/orderbook           public
GET    /markets/{symbol}/trades              public
GET    /markets/{symbol}/candles             public
GET    /markets/{symbol}/funding             public
GET    /market/instruments                   public
GET    /market/instruments/{symbol}          public
GET    /market/{symbol}/candles              public
GET    /accounts                             read
POST   /accounts                             trade
GET    /accounts/{account}                   read
PATCH  /accounts/{account}                   trade
DELETE /accounts/{account}                   trade
POST   /accounts/{account}/reset             trade
GET    /accounts/{account}/ledger            read
GET    /accounts/{account}/statement         read
GET    /accounts/{account}/proof             read
GET    /accounts/{account}/orders            read
POST   /accounts/{account}/orders            trade
DELETE /accounts/{account}/orders            trade
GET    /accounts/{account}/orders/{order}    read
PATCH  /accounts/{account}/orders/{order}    trade
DELETE /accounts/{account}/orders/{order}    trade
POST   /accounts/{account}/orders/{order}/pause   trade
POST   /accounts/{account}/orders/{order}/resume  trade
GET    /accounts/{account}/positions         read
GET    /accounts/{account}/positions/{position}  read
PATCH  /accounts/{account}/positions/{position}  trade
POST   /accounts/{account}/positions/close   trade
GET    /account                              read
GET    /account/balance                      read
GET    /account/positions                    read
GET    /account/positions/history            read
GET    /account/fees                         read
GET    /account/leverage                     read
PATCH  /account/leverage                     trade
GET    /orders                               read
POST   /orders                               trade
DELETE /orders                               trade
POST   /orders/prepare                       trade
POST   /orders/preview                       read
POST   /orders/dead-man-switch               trade
GET    /orders/history                       read
GET    /orders/{order}                       read
PATCH  /orders/{order}                       trade
DELETE /orders/{order}                       trade
POST   /orders/{order}/pause                 trade
POST   /orders/{order}/resume                trade
GET    /trades                               read
POST   /order                                trade
GET    /order                                read
DELETE /order                                trade
GET    /ticker/price                         read
GET    /ticker/24hr                          read
GET    /klines                               read
GET    /depth                                read
GET    /exchangeInfo                         read
GET    /positions                            read
GET    /portfolio/balance                    read
GET    /portfolio/history                    read
GET    /portfolio/risk                       read
GET    /transfers                            read
POST   /transfers                            withdraw
GET    /withdrawals                          read
POST   /withdrawals                          withdraw
POST   /withdrawals/prepare                  withdraw
GET    /withdrawals/{withdrawal}             read
DELETE /withdrawals/{withdrawal}             withdraw
GET    /withdrawal-addresses                 read
POST   /withdrawal-addresses                 withdraw
DELETE /withdrawal-addresses/{address}       withdraw
GET    /deposits                             read
GET    /deposits/instructions                read
POST   /deposits/faucet                      trade
GET    /proofs/roots                         public
GET    /events                               read
GET    /progress                             read
GET    /xp/history                           read
GET    /missions                             read
GET    /planets                              read
GET    /leaderboard                          public
GET    /health                               public
GET    /health/live                          public
GET    /health/ready                         public
GET    /metrics                              public
"""
CALLS = [tuple(line.split()) for line in OFFERED.strip().splitlines()]
NAMES = ("account", "order", "position", "key", "session", "address", "withdrawal")
ROOTS = ("/api/v1", "/api", "")
SCOPES = ("read", "trade", "withdraw")
PRIVATE = [call for call in CALLS if call[2] != "public"]
OF_SOMEBODY = [call for call in PRIVATE if "{" in call[1]]
BODIES: dict[str, dict[str, Any]] = {
    "POST /accounts/{account}/orders": RESTING,
    "POST /accounts/{account}/positions/close": {"position_id": "{position}"},
    "PATCH /accounts/{account}": {"name": "mine"},
    "PATCH /accounts/{account}/orders/{order}": {"price": "94"},
    "PATCH /orders/{order}": {"price": "94"},
    "PATCH /accounts/{account}/positions/{position}": {"stop_loss": "95"},
}


@dataclass
class Owned:
    """Ids of what somebody has, by their names in paths."""

    ids: dict[str, str]

    def path(self, template: str) -> str:
        """The path to it."""
        return template.format(symbol="BTC-USD", **self.ids)

    def body(self, method: str, template: str) -> Any:
        """A body that would do something there."""
        body = BODIES.get(f"{method} {template}")
        return {name: value.format(**self.ids) for name, value in body.items()} if body else None


@pytest.fixture
def owned(trader: Trader) -> Owned:
    """One of everything."""
    trader.place()
    order = trader.rest().data
    (position,) = trader.api.get("/positions").data
    session = RefreshFamily.objects.filter(user=trader.user).latest("id")
    key = ApiKeyFactory.create(user=trader.user)
    now = system_clock()
    address = WithdrawalAddress.objects.create(
        user=trader.user, network="testnet", address="0xabc", added_at=now, usable_at=now
    )
    withdrawal = Withdrawal.objects.create(
        account=trader.account, address=address, asset="USD", amount=1, requested_by=trader.user, requested_at=now
    )
    return Owned(
        {
            "account": str(trader.account.uuid),
            "order": order["id"],
            "position": position["id"],
            "key": str(key.uuid),
            "session": str(session.uuid),
            "address": str(address.uuid),
            "withdrawal": str(withdrawal.uuid),
        }
    )


def methods_of(path: str) -> set[str]:
    """What the view behind a path answers to; nothing where there is none."""
    try:
        view: Any = resolve(path).func
    except Resolver404:
        return set()
    return {name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(view.view_class, name)}


@pytest.mark.parametrize("root", ROOTS)
def test_every_call_is_offered_at_every_root(root: str) -> None:
    ids = Owned({name: str(uuid4()) for name in NAMES})

    missing = [f"{method} {path}" for method, path, _ in CALLS if method not in methods_of(f"{root}{ids.path(path)}")]

    assert missing == []


def test_nothing_else_is_offered() -> None:
    """A new call gets its line above, and with it the tests below."""
    offered = set()
    for route in routes:
        assert isinstance(route, URLPattern)
        view: Any = route.callback
        path = re.sub(r"<(?:\w+:)?(\w+?)(?:_id)?>", r"{\1}", f"/{route.pattern}")
        offered |= {f"{name.upper()} {path}" for name in ("get", "post", "put", "patch", "delete") if hasattr(
            view.view_class, name)}  # fmt: skip

    assert offered == {f"{method} {path}" for method, path, _ in CALLS}


def test_without_credentials_it_is_401(owned: Owned, api: Api) -> None:
    refused = {
        (method, path): api.call(method, owned.path(path), owned.body(method, path)).error
        for method, path, _ in PRIVATE
    }
    assert refused == dict.fromkeys(refused, (401, 1100))


def test_without_the_scope_it_is_403(owned: Owned, trader: Trader) -> None:
    lacking = {who: trader.with_key(*(scope for scope in SCOPES if scope != who)) for who in (*SCOPES, "person")}
    for method, path, who in PRIVATE:
        answer = lacking[who].call(method, owned.path(path), owned.body(method, path))
        expected = (403, 1105) if who == "person" else (403, 1106)
        assert (method, path, answer.error) == (method, path, expected)
        assert who == "person" or answer.content["error"]["details"] == {"scope": who}


def test_with_the_scope_alone_it_is_let_in(owned: Owned, trader: Trader) -> None:
    """Whatever else is wrong with the call then; each is made on the same state."""
    holding = {who: trader.with_key(who) for who in SCOPES}
    for method, path, who in PRIVATE:
        if who == "person":
            continue
        with transaction.atomic():
            answer = holding[who].call(method, owned.path(path), owned.body(method, path))
            transaction.set_rollback(True)
        assert answer.status not in (401, 403, 405, 500), (method, path, answer)


def test_what_is_anothers_is_404(owned: Owned) -> None:
    stranger = Api().bearer(signed_in(open_account(user=UserFactory.create()).user).access_token)
    refused = {
        (method, path): stranger.call(method, owned.path(path), owned.body(method, path)).error
        for method, path, _ in OF_SOMEBODY
    }
    assert refused == dict.fromkeys(refused, (404, 1002))


def test_public_calls_ask_nobody_who_they_are(owned: Owned, api: Api) -> None:
    """`/metrics`, which is for internal networks: `astrade/core/tests/test_system.py`."""
    for method, path, who in CALLS:
        if who == "public" and path != "/metrics":
            assert api.call(method, owned.path(path), {}).status not in (401, 403, 404, 405, 500), (method, path)
