"""`docs/contract.md` names tests that exist, and every test of this folder."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

HERE = Path(__file__).parent
TABLE = settings.BASE_DIR / "docs" / "contract.md"
REFERENCE = re.compile(r"`([\w/]+\.py)::(\w+)`")
LATER = "not offered yet"


def functions_of(path: Path) -> set[str]:
    """The test functions of a file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = (node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds))
    return {name for name in functions if name.startswith("test_")}


def named() -> set[tuple[Path, str]]:
    """File and function of every reference."""
    found = REFERENCE.findall(TABLE.read_text())
    return {((settings.BASE_DIR if "/" in path else HERE) / path, name) for path, name in found}


def rows() -> Iterator[list[str]]:
    """The cells of each line of the tables, without their heads."""
    for line in TABLE.read_text().splitlines():
        if line.startswith("| ") and not line.startswith("| section"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_named_test_exists() -> None:
    missing = [f"{path.name}::{name}" for path, name in named() if not path.exists() or name not in functions_of(path)]
    assert missing == []


def test_every_test_of_this_folder_is_named() -> None:
    here = {(path, name) for path in HERE.glob("test_*.py") if path != Path(__file__) for name in functions_of(path)}
    assert sorted(f"{path.name}::{name}" for path, name in here - named()) == []


def test_every_line_has_its_test_or_is_not_offered_yet() -> None:
    lines = list(rows())

    assert len(lines) > 150
    for section, what, answers, test in lines:
        assert section and what and answers
        assert not test or REFERENCE.fullmatch(test), (section, what)
        assert test or answers.startswith(LATER), (section, what)
