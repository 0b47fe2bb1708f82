from django.apps import AppConfig

from accounts.tokens import key_ring


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Identity"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        key_ring()  # a weak signing key is a refusal to start
