import pytest

from accounts.tests.client import Api


@pytest.fixture
def api() -> Api:
    """Somebody without credentials."""
    return Api()
