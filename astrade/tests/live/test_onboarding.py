"""An account at Extended, opened by a wallet in two steps, and what is in the way."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import httpx
import pytest
from django.db import connection
from django.db.models import F

from accounts.models import KeyOrigin, Onboarding, StarkKey, VenueCredential
from accounts.services.terms import accept
from accounts.services.venue_connections import access_of
from accounts.tests.client import Answer
from accounts.tests.test_two_factor import code_of, protected
from astrade.core.clock import system_clock
from astrade.core.models import AuditEvent
from astrade.emulators.extended.accounts import Account
from astrade.emulators.tests.harness import Harness
from astrade.emulators.tests.wallet import Wallet
from astrade.tests.live.trader import Trader
from astrade.tests.venue import EXTENDED, Person, at_fault, extended_at
from astrade.tests.wiretap import Wiretap, wiretap
from trading.models import Order, TradingAccount

BEGIN, COMPLETE = f"{EXTENDED}/onboarding", f"{EXTENDED}/onboarding/complete"


@pytest.fixture
def person(venue: Harness) -> Person:
    return Person()


@pytest.fixture
def wallet() -> Wallet:
    return Wallet.number(1)


@pytest.fixture
def tap(venue: Harness, settings: Any) -> Iterator[Wiretap]:
    """Between the server and its venue."""
    with wiretap(venue.url) as relay, extended_at(relay.url, settings):
        yield relay


def begin(person: Person, wallet: Wallet, **changes: Any) -> Answer:
    return person.api.post(BEGIN, {"wallet": wallet.address} | changes)


def signed(person: Person, wallet: Wallet, **changes: Any) -> dict[str, Any]:
    """What the second call takes."""
    begun = begin(person, wallet, **changes)
    assert begun.status == 201, begun.content
    return wallet.answers(begun.data)


def opened(venue: Harness, wallet: Wallet) -> Account:
    """The wallet's only account at the exchange."""
    (account,) = venue.exchange.wallets[wallet.address]
    return account


def test_a_wallet_opens_an_account_with_the_servers_key(person: Person, venue: Harness, wallet: Wallet) -> None:
    begun = begin(person, wallet).data
    assert (begun["wallet"], begun["key"], begun["sign"]["wallet"]) == (wallet.address, "generated", None)

    made = person.api.post(COMPLETE, wallet.answers(begun))

    account = opened(venue, wallet)
    assert made.status == 200
    assert (made.data["vault"], made.data["account_id"]) == (account.vault, str(account.id))
    assert made.data == person.api.get(EXTENDED).data
    key = StarkKey.objects.get(user=person.user)
    assert (key.origin, int(key.public_key, 16)) == (KeyOrigin.GENERATED, account.public_key)
    assert access_of(VenueCredential.objects.get()).access.api_key == account.api_key
    assert TradingAccount.objects.filter(user=person.user, venue="extended").count() == 1
    assert AuditEvent.objects.filter(action="venue.connected").count() == 1


def test_the_key_that_was_made_at_sign_up_is_the_one(venue: Harness, wallet: Wallet) -> None:
    made = Person().api.post("/users", {})
    person = Person()
    person.api = person.api.bearer(made.data["access_token"])

    connected = person.api.post(COMPLETE, signed(person, wallet))

    assert connected.data["stark_public_key"] == made.data["stark_public_key"]


def test_a_wallet_that_is_registered_with_its_own_key_is_connected_and_trades(
    trader: Trader, venue: Harness, wallet: Wallet
) -> None:
    there = register_elsewhere(venue, wallet)
    there.balance = Decimal(5_000)
    person = Trader(venue)
    accept(person.user, [{"document": "terms", "version": "1"}], ip=None, now=system_clock())

    made = person.api.post(COMPLETE, signed(person, wallet, key="derived"))
    placed = person.take()
    person.sync()

    assert made.data["vault"] == there.vault
    assert StarkKey.objects.get(user=person.user).origin == KeyOrigin.DERIVED
    assert placed.status == 201, placed.content
    order = Order.objects.get(uuid=placed.data["id"])
    assert (order.status, order.filled_quantity) == ("filled", Decimal("0.01"))
    assert there.held("BTC-USD") == Decimal("0.01")


def test_a_wallet_that_is_registered_with_another_key_is_told_so(
    person: Person, venue: Harness, wallet: Wallet
) -> None:
    register_elsewhere(venue, wallet)

    refused = person.api.post(COMPLETE, signed(person, wallet))

    assert refused.error == (400, 5000)
    assert refused.content["error"]["details"]["venue_code"] == 1009
    assert not VenueCredential.objects.exists()


def test_completing_again_is_the_same_connection(person: Person, venue: Harness, wallet: Wallet) -> None:
    answers = signed(person, wallet)
    first = person.api.post(COMPLETE, answers)

    again = person.api.post(COMPLETE, answers)
    anew = person.api.post(COMPLETE, signed(person, wallet))

    assert again.data == first.data
    assert (anew.status, anew.data["vault"]) == (200, first.data["vault"])
    assert opened(venue, wallet).vault == first.data["vault"]
    assert StarkKey.objects.filter(user=person.user).count() == 1
    assert TradingAccount.objects.filter(user=person.user, venue="extended").count() == 1
    person.api.delete(EXTENDED)
    assert person.api.post(COMPLETE, answers).error == (404, 1002)


