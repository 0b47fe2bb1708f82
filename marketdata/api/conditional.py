"""Answers that a client or proxy may keep: ETag over the data alone, and 304 to whoever has it already."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from django.http import HttpResponseBase, HttpResponseNotModified
from django.utils.http import parse_etags
from rest_framework.request import Request

from astrade.core.api.renderers import encode
from astrade.core.api.views import ok


def conditional(
    request: Request,
    data: Any,
    *,
    max_age_s: int,
    version: Any = None,
    pagination: Mapping[str, int | None] | None = None,
) -> HttpResponseBase:
    """The envelope around `data`, encoded once, or 304.

    The tag is weak, as request id and time in the envelope differ each time. `version` stands for the data in it where
    the data itself holds what only the moment of asking decides.
    """
    encoded = encode(data)
    tagged = encoded if version is None else encode(version)
    etag = f'W/"{blake2b(tagged, digest_size=12).hexdigest()}"'
    known = parse_etags(request.headers.get("If-None-Match", ""))
    response: HttpResponseBase
    if "*" in known or etag in known or etag.removeprefix("W/") in known:
        response = HttpResponseNotModified()
    else:
        response = ok(orjson.Fragment(encoded), pagination=pagination)
    response["ETag"] = etag
    response["Cache-Control"] = f"public, max-age={max_age_s}"
    return response
