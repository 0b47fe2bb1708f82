"""What happens to every HTTP request, once and cheaply.

`RequestMiddleware` (outermost): request id, caller's address, one trailing slash off; on the way out rate-limit and
security headers, gzip, metrics and the access log. It leaves on the request: `request_id`, `client_address`,
later `rate_verdict`. `GateMiddleware` (below CORS, so that browsers may read its answers): refusals that need no view:
oversized bodies, NUL in the address, old clients, maintenance.

The rest of the file binds other middleware to the pages that need it, so API calls don't pay for the admin.
"""

import logging
import time
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from corsheaders.middleware import CorsMiddleware
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

from astrade.core import context, errors, maintenance
from astrade.core.addresses import client_address
from astrade.core.http import PAGES, is_api_path, plain_error
from astrade.core.metrics import http_requests, http_seconds
from astrade.core.permissions import SAFE_METHODS

Handler = Callable[[HttpRequest], HttpResponseBase]
GZIP_FROM_BYTES = 1024
GZIP_LEVEL = 1
QUIET_PATHS = ("/health", "/metrics", "/api/v1/health", "/api/v1/metrics", "/static/")
SLASHED = ("/admin", "/static/")
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
access_log = logging.getLogger("astrade.access")


class RequestMiddleware:
    """See the module."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponseBase:
        started = time.perf_counter()
        meta = request.META
        sent_id = meta.get("HTTP_X_REQUEST_ID")
        request.request_id = sent_id if sent_id and context.sane(sent_id) else context.new_request_id()
        request.client_address = client_address(meta.get("REMOTE_ADDR"), meta.get("HTTP_X_FORWARDED_FOR"))
        path = request.path_info
        if path[-1:] == "/" and len(path) > 1 and not path.startswith(SLASHED):
            request.path_info = path[:-1]
        token = context.bind(request_id=request.request_id)
        try:
            response = self.get_response(request)
            self.dress(request, response)
            record(request, response, elapsed_s=time.perf_counter() - started)
            return response
        finally:
            context.unbind(token)

    def dress(self, request: Any, response: Any) -> None:
        """Headers of every answer, and compression."""
        headers = response.headers
        headers["X-Request-ID"] = request.request_id
        verdict = getattr(request, "rate_verdict", None)
        if verdict is not None:
            headers["RateLimit-Limit"] = str(verdict.limit)
            headers["RateLimit-Remaining"] = str(verdict.remaining)
            headers["RateLimit-Reset"] = str(verdict.reset_s)
        if headers.get("Content-Type", "").startswith("application/") and "Content-Security-Policy" not in headers:
            headers["Content-Security-Policy"] = API_POLICY
        if not response.streaming:
            compress(request, response)
            headers["Content-Length"] = str(len(response.content))


class OriginMiddleware(CorsMiddleware):
    """CORS for who names an origin, as browsers do; others are told that the answer depends on it."""

    get_response: Handler

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META:
            return super().__call__(request)  # type: ignore[return-value]
        response = self.get_response(request)
        patch_vary_headers(response, ("origin",))
        return response


class GateMiddleware:
    """See the module."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.oldest_client = version_of(settings.CLIENT_VERSION_MIN)

    def __call__(self, request: Any) -> HttpResponseBase:
        refusal = self.refusal(request)
        return self.get_response(request) if refusal is None else plain_error(refusal)

    def refusal(self, request: Any) -> errors.AstradeError | None:
        """Why this request isn't worth a view, if so."""
        body_error: errors.AstradeError | None = getattr(request, "body_error", None)
        if body_error is not None:
            return body_error
        if "\x00" in request.path_info or "%00" in request.META["QUERY_STRING"]:
            return errors.Malformed("NUL is not allowed in an address")
        if self.oldest_client and (sent := request.META.get("HTTP_X_CLIENT_VERSION")):
            version = version_of(sent)
            if version and version < self.oldest_client:
                return errors.ClientTooOld(details={"minimum": settings.CLIENT_VERSION_MIN})
        if request.method not in SAFE_METHODS and is_api_path(request.path_info):
            return maintenance.refusal(request.method, request.path_info)
        return None


def version_of(text: str) -> tuple[int, ...]:
    """`1.12.0` as (1, 12, 0); what isn't a version is empty."""
    parts = text.strip().split("-")[0].split(".")
    return (
        tuple(map(int, parts))
        if len(parts) <= 4 and all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts)
        else ()
    )


def compress(request: HttpRequest, response: Any) -> None:
    """gzip JSON from 1 KiB on, unless it holds a secret whose length would show (BREACH)."""
    content = response.content
    if len(content) < GZIP_FROM_BYTES or getattr(response, "reflects_secret", False):
        return
    if "json" not in response.headers.get("Content-Type", "") or response.has_header("Content-Encoding"):
        return
    patch_vary_headers(response, ("Accept-Encoding",))
    if "gzip" in request.META.get("HTTP_ACCEPT_ENCODING", ""):
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        response.content = packer.compress(content) + packer.flush()
        response.headers["Content-Encoding"] = "gzip"
        if response.has_header("ETag") and not response["ETag"].startswith("W/"):
            response["ETag"] = "W/" + response["ETag"]


def record(request: Any, response: HttpResponseBase, *, elapsed_s: float) -> None:
    """Metrics by route (never by path, which would be unbounded), and one access line."""
    match = request.resolver_match
    route = match.route if match else "unmatched"
    method = request.method if request.method in METHODS else "other"
    http_requests(method, route, response.status_code).inc()
    http_seconds(method, route).observe(elapsed_s)
    if request.path_info.startswith(QUIET_PATHS) and response.status_code < 500:
        return
    access_log.info(
        "http_request",
        extra={
            "method": method,
            "path": request.path,
            "status": response.status_code,
            "ms": round(elapsed_s * 1000, 2),
            "ip": request.client_address,
        },
    )


METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class PagesOnly:
    """Mix-in: the middleware runs for pages in a browser (admin, documentation) and costs other calls nothing."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(PAGES):
            return self.get_response(request)  # type: ignore[no-any-return]
        return super().__call__(request)  # type: ignore[misc, no-any-return]


class PageSessionMiddleware(PagesOnly, SessionMiddleware):
    """Sessions are for the admin; the API has tokens."""


class PageAuthenticationMiddleware(PagesOnly, AuthenticationMiddleware):
    """`request.user` of a session; API views set their own `Caller`."""


class PageMessageMiddleware(PagesOnly, MessageMiddleware):
    """Messages of the admin."""


class PageCSPMiddleware(PagesOnly, CSPMiddleware):
    """The policy of pages; JSON answers have a stricter constant one."""


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise that does without the collected folder where there is none, as in development."""

    def add_files(self, root: str, prefix: str | None = None) -> None:
        """Take in a folder that exists."""
        if Path(root).is_dir():
            super().add_files(root, prefix)


class StaticMiddleware:
    """Files below /static/; they are listed when the first one is asked for, and other paths don't come near."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(settings.STATIC_URL):
            return self.get_response(request)
        answer: HttpResponseBase = self.files(request)
        return answer

    @cached_property
    def files(self) -> StaticFiles:
        """The list of files."""
        return StaticFiles(self.get_response)
