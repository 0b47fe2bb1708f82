"""How Extended's messages are read: exactly, and forgiving of what may change."""

from decimal import Decimal
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.venues.errors import StreamBroken, StreamGap
from astrade.venues.extended.account_wire import Account, BridgeConfig, Operation, Order, Position
from astrade.venues.extended.book import LiveBook
from astrade.venues.extended.public_wire import BookLevel, FundingRate, PublicTrade
from astrade.venues.extended.stream_wire import BookUpdate
from astrade.venues.extended.wire import OrderStatus, OrderType, PriceType, Side, TpslType, TriggerDirection
from astrade.venues.wire import decode

ORDER: dict[str, Any] = {
    "id": 1791389621914243072,
    "accountId": 1,
    "externalId": "mine",
    "market": "BTC-USD",
    "type": "LIMIT",
    "side": "BUY",
    "status": "NEW",
    "qty": "0.010",
    "createdTime": 5,
    "updatedTime": 6,
}


def order(**changes: Any) -> Order:
    read: Order = decode(orjson.dumps(ORDER | changes), Order)
    return read


def test_ids_beyond_what_a_float_holds_are_exact_quoted_or_not() -> None:
    assert order().id == order(id="1791389621914243072").id == 1791389621914243072


def test_decimals_come_from_the_text_itself() -> None:
    raw = orjson.dumps(ORDER)[:-1] + b',"price":77259.680250000004123456789}'
    assert decode(raw, Order).price == Decimal("77259.680250000004123456789")
    assert str(order().qty) == "0.010"


def test_unknown_fields_are_ignored_and_unknown_values_are_unknown() -> None:
    read = order(type="SCALED", status="ON_FIRE", side="BOTH", news={"a": 1})
    assert (read.type, read.status, read.side) == (OrderType.UNKNOWN, OrderStatus.UNKNOWN, Side.UNKNOWN)


@pytest.mark.parametrize("name", ["expireTime", "expiryTime"])
def test_the_expiry_has_two_names(name: str) -> None:
    assert order(**{name: 9}).expires_ms == 9


@pytest.mark.parametrize("name", ["triggerPriceDirection", "direction"])
def test_the_triggers_direction_has_two_names(name: str) -> None:
    trigger = {"triggerPrice": "1", "triggerPriceType": "MARK", name: "DOWN", "executionPriceType": "LIMIT"}
    read = order(trigger=trigger).trigger
    assert read is not None and read.fires is TriggerDirection.DOWN and read.execution_price_type is PriceType.LIMIT


@pytest.mark.parametrize("name", ["tpSlType", "tpslType"])
def test_what_the_legs_close_has_two_names(name: str) -> None:
    assert order(**{name: "POSITION"}).legs_close is TpslType.POSITION


def test_times_of_a_position_have_two_names_and_it_ends_in_two_ways() -> None:
    held: dict[str, Any] = {
        "id": 1, "accountId": 1, "market": "BTC-USD", "side": "LONG", "leverage": "10", "size": "1", "value": "1",
        "openPrice": "1",
    }  # fmt: skip
    new = decode(orjson.dumps(held | {"createdAt": 1, "updatedAt": 2, "status": "CLOSED"}), Position)
    old = decode(orjson.dumps(held | {"createdTime": 1, "updatedTime": 2, "size": "0"}), Position)
    assert (new.created_ms, new.updated_ms, old.created_ms, old.updated_ms) == (1, 2, 1, 2)
    assert new.is_closed and old.is_closed
    assert not decode(orjson.dumps(held), Position).is_closed


def test_an_account_has_two_names_for_its_id_and_two_kinds_of_vault() -> None:
    first = decode(b'{"accountId":7,"status":"ACTIVE","l2Vault":"10002","l2Key":"0xff"}', Account)
    other = decode(b'{"id":7,"status":"ACTIVE","l2Vault":10002,"l2Key":"ff"}', Account)
    assert (first.number, first.l2_vault, first.public_key) == (other.number, other.l2_vault, other.public_key)
    assert (first.number, first.l2_vault, first.public_key) == (7, 10_002, 255)


