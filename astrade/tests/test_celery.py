"""Every process that loads Django, not the worker only, sends its tasks to our broker."""

import os
import subprocess
import sys

PROGRAM = """
import django
django.setup()
from django.conf import settings
from trading.tasks import cancel_orders_of_frozen_users as task
assert task.app.main == "astrade", task.app
assert task.app.conf.broker_url == settings.CELERY_BROKER_URL
"""


def test_a_web_process_knows_the_broker() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], env=dict(os.environ), check=True, timeout=60)
