"""The answers of the API: envelopes, encoded once when they are made.

Answer(data, …)             a success; views call `core.api.views.ok`
Refusal(error)              an error
plain_error(error)          the envelope of an AstradeError (None: internal error)
handler400, handler403, handler404, handler500      Django's error pages: an envelope on API paths, a page elsewhere
is_api_path(path)           whether errors at this path are answered as JSON
"""

import logging
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from astrade.core import errors, throttling
from astrade.core.api.renderers import encode, envelope, error_envelope

logger = logging.getLogger(__name__)


class DressedRequest(HttpRequest):
    """What every view may rely on; for annotations, never instantiated."""

    request_id: str
    client_address: str
    rate_verdict: throttling.Verdict
    body_error: errors.AstradeError


JSON = "application/json"
PAGES = ("/admin", "/static/", "/docs", "/redoc")


def is_api_path(path: str) -> bool:
    """Pages for people answer in HTML, everything else in JSON."""
    return not path.startswith(PAGES)


class Answer(HttpResponse):
    """`data` in the success envelope; `pagination` only on lists. `secret`: it shows a token or key, so no gzip, no
    cache.
    """

    def __init__(
        self,
        data: Any,
        *,
        status: int = 200,
        pagination: Mapping[str, int | None] | None = None,
        secret: bool = False,
    ) -> None:
        content = encode(envelope(data, pagination=pagination))
        super().__init__(content, status=status, content_type=JSON)
        self.data, self.reflects_secret = data, secret
        if secret:
            self["Cache-Control"] = "no-store"


class Refusal(HttpResponse):
    """An error in its envelope; `error` is what it tells of, for those who tell it in another form."""

    def __init__(self, error: errors.AstradeError) -> None:
        content = encode(error_envelope(error.code, str(error), error.details))
        super().__init__(content, status=error.status, content_type=JSON)
        self.error = error


def plain_error(error: errors.AstradeError | None) -> HttpResponse:
    """The error envelope, with `Retry-After` and `WWW-Authenticate` where they belong."""
    error = error or errors.AstradeError()
    response = Refusal(error)
    if error.retry_after_s is not None:
        response["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Refused before a view was found: bad host, bad encoding, too many fields."""
    return (
        plain_error(errors.Malformed()) if is_api_path(request.path_info) else defaults.bad_request(request, exception)
    )


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Not permitted."""
    if is_api_path(request.path_info):
        return plain_error(errors.NotPermitted())
    return defaults.permission_denied(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No such path."""
    if is_api_path(request.path_info):
        try:
            throttling.check(request, None)  # looking for paths is counted too
        except errors.RateLimited as limited:
            return plain_error(limited)
        return plain_error(errors.NotFound())
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest, *args: Any) -> HttpResponse:
    """A bug; it was logged, the client learns the request id."""
    logger.error("unhandled_error", exc_info=True)
    return plain_error(None) if is_api_path(request.path_info) else defaults.server_error(request)
