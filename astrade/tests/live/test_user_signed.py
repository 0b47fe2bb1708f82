"""Orders that their user signs: prepared, signed with a key that the server never had, placed once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.db.models import F

from accounts.models import StarkKey
from accounts.tests.client import Answer
from astrade.emulators.extended.accounts import Account
from astrade.emulators.tests.harness import BTC, Harness
from astrade.tests.live.trader import LIMIT, MARKET, Trader
from astrade.venues.extended.signing import (
    OrderMessage,
    Signature,
    StarknetDomain,
    hash_of,
    public_key_of,
    sign,
)
from trading.domain.lifecycle import OrderSource, OrderType, Side, TimeInForce
from trading.domain.state import OrderRequest
from trading.loading import AccountRef
from trading.models import Order, OrderRefusal, PreparedOrder, VenueOrder
from trading.services.accounts import open_practice_account
from trading.services.prepared_orders import prepare_order
from trading.venues.extended import _terms


class Signatory(Trader):
    """Connected by the public key alone; signs with the key of the account at the exchange."""

    def connect(self, *_: Any, **changes: Any) -> Answer:
        external = {"signing": "user_signed", "stark_private_key": None}
        return super().connect(stark_public_key=hex(self.there.public_key), **(external | changes))

    def prepare(self, body: dict[str, Any]) -> Answer:
        return self.call("POST", "/orders/prepare", body)

    def sign(self, prepared: dict[str, Any]) -> dict[str, str]:
        """The signature of what is shown, whose hash is made anew."""
        assert self.there.private_key is not None
        message = OrderMessage(**{name: int(value) for name, value in prepared["message"].items()})
        digest = hash_of(message, public_key=self.there.public_key, domain=StarknetDomain(**prepared["domain"]))
        assert prepared["hash"] == hex(digest)
        return body_of(sign(self.there.private_key, digest))

    def limit(self, **changes: Any) -> dict[str, Any]:
        return LIMIT | {"price": self.price("0.98")} | changes

    def signed(self, order: dict[str, Any]) -> dict[str, Any]:
        """The body of an order that was prepared and signed."""
        prepared = self.prepare(order)
        assert prepared.status == 200, prepared.content
        return order | {"prepared": prepared.data["prepared"], "signature": self.sign(prepared.data)}

    def send(self, body: dict[str, Any]) -> Answer:
        return self.call("POST", "/orders", body)


class Neighbour(Signatory):
    """The same on the exchange's second account."""

    @property
    def there(self) -> Account:
        return self.venue.second


def body_of(signature: Signature) -> dict[str, str]:
    return {"r": hex(signature.r), "s": hex(signature.s)}


@pytest.fixture
def signatory(venue: Harness, listed: None) -> Signatory:
    made = Signatory(venue)
    made.prices()
    made.connect()
    return made


def test_a_signed_market_order_is_filled_and_synced(signatory: Signatory) -> None:
    assert StarkKey.objects.get(user=signatory.user).private_key is None
    prepared = signatory.prepare(MARKET).data
    ask = signatory.venue.quote.ask
    signatory.venue.advance_until(lambda: signatory.venue.quote.ask < ask)
    signatory.prices()
    assert signatory.prepare(MARKET).data["price"] != prepared["price"]

    placed = signatory.send(MARKET | {"prepared": prepared["prepared"], "signature": signatory.sign(prepared)})
    signatory.sync()

    assert placed.status == 201, placed.content
    order = Order.objects.get()
    assert (order.status, order.filled_quantity) == ("filled", Decimal("0.01"))
    assert placed.data["client_order_id"] == prepared["client_order_id"]
    there = signatory.order_there(order)
    assert there is not None
    assert (str(there.price), str(there.fee_rate)) == (prepared["price"], prepared["fee_rate"])
    row = VenueOrder.objects.get()
    assert (str(row.nonce), row.stark_public_key) == (prepared["nonce"], prepared["stark_public_key"])
    assert PreparedOrder.objects.get(order=order).hash == prepared["hash"]
    assert signatory.differences() == []


def test_a_signed_limit_order_rests_and_is_cancelled_without_a_signature(signatory: Signatory) -> None:
    placed = signatory.send(signatory.signed(signatory.limit(post_only=True, client_order_id="mine")))

    assert (placed.status, placed.data["status"]) == (201, "open")
    assert signatory.call("DELETE", f"/orders/{placed.data['id']}").status == 202
    signatory.sync()
    assert Order.objects.get(client_order_id="mine").status == "cancelled"
    assert signatory.differences() == []


