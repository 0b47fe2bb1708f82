"""Close codes, and which refusal ends with which."""

from astrade.core.errors import AstradeError, IdentityError, NotPermitted, ScopeMissing, UserFrozen

NORMAL = 1000
INTERNAL = 1011
TRY_LATER = 1013
UNAUTHENTICATED = 4401
FORBIDDEN = 4403  # frozen, revoked, or without the scope
NOT_FOUND = 4404
TOO_SLOW = 4408
FORBIDDING = (UserFrozen, NotPermitted, ScopeMissing)


def close_code_of(error: AstradeError) -> int:
    """The close code that goes with a refusal."""
    if isinstance(error, FORBIDDING):
        return FORBIDDEN
    if isinstance(error, IdentityError):
        return UNAUTHENTICATED
    return NOT_FOUND if error.status == 404 else INTERNAL
