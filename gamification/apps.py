from importlib import import_module

from django.apps import AppConfig


class GamificationConfig(AppConfig):
    name = "gamification"
    verbose_name = "Game"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("gamification.receivers")
