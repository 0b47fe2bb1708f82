"""One handler turns every exception into the error envelope; nobody else knows status codes."""

import logging
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError
from django.http import Http404, HttpResponse
from rest_framework import exceptions

from astrade.core import errors
from astrade.core.http import plain_error

RETRY_AFTER_S = 60
INTERNAL = errors.AstradeError.code
logger = logging.getLogger(__name__)


def as_astrade_error(exc: Exception) -> errors.AstradeError:
    """The error of the public contract that says what `exc` says; 9000 for what nobody foresaw."""
    match exc:
        case errors.AstradeError():
            return exc
        case exceptions.ValidationError():
            return errors.ValidationFailed(details=_fields_of(exc.detail))
        case exceptions.ParseError():
            return errors.Malformed(str(exc.detail))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return errors.NotAuthenticated()
        case Http404() | exceptions.NotFound():
            return errors.NotFound()
        case PermissionDenied() | exceptions.PermissionDenied():
            return errors.NotPermitted()
        case exceptions.MethodNotAllowed():
            return errors.MethodNotAllowed()
        case exceptions.UnsupportedMediaType() | exceptions.NotAcceptable():
            return errors.UnsupportedMediaType()
        case exceptions.Throttled():
            return errors.RateLimited(retry_after_s=RETRY_AFTER_S)
        case RequestDataTooBig():
            return errors.TooLarge()
        case SuspiciousOperation() | BadRequest():
            return errors.Malformed()
        case DataError():  # a text or number that no column can hold got past a serializer
            logger.warning("value_beyond_column", exc_info=exc)
            return errors.ValidationFailed("A value is out of range")
    return errors.AstradeError()


def _fields_of(detail: Any) -> dict[str, Any]:
    return {"fields": detail if isinstance(detail, dict) else {"non_field_errors": detail}}


def handle(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """REST framework's `EXCEPTION_HANDLER`."""
    error = as_astrade_error(exc)
    if error.code == INTERNAL:
        logger.error("unhandled_error", exc_info=exc)
    return plain_error(error)
