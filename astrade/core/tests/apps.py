from django.apps import AppConfig


class CoreTestsConfig(AppConfig):
    """Installed by the test settings only, for the commands that tests need."""

    name = "astrade.core.tests"
    label = "core_tests"
