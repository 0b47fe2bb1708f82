"""Every error says something and has a status of the contract."""

from collections.abc import Iterator

from astrade.core.errors import STATUS_OF, AstradeError


def errors_below(base: type[AstradeError]) -> Iterator[type[AstradeError]]:
    """Every kind of error."""
    for error in base.__subclasses__():
        yield error
        yield from errors_below(error)


def test_every_error_has_a_status_and_a_message() -> None:
    kinds: list[type[AstradeError]] = [AstradeError, *errors_below(AstradeError)]
    for error in kinds:
        assert error.code in STATUS_OF, error
        assert error.message, error