def test_whatever_answer_is_lost_the_next_call_completes_it(venue: Harness, tap: Wiretap) -> None:
    calls = (b"POST /auth/onboard ", b"POST /api/v1/user/account/api-key ")
    faults = ("reset_before_accept", "reset_after_accept")
    for number, (call, fault) in enumerate(product(calls, faults), start=10):
        person, wallet = Person(), Wallet.number(number)
        answers = signed(person, wallet)
        tap.sent.clear()
        tap.first = failing_at(venue, tap, call, fault)

        assert person.api.post(COMPLETE, answers).error == (202, 5005), (call, fault)
        assert not VenueCredential.objects.filter(user=person.user).exists()
        tap.first = lambda: None
        venue.exchange.faults.switch("")
        made = person.api.post(COMPLETE, answers)

        assert (made.status, made.data["vault"]) == (200, opened(venue, wallet).vault)
        assert StarkKey.objects.filter(user=person.user).count() == 1
        assert VenueCredential.objects.filter(user=person.user).count() == 1


def test_an_account_that_cannot_be_read_is_completed_later(
    person: Person, venue: Harness, wallet: Wallet, tap: Wiretap
) -> None:
    answers = signed(person, wallet)
    tap.first = failing_at(venue, tap, b"GET /api/v1/user/account/info ", "wrong_content_type")
    assert person.api.post(COMPLETE, answers).error == (503, 5004)
    tap.first = lambda: None
    venue.exchange.faults.switch("")
    expired_by(timedelta(minutes=11))

    assert person.api.post(COMPLETE, answers).error == (404, 1002)
    made = person.api.post(COMPLETE, signed(person, wallet))

    assert made.data["vault"] == opened(venue, wallet).vault
    assert StarkKey.objects.filter(user=person.user).count() == 1


def test_two_calls_at_once_make_one_connection(person: Person, venue: Harness, wallet: Wallet) -> None:
    answers = signed(person, wallet)

    def post(_: int) -> Answer:
        try:
            return person.api.post(COMPLETE, answers)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(post, range(4)))

    assert {answer.status for answer in made} <= {200, 409}
    assert 200 in {answer.status for answer in made}
    assert VenueCredential.objects.count() == 1
    assert opened(venue, wallet).vault == VenueCredential.objects.get().vault


def test_a_process_that_died_is_waited_for_and_no_longer(person: Person, venue: Harness, wallet: Wallet) -> None:
    answers = signed(person, wallet)
    Onboarding.objects.update(claimed_until=system_clock() + timedelta(seconds=30))
    assert person.api.post(COMPLETE, answers).error == (409, 1005)
    Onboarding.objects.update(claimed_until=system_clock() - timedelta(seconds=1))
    assert person.api.post(COMPLETE, answers).status == 200


def test_what_is_not_the_wallets_is_refused_before_anything_is_sent(
    person: Person, venue: Harness, wallet: Wallet
) -> None:
    begun = begin(person, wallet, key="derived").data
    right, other = wallet.answers(begun), Wallet.number(2).answers(begun)
    for name in ("registration_signature", "api_key_signature", "wallet_signature"):
        for wrong in (other[name], right["api_key_signature" if "api" not in name else "registration_signature"]):
            refused = person.api.post(COMPLETE, right | {name: wrong})
            assert (refused.error, at_fault(refused)) == ((401, 5002), {name})
    for name, value in (("registration_signature", "0x12"), ("api_key_signature", None), ("wallet_signature", None)):
        body = {key: one for key, one in (right | {name: value}).items() if one is not None}
        assert person.api.post(COMPLETE, body).error == (400, 1001)
    surplus = wallet.answers(begin(person, wallet).data) | {"wallet_signature": right["wallet_signature"]}
    assert person.api.post(COMPLETE, surplus).error == (400, 1001)
    assert person.api.post(BEGIN, {"wallet": wallet.address[:-1]}).error == (400, 1001)
    assert person.api.post(BEGIN, {"wallet": wallet.address, "network": "mainnet"}).error == (400, 1001)
    assert venue.exchange.wallets == {}
    assert not StarkKey.objects.filter(user=person.user).exists()


def test_an_onboarding_is_its_users_alone(person: Person, venue: Harness, wallet: Wallet) -> None:
    answers = signed(person, wallet)

    assert Person().api.post(COMPLETE, answers).error == (404, 1002)
    assert venue.exchange.wallets == {}


def test_another_user_with_the_same_wallet_gets_no_second_connection(
    person: Person, venue: Harness, wallet: Wallet
) -> None:
    person.api.post(COMPLETE, signed(person, wallet, key="derived"))

    taken = Person()
    refused = taken.api.post(COMPLETE, signed(taken, wallet, key="derived"))

    assert refused.error == (401, 5001)
    assert VenueCredential.objects.get().user_id == person.user.pk


def test_a_second_factor_is_asked_for_where_there_is_one(venue: Harness, wallet: Wallet) -> None:
    user, secret, _ = protected()
    person = Person(user)
    answers = signed(person, wallet)

    assert person.api.post(COMPLETE, answers).error == (403, 1103)
    assert venue.exchange.wallets == {}
    assert person.api.post(COMPLETE, answers, X_2FA_Code=code_of(secret)).status == 200


def expired_by(span: timedelta) -> None:
    Onboarding.objects.update(expires_at=F("expires_at") - span)


def failing_at(venue: Harness, tap: Wiretap, call: bytes, fault: str) -> Callable[[], None]:
    """Lets the fault strike the call and what follows it."""

    def look() -> None:
        if call in tap.sent:
            venue.exchange.faults.switch(fault)

    return look


def register_elsewhere(venue: Harness, wallet: Wallet) -> Account:
    """The wallet opens its account at the exchange itself, with the key that its signature gives."""
    body = wallet.registration(wallet.stark_key(), at=venue.clock(), host=venue.url)
    answer = httpx.post(f"{venue.url}/auth/onboard", json=body)
    assert answer.status_code == 200, answer.text
    return opened(venue, wallet)
