"""Passwords: the rules for new ones, and checking one without telling what was wrong or guessing without end."""

import gzip
from itertools import islice

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, check_password
from django.contrib.auth.password_validation import (
    CommonPasswordValidator,
    validate_password,
)
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.crypto import salted_hmac

from accounts.models import User
from astrade.core import throttling
from astrade.core.errors import InvalidCredentials, ValidationFailed

FAILURES = throttling.LIMITS["sign_in_failures"]  # per e-mail address, known or not
LENGTH_MIN, LENGTH_MAX = 8, 128
COMMON_PASSWORDS = 1500


class MixedCharactersValidator:
    """An upper case letter, a lower case letter and a digit."""

    def validate(self, password: str, user: object | None = None) -> None:
        """Raise ValidationError where one of the three is missing."""
        kinds = [any(map(test, password)) for test in (str.isupper, str.islower, str.isdigit)]
        if not all(kinds):
            raise ValidationError(self.get_help_text(), code="password_not_mixed")

    def get_help_text(self) -> str:
        """The rule in words."""
        return "The password needs an upper case letter, a lower case letter and a digit."


class MostCommonPasswordValidator(CommonPasswordValidator):
    """Refuses the most used passwords of Django's list, which is in order of use.

    Not all 20,000: the third requirement document signs up with `Test1234` (place 1,859), which has to go on working.
    """

    def __init__(self) -> None:
        super().__init__()
        with gzip.open(self.DEFAULT_PASSWORD_LIST_PATH, "rt", encoding="utf-8") as ranked:
            self.passwords = {line.strip() for line in islice(ranked, COMMON_PASSWORDS)}


def check_rules(password: str, *, field: str = "password") -> None:
    """Raise ValidationFailed, naming `field`, for a password that breaks a rule of API.md."""
    try:
        validate_password(password)
    except ValidationError as exc:
        raise ValidationFailed(details={"fields": {field: exc.messages}}) from exc


def normal_email(text: str) -> str:
    """The one spelling of an e-mail address that is stored: trimmed, lower case, ASCII; raises ValidationFailed."""
    email = text.strip().lower()
    try:
        if not email.isascii():
            raise ValidationError("Only ASCII addresses are accepted.")
        validate_email(email)
    except ValidationError as exc:
        raise ValidationFailed(details={"fields": {"email": exc.messages}}) from exc
    return email


def _identity_of(email: str) -> str:
    return salted_hmac("accounts.sign_in_failure", email, algorithm="sha256").hexdigest()


def is_password_of(user: User | None, password: str, *, email: str) -> bool:
    """Whether `password` is this user's, counting a wrong one against `email`; as slow for nobody as for somebody.

    Raises RateLimited once the address has had its failures. That is looked at before, so that a refused guess costs
    nothing, and again after: of any number of guesses sent at once, no answer given after the last allowed failure
    tells whether it was right. An outdated hash is renewed.
    """
    identity = _identity_of(email)
    throttling.refuse(throttling.peek(FAILURES, identity))
    encoded = user.password if user else UNUSABLE_PASSWORD_PREFIX
    if check_password(password, encoded, setter=user.renew_password if user else None):
        throttling.refuse(throttling.peek(FAILURES, identity))
        return True
    throttling.hit(FAILURES, identity)
    return False


def user_by_password(*, email: str, password: str) -> User:
    """Whoever signs in with these; raises InvalidCredentials without saying which was wrong, or RateLimited."""
    known_as = email.strip().lower()
    user = User.objects.filter(email=known_as).first()
    if not is_password_of(user, password, email=known_as) or user is None:
        raise InvalidCredentials("Wrong e-mail address or password")
    return user
