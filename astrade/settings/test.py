"""Tests: real servers, cheap password hashes, nothing that reaches the network."""

from astrade.settings.base import *

INSTALLED_APPS = [*INSTALLED_APPS, "astrade.core.tests"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *PASSWORD_HASHERS]
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