def test_an_operation_may_be_named_by_a_number_or_a_hash() -> None:
    body = b'{"id":%s,"type":"WITHDRAWAL","status":"NEVER_SEEN","amount":"-2","time":1}'
    assert decode(body % b'"0xabc"', Operation).id == "0xabc"
    assert str(decode(body % b"18", Operation).id) == "18"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400000", "1e-400000", "abc", ""])
def test_what_is_no_amount_cannot_be_read(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        order(qty=text)


@pytest.mark.parametrize("missing", sorted(ORDER))
def test_an_order_without_what_everything_needs_cannot_be_read(missing: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(orjson.dumps({name: value for name, value in ORDER.items() if name != missing}), Order)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**12, places=18))
def test_any_decimal_survives_its_text(value: Decimal) -> None:
    assert decode(b'{"price":"%s","qty":%s}' % ((format(value, "f").encode(),) * 2), BookLevel) == BookLevel(
        price=value, qty=value
    )


def test_the_short_names_of_public_messages() -> None:
    trade = decode(b'{"i":"9","m":"BTC-USD","S":"SELL","tT":"X","T":5,"p":"1.5","q":"2"}', PublicTrade)
    assert (trade.id, trade.side, trade.price, trade.quantity, trade.at_ms) == (9, Side.SELL, Decimal("1.5"), 2, 5)
    assert decode(b'{"m":"A","T":5,"f":"-0.0001"}', FundingRate).rate == Decimal("-0.0001")


def update(kind: str, bids: list[tuple[str, ...]], asks: list[tuple[str, ...]] = []) -> BookUpdate:  # noqa: B006
    def levels(side: list[tuple[str, ...]]) -> list[dict[str, str]]:
        return [dict(zip(("p", "q", "c"), level, strict=False)) for level in side]

    read: BookUpdate = decode(
        orjson.dumps({"t": kind, "m": "BTC-USD", "b": levels(bids), "a": levels(asks)}), BookUpdate
    )
    return read


def test_a_book_prefers_the_absolute_size_and_adds_up_where_there_is_none() -> None:
    book = LiveBook("BTC-USD")
    with pytest.raises(ValueError, match="nothing was told"):
        book.snapshot()
    book.apply(update("SNAPSHOT", [("10", "1", "1"), ("9", "2")], [("11", "1", "1")]), sequence=1, ts_ms=1_000)
    book.apply(update("DELTA", [("10", "5", "3"), ("9", "-0.5")]), sequence=2, ts_ms=1_100)
    assert book.bids == {Decimal(10): Decimal(3), Decimal(9): Decimal("1.5")}
    book.apply(update("DELTA", [("10", "-9", "0"), ("9", "-1.5"), ("8", "1")]), sequence=3, ts_ms=1_200)
    snapshot = book.snapshot()
    assert (snapshot.bids, snapshot.asks) == (((Decimal(8), Decimal(1)),), ((Decimal(11), Decimal(1)),))
    assert (snapshot.symbol, snapshot.sequence, snapshot.at.microsecond) == ("BTC-USD", 3, 200_000)
    book.apply(update("SNAPSHOT", [("7", "1", "1")]), sequence=4, ts_ms=1_300)
    assert book.bids == {Decimal(7): Decimal(1)} and book.asks == {}


def test_a_book_that_cannot_be_is_given_up() -> None:
    with pytest.raises(StreamGap):
        LiveBook("BTC-USD").apply(update("DELTA", [("10", "1", "1")]), sequence=1, ts_ms=1)
    with pytest.raises(StreamGap):
        LiveBook("BTC-USD").apply(update("PARTIAL", [("10", "1", "1")]), sequence=1, ts_ms=1)
    with pytest.raises(StreamBroken, match="broke"):
        LiveBook("BTC-USD").apply(update("SNAPSHOT", [("10", "1")], [("10", "1")]), sequence=1, ts_ms=1)


def test_the_bridges_chains() -> None:
    raw = b'{"chains":[{"chain":"ARB","contractAddress":"0x10417734001162Ea139e8b044DFe28DbB8B28ad0"}],"more":1}'
    (chain,) = decode(raw, BridgeConfig).chains
    assert (chain.chain, chain.contract_address) == ("ARB", "0x10417734001162Ea139e8b044DFe28DbB8B28ad0")
