from django.apps import AppConfig

from accounts import sealing, tokens


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Identity"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        tokens.key_ring()  # a weak key is a refusal to start
        sealing.key_ring()
