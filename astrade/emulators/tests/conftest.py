from collections.abc import AsyncIterator

import pytest

from astrade.emulators.tests.binance_harness import BinanceHarness
from astrade.emulators.tests.binance_harness import running as binance_running
from astrade.emulators.tests.harness import Harness, running


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    """An exchange with one market, without faults."""
    async with running() as made:
        yield made


@pytest.fixture
async def binance() -> AsyncIterator[BinanceHarness]:
    """An emulated Binance with one symbol, without faults."""
    async with binance_running() as made:
        yield made