def test_a_prepared_order_reserves_nothing_and_takes_another_nonce_each_time(signatory: Signatory) -> None:
    shown = [signatory.prepare(signatory.limit()).data for _ in range(5)]

    assert len({one["nonce"] for one in shown}) == len({one["hash"] for one in shown}) == 5
    assert not Order.objects.exists()
    assert signatory.there.orders == {}


def test_a_repeated_submission_is_the_same_order(signatory: Signatory) -> None:
    body = signatory.signed(signatory.limit())
    first = signatory.send(body)

    again = signatory.send(body)
    other = signatory.send(body | {"client_order_id": "another"})

    assert (again.data["id"], again.headers["Idempotent-Replayed"]) == (first.data["id"], "true")
    assert other.error == (400, 1001)
    assert len(signatory.there.orders) == Order.objects.count() == 1


def test_twenty_submissions_at_once_are_one_order(signatory: Signatory) -> None:
    body = signatory.signed(signatory.limit())

    def send(_: int) -> Answer:
        try:
            return signatory.send(body)
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))

    assert {answer.status for answer in answers} == {201}
    assert len({answer.data["id"] for answer in answers}) == 1
    assert len(signatory.there.orders) == Order.objects.count() == VenueOrder.objects.count() == 1


def test_what_is_not_as_it_was_prepared_is_refused(signatory: Signatory) -> None:
    signatory.venue.wait(signatory.venue.take(side="SELL"))  # so that something could be reduced
    signatory.sync()
    changed: list[dict[str, Any]] = [
        {"quantity": "0.02"},
        {"side": "sell", "price": signatory.price("1.02")},
        {"type": "market", "price": None},
        {"reduce_only": True},  # is not hashed
        {"time_in_force": "IOC"},
    ]
    body = signatory.signed(signatory.limit())

    for changes in changed:
        refused = signatory.send(body | changes)

        assert refused.error == (400, 1001), changes
        assert refused.content["error"]["details"]["fields"] == {"prepared": ["Not what was prepared."]}
    nothing_happened(signatory, refusals=len(changed))


def test_a_wrong_signature_is_refused_before_anything_is_sent(signatory: Signatory) -> None:
    body = signatory.signed(signatory.limit())
    digest, right = int(PreparedOrder.objects.get().hash, 16), body["signature"]
    wrong = {
        "another key's": body_of(sign(7, digest)),
        "another order's": signatory.signed(signatory.limit(quantity="0.02"))["signature"],
        "none at all": {"r": "0x0", "s": "0x" + "f" * 64},
        "two equal halves": right | {"s": right["r"]},
    }

    for name, signature in wrong.items():
        assert signatory.send(body | {"signature": signature}).error == (401, 5002), name
    nothing_happened(signatory, refusals=len(wrong))
    assert signatory.send(body).status == 201  # it may still be signed rightly


def test_a_prepared_order_expires(signatory: Signatory) -> None:
    body = signatory.signed(signatory.limit())
    PreparedOrder.objects.update(submit_before=F("submit_before") - timedelta(seconds=61))

    refused = signatory.send(body)

    assert refused.error == (400, 1001)
    assert refused.content["error"]["details"]["fields"] == {"prepared": ["It has expired: prepare it again."]}
    nothing_happened(signatory)


def test_what_was_placed_may_be_repeated_after_its_time(signatory: Signatory) -> None:
    body = signatory.signed(signatory.limit())
    first = signatory.send(body)
    PreparedOrder.objects.update(submit_before=F("submit_before") - timedelta(days=2))
    signatory.prepare(signatory.limit())

    assert signatory.send(body).data["id"] == first.data["id"]
    assert PreparedOrder.objects.count() == 2


def test_old_ones_that_were_never_placed_are_forgotten(signatory: Signatory) -> None:
    signatory.prepare(signatory.limit())
    PreparedOrder.objects.update(submit_before=F("submit_before") - timedelta(days=2))
    signatory.prepare(signatory.limit())
    assert PreparedOrder.objects.count() == 1


def test_a_lost_answer_leaves_one_order(signatory: Signatory) -> None:
    body = signatory.signed(signatory.limit())
    signatory.venue.exchange.switch_faults("reset_after_accept")
    assert signatory.send(body).error == (202, 5005)
    signatory.venue.exchange.switch_faults("")

    again = signatory.send(body)
    signatory.sync()

    assert again.data["status"] == "unknown"
    assert Order.objects.get().status == "open"
    assert signatory.differences() == []


