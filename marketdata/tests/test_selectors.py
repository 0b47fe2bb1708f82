from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from astrade.core.errors import UnknownMarket, ValidationFailed
from astrade.core.models import AuditEvent
from marketdata.models import Market, MarketRules, MarketStatus
from marketdata.selectors import all_markets, forget_markets, market_by_symbol, markets_by_id
from marketdata.services import add_alias, change_rules, change_status
from marketdata.tests.factories import LISTED_AT, MarketFactory, market_info

pytestmark = pytest.mark.django_db
LATER = LISTED_AT + timedelta(days=1)


def test_seeding_twice_lists_every_market_once() -> None:
    call_command("seed_markets", verbosity=0)
    before = list(Market.objects.values())
    call_command("seed_markets", verbosity=0)

    assert list(Market.objects.values()) == before
    assert MarketRules.objects.count() == len(before) >= 13
    assert {"BTC-USD", "ETH-USD", "SOL-USD", "BTC-FUT", "SPX-FUT", "EURUSD", "BTCUSDT"} <= {
        m.symbol for m in all_markets()
    }


def test_btc_has_the_venues_rules() -> None:
    call_command("seed_markets", verbosity=0)
    btc = market_by_symbol("BTC-USD")

    assert (btc.tick_size, btc.step_size, btc.min_quantity) == (Decimal(1), Decimal("0.00001"), Decimal("0.0001"))
    assert (btc.max_leverage, btc.maker_fee_rate, btc.taker_fee_rate) == (50, Decimal(0), Decimal("0.00025"))


@pytest.mark.parametrize(
    ("spelling", "symbol"),
    [
        ("btc-usd", "BTC-USD"),
        ("BTC/USD", "BTC-USD"),
        ("btcusd", "BTC-USD"),
        ("BTC-USDT", "BTCUSDT"),
        ("btc/usdt", "BTCUSDT"),
    ],
)
def test_spellings_name_one_market(spelling: str, symbol: str) -> None:
    call_command("seed_markets", verbosity=0)
    market = market_by_symbol(spelling)

    assert market.symbol == symbol
    assert market_by_symbol(str(market.uuid)) is market is markets_by_id()[market.id]


@pytest.mark.parametrize("text", ["", "NOPE", "BTC", "\0", "x" * 5_000])
def test_an_unknown_market_is_refused(text: str) -> None:
    MarketFactory()
    with pytest.raises(UnknownMarket):
        market_by_symbol(text)


def test_the_hot_path_asks_no_database() -> None:
    symbol = market_info().symbol
    with CaptureQueriesContext(connection) as queries:
        for _ in range(100):
            market_by_symbol(symbol)
    assert len(queries) == 0


def test_the_whole_list_is_one_query() -> None:
    MarketFactory.create_batch(3)
    with CaptureQueriesContext(connection) as queries:
        assert len(all_markets()) == 3
    assert len(queries) == 1


def test_a_change_of_rules_is_a_new_row_and_audited() -> None:
    market = market_info()
    rules = change_rules(market.id, changes={"max_leverage": 20, "tick_size": Decimal(1)}, at=LATER, actor_id=7)
    forget_markets()

    changed = market_by_symbol(market.symbol)
    assert (changed.rules_id, changed.max_leverage) == (rules.pk, 20)
    assert MarketRules.objects.get(pk=market.rules_id).max_leverage == 50
    audit = AuditEvent.objects.get(action="market.rules_changed")
    assert (audit.actor_id, audit.before, audit.after) == (7, {"max_leverage": 50}, {"max_leverage": 20})


def test_the_same_rules_again_change_nothing() -> None:
    market = market_info()
    assert change_rules(market.id, changes={"max_leverage": 50}, at=LATER, actor_id=None).pk == market.rules_id
    assert not AuditEvent.objects.exists()


def test_only_rules_can_be_changed() -> None:
    with pytest.raises(ValidationFailed):
        change_rules(market_info().id, changes={"symbol": "X"}, at=LATER, actor_id=None)


def test_a_halt_is_seen_and_audited_once() -> None:
    market = market_info()
    for _ in range(2):
        change_status(market.id, status=MarketStatus.HALTED, actor_id=7)
    forget_markets()

    assert not market_by_symbol(market.symbol).is_tradable
    assert AuditEvent.objects.filter(action="market.status_changed").count() == 1


def test_an_alias_names_one_market_only() -> None:
    first, second = MarketFactory.create_batch(2)
    add_alias(first, spelling="coin")
    with pytest.raises(ValidationFailed):
        add_alias(second, spelling="COIN")
    with pytest.raises(ValidationFailed):
        add_alias(second, spelling=first.symbol)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tick_size": Decimal("0.0000000001"), "step_size": Decimal("0.000000001")},  # 10 + 9 decimals
        {"tick_size": Decimal(0)},
        {"symbol": "lower-usd"},
        {"max_quantity": Decimal("0.00001")},
    ],
)
def test_the_database_refuses_impossible_rules(wrong: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        MarketFactory(**wrong)


def test_eighteen_decimals_together_are_allowed() -> None:
    MarketFactory(tick_size=Decimal("0.000000001"), step_size=Decimal("0.000000001"), min_quantity=Decimal(1))


def test_rules_are_never_edited() -> None:
    market_info()
    with pytest.raises(DatabaseError), transaction.atomic():
        MarketRules.objects.update(max_leverage=100)
