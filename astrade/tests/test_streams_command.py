"""`manage.py streams`: all parts, or those that are named."""

import pytest
from django.core.management import CommandError, call_command

from astrade.management.commands.streams import PARTS


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="No such part: fedes, x; there are feeds, matcher"):
        call_command("streams", "game", "x", "fedes")


def test_each_part_has_runners_of_its_own() -> None:
    names = [runner.name for make in PARTS.values() for runner in make()]

    assert len(names) == len(set(names)) >= len(PARTS)
