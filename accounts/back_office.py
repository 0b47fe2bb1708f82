"""The back office as a Django app: named by the settings in place of Django's own, so that its site is ours."""

from django.contrib.admin.apps import AdminConfig


class BackOfficeConfig(AdminConfig):
    default_site = "accounts.admin_login.BackOffice"
