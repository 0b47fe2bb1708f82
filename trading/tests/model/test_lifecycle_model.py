"""A model in plain Python against the services and PostgreSQL, on random scripts: identical to the last digit."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest

from marketdata.selectors import forget_markets
from trading.tests.conftest import forget_prices, make_market
from trading.tests.model.comparing import Played, compare, differences_of, shrunk, told
from trading.tests.model.exact import CASH_UNITS
from trading.tests.model.market import RULES
from trading.tests.model.scripts import script_of
from trading.tests.model.services import virtual_clock

FULL = bool(os.environ.get("CAMPAIGN"))
SCRIPTS = 10_000 if FULL else 300
AT_ONCE = 25  # scripts whose results are read together
PARTS = 4 if FULL else 1  # each begins with empty tables
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("untraced"),
    pytest.mark.timeout(3600 if FULL else 600),
]


@pytest.fixture
def markets(transactional_db: None) -> Iterator[None]:
    """The scripts' markets, and their clock."""
    forget_prices()
    for symbol, rules in RULES.items():
        make_market(symbol, **rules)
    with virtual_clock():
        yield
    forget_prices()
    forget_markets()


@pytest.mark.parametrize("part", range(PARTS))
def test_services_do_what_the_model_says(
    markets: None, part: int, record_property: Callable[[str, object], None]
) -> None:
    size, counts = SCRIPTS // PARTS, Counter[str]()
    for first in range(part * size, (part + 1) * size, AT_ONCE):
        seeds = range(first, min(first + AT_ONCE, (part + 1) * size))
        for seed, (script, played, lines) in zip(seeds, compare([script_of(seed) for seed in seeds]), strict=True):
            if lines:
                small = shrunk(script)
                pytest.fail(f"script {seed}" + told(small, differences_of(small) or lines))
            counts += played.counts()
    for name, count in sorted(counts.items()):
        record_property(name, count)


def test_a_difference_is_found_and_its_script_shrunk_to_what_shows_it(markets: None) -> None:
    tick = {"do": "tick", "after": 1, "trades": [], "quotes": [{"last": "100", "mark": "100", "index": "100"}]}
    books = [
        tick | {"symbol": symbol, "bids": [["99", "5"]], "asks": [["101", "5"]]} for symbol in ("BTC-USD", "ETH-USD")
    ]
    order = {"side": "buy", "type": "market", "quantity": "1", "take_profit": "120"}
    place = {"do": "place", "account": 0, "symbol": "BTC-USD", "order": order}
    account = {"simulator": "realistic", "balance": "1000", "max_leverage": 10}
    script = {"accounts": [account], "symbols": ["BTC-USD", "ETH-USD"], "steps": [*books, {"do": "keep"}, place, place]}
    assert differences_of(script) == []

    def wrong(played: Played) -> None:
        """As if the model charged one millionth too little for each fill."""
        for owner in played.venue.accounts:
            owner.cash += Fraction(len(owner.fills), CASH_UNITS)

    lines = differences_of(script, then=wrong)
    assert lines == ["account 0, cash: the model says 999.798002, the services 999.798"]
    small = shrunk(script, then=wrong)
    assert small["steps"] == [*books, place | {"order": {k: v for k, v in order.items() if k != "take_profit"}}]
    assert "place: account 0, symbol BTC-USD, side buy, type market, quantity 1" in told(small, lines)
