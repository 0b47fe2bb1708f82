"""The web process: HTTP through Django's synchronous stack in threads, WebSockets through Channels' routing."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "astrade.settings.dev")
django.setup()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from astrade.core.handler import ThreadedHandler  # noqa: E402
from astrade.core.lifespan import lifespan, on_shutdown  # noqa: E402
from astrade.core.processor import keep_to  # noqa: E402
from astrade.routing import websocket_urlpatterns  # noqa: E402

keep_to(settings.WEB_CPU)  # before any thread begins
http = ThreadedHandler()
on_shutdown(http.drain)
application = ProtocolTypeRouter({"http": http, "websocket": URLRouter(websocket_urlpatterns), "lifespan": lifespan})
