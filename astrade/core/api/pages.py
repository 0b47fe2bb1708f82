"""Files of the browser pages that are not served as they lie: the icon, and ReDoc without its call home."""

from functools import lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse

ICON = Path(__file__).with_name("favicon.svg")
REDOC = "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
NO_PICTURE = b"data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
A_DAY = "public, max-age=86400"


@lru_cache(maxsize=1)
def icon_file() -> bytes:
    """The picture in the browser's tab."""
    return ICON.read_bytes()


@lru_cache(maxsize=1)
def redoc_file() -> bytes | None:
    """ReDoc as it is packaged, but for the logo that its footer fetches from its makers' server."""
    found = finders.find(REDOC)
    return Path(found).read_bytes().replace(REDOC_LOGO, NO_PICTURE) if isinstance(found, str) else None


def icon(request: HttpRequest) -> HttpResponse:
    """`/favicon.svg`, and `/favicon.ico` for browsers that ask for it unbidden."""
    return HttpResponse(icon_file(), content_type="image/svg+xml", headers={"Cache-Control": A_DAY})


def redoc_bundle(request: HttpRequest) -> HttpResponse:
    """The script of `/redoc`."""
    script = redoc_file()
    if script is None:
        raise Http404
    return HttpResponse(script, content_type="text/javascript", headers={"Cache-Control": A_DAY})
