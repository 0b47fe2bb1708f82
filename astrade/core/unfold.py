"""How the back office looks: settings of django-unfold."""

from typing import Any

from django.urls import reverse_lazy

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "AsTrade",
    "SITE_HEADER": "AsTrade back office",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/favicon.svg"}],
    "SITE_URL": "/docs",
    "SITE_SYMBOL": "rocket_launch",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "ACCOUNT": {"navigation": [{"title": "Two-factor sign-in", "link": reverse_lazy("admin:two_factor")}]},
    "SIDEBAR": {"show_search": True, "show_all_applications": True},
}
