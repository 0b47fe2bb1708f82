from decimal import DefaultContext, getcontext, setcontext

from django.apps import AppConfig

from astrade.core.celery import connect
from astrade.core.logging import configure_structlog

DECIMAL_PRECISION = 60  # digits; a product of two columns of 38 digits must not be rounded in passing


class CoreConfig(AppConfig):
    name = "astrade.core"
    label = "core"
    verbose_name = "System"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        configure_structlog()
        connect()
        DefaultContext.prec = DECIMAL_PRECISION
        context = getcontext().copy()
        context.prec = DECIMAL_PRECISION
        setcontext(context)