def test_refusals_come_before_anything_is_signed(signatory: Signatory) -> None:
    wrong = {
        3014: signatory.limit(stop_loss=signatory.price("0.9")),
        3003: signatory.limit(quantity="80"),
        3002: signatory.limit(price="1.23456"),
        3008: signatory.limit(price=signatory.price("0.5")),
    }
    assert {code: signatory.prepare(body).error[1] for code, body in wrong.items()} == {code: code for code in wrong}
    half = signatory.limit(prepared=signatory.prepare(signatory.limit()).data["prepared"])
    assert signatory.send(half).error == (400, 1001)
    assert signatory.send(signatory.limit()).error == (400, 3014)
    unknown = signatory.signed(signatory.limit()) | {"prepared": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}
    assert signatory.send(unknown).error == (404, 1002)
    assert signatory.there.orders == {}


def test_only_accounts_whose_user_signs_take_part(trader: Trader) -> None:
    body = LIMIT | {"price": trader.price("0.98")}
    assert trader.call("POST", "/orders/prepare", body).error == (400, 3014)
    signed = body | {"prepared": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "signature": {"r": "0x1", "s": "0x1"}}
    assert trader.call("POST", "/orders", signed).error == (400, 3014)
    open_practice_account(user_id=trader.user.pk)
    assert trader.api.post("/orders/prepare", body).error == (400, 3014)
    assert trader.api.post("/orders", signed).error == (400, 3014)
    assert not Order.objects.exists()


def test_anothers_prepared_order_is_not_found(signatory: Signatory) -> None:
    body = signatory.signed(signatory.limit())
    stranger = Neighbour(signatory.venue)
    stranger.connect()
    account = str(signatory.account.uuid)

    assert stranger.send(body).error == (404, 1002)
    for path in ("/orders", "/orders/prepare"):
        assert stranger.api.call("POST", path, body, X_Account_Id=account).error == (404, 1002)
    assert PreparedOrder.objects.get().order is None


def test_no_nonce_is_asked_for_twice(signatory: Signatory) -> None:
    key = hex(public_key_of(signatory.there.private_key or 0))
    signatory.send(signatory.signed(signatory.limit()))
    VenueOrder.objects.filter(stark_public_key=key).update(nonce=55)  # as of a time when the server signed
    prepared = int(signatory.prepare(signatory.limit()).data["nonce"])
    draws = iter([55, prepared, 77])
    request = OrderRequest(
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal(signatory.price("0.98")),
        time_in_force=TimeInForce.GTC,
        source=OrderSource.APP,
    )
    account = AccountRef(account_id=signatory.account.pk)

    assert prepare_order(account=account, symbol=BTC, request=request, draw=lambda: next(draws))["nonce"] == "77"
    with pytest.raises(IntegrityError):
        prepare_order(account=account, symbol=BTC, request=request, draw=lambda: 77)


def test_what_would_be_signed_otherwise_by_now_is_not_sent(signatory: Signatory, fresh_terms: None) -> None:
    body, market = signatory.signed(signatory.limit()), signatory.venue.exchange.market(BTC)
    finer = replace(market.instrument.l2, synthetic_resolution=market.instrument.l2.synthetic_resolution * 10)
    market.instrument = replace(market.instrument, l2=finer)
    forget_terms()

    refused = signatory.send(body)

    assert refused.error == (401, 5002)
    assert "venue_code" not in refused.content["error"]["details"]
    assert Order.objects.get().status == "rejected"
    assert signatory.there.orders == {}


@pytest.fixture
def fresh_terms() -> Iterator[None]:
    """What the venue tells of its markets is asked for anew by whoever comes after."""
    yield
    forget_terms()


def forget_terms() -> None:
    """As after five minutes."""
    _terms.clear()


def nothing_happened(signatory: Signatory, *, refusals: int = 1) -> None:
    """But for the records of the refusals."""
    assert not Order.objects.filter(source__in=[OrderSource.APP, OrderSource.API_KEY]).exists()
    assert not VenueOrder.objects.exclude(nonce=None).exists()
    assert len([one for one in signatory.there.orders.values() if not one.external_id.startswith("order-")]) == 0
    assert OrderRefusal.objects.count() == refusals
