from importlib import import_module

import pytest
from django.apps import apps

from accounts.tests.client import Api

migration = import_module("gamification.migrations.0003_first_planets_and_missions")


@pytest.fixture
def catalogue(db: None) -> None:
    """The planets and missions every installation has, also where an earlier test has emptied all tables."""
    migration.install(apps)


@pytest.fixture
def api() -> Api:
    """Somebody without credentials."""
    return Api()
