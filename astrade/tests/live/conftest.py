"""Somebody with an account at an emulated venue, and the venue's own prices here."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from astrade.core.clock import system_clock
from astrade.emulators.tests.background import in_background
from astrade.emulators.tests.harness import Harness
from astrade.tests.live.signing_withdrawer import SigningWithdrawer
from astrade.tests.live.trader import Trader, forget_budget
from astrade.tests.live.transferrer import Transferrer
from astrade.tests.live.withdrawer import Withdrawer
from astrade.tests.venue import extended_at
from marketdata.catalogue import LISTINGS, Listing
from marketdata.models import Market, MarketAlias, MarketRules
from marketdata.selectors import forget_markets
from marketdata.services import list_market
from marketdata.tests.factories import LISTED_AT
from trading.tests.conftest import forget_prices

CATALOGUE: list[list[Any]] = []  # the rows of each table


@pytest.fixture
def venue(transactional_db: None, settings: Any) -> Iterator[Harness]:
    """An exchange of its own; its clock is ours and stands still."""
    forget_budget()
    with in_background(start=system_clock()) as harness, extended_at(harness.url, settings):
        yield harness


@pytest.fixture
def listed(venue: Harness) -> Iterator[None]:
    """Every market is: for the first test by the catalogue, for later ones by the rows that this made."""
    if CATALOGUE:
        for rows in CATALOGUE:
            type(rows[0]).objects.bulk_create(rows)
        forget_markets()
    else:
        list_markets(LISTINGS)
        CATALOGUE.extend([*model.objects.all()] for model in (Market, MarketRules, MarketAlias))
    yield
    forget_prices()
    forget_markets()


def list_markets(listings: Iterable[Listing]) -> None:
    """Take these into the catalogue."""
    for listing in listings:
        list_market(listing, at=LISTED_AT)
    forget_markets()


@pytest.fixture
def trader(venue: Harness, listed: None) -> Trader:
    """Connected, the books begun, prices as the venue's."""
    made = Trader(venue)
    made.prices()
    made.connect()
    return made


@pytest.fixture
def trader_with_history(venue: Harness, listed: None) -> Trader:
    """Connected after trading elsewhere: a position, and an order that rests."""
    made = Trader(venue)
    made.elsewhere("take", qty="0.02")
    made.elsewhere("place")
    made.prices()
    made.connect()
    return made


@pytest.fixture
def withdrawer(venue: Harness, listed: None) -> Withdrawer:
    """Connected, with a second factor and an address that can be used."""
    return Withdrawer(venue)


@pytest.fixture
def owner(venue: Harness, listed: None) -> Transferrer:
    """With two accounts of one wallet, 100,000 on each."""
    return Transferrer(venue)


@pytest.fixture
def signer(venue: Harness, listed: None) -> SigningWithdrawer:
    """Connected by the public key alone, with a second factor and an address that can be used."""
    return SigningWithdrawer(venue)
