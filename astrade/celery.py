"""The Celery application: `celery -A astrade worker`, `celery -A astrade beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "astrade.settings.dev")

app = Celery("astrade")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
