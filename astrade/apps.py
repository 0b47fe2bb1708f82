from importlib import import_module

from django.apps import AppConfig


class AstradeConfig(AppConfig):
    """The project as an app, for the commands that compose several apps."""

    name = "astrade"
    label = "astrade"

    def ready(self) -> None:
        import_module("astrade.celery")  # so that every process sends its tasks to our broker
