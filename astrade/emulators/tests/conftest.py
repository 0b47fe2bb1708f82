from collections.abc import AsyncIterator

import pytest

from astrade.emulators.tests.harness import Harness, running


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    """An exchange with one market, without faults."""
    async with running() as made:
        yield made
