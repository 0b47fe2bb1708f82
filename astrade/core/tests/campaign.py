"""All tests at full size, and a page on what they showed: `python -m astrade.core.tests.campaign FILE`."""

import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[3]
# as `make test` shares them out: in their written order, so that the longest files are not the last
SHARED = ("-p", "no:randomly", "--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder")


@dataclass
class Figures:
    """What came of the tests of one module."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def add(self, case: ElementTree.Element) -> None:
        """Count one test case of a JUnit report."""
        self.seconds += float(case.get("time", "0"))
        if case.find("failure") is not None or case.find("error") is not None:
            self.failed += 1
        elif case.find("skipped") is not None:
            self.skipped += 1
        else:
            self.passed += 1


def figures_of(report: Path) -> dict[str, Figures]:
    """Figures by test module, from a JUnit report."""
    found: defaultdict[str, Figures] = defaultdict(Figures)
    for case in ElementTree.parse(report).iter("testcase"):
        module = ".".join(part for part in case.get("classname", "").split(".") if part[:1].islower() or "_" in part)
        found[module].add(case)
    return dict(sorted(found.items()))


def recorded_in(report: Path) -> dict[str, dict[str, str]]:
    """What tests said of themselves by `record_property`, by the test's name."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        told = {item.get("name", ""): item.get("value", "") for item in case.iterfind("properties/property")}
        if told:
            found[case.get("name", "")] = told
    return found


def page(figures: dict[str, Figures], recorded: dict[str, dict[str, str]], *, at: datetime) -> str:
    """The page to keep."""
    total = sum(figure.passed + figure.failed + figure.skipped for figure in figures.values())
    failed = sum(figure.failed for figure in figures.values())
    rows = "\n".join(
        f"| {module} | {figure.passed} | {figure.failed} | {figure.skipped} | {figure.seconds:.1f} |"
        for module, figure in figures.items()
    )
    told = "\n".join(
        f"- `{test}`: {', '.join(f'{name} {value}' for name, value in values.items())}"
        for test, values in recorded.items()
    )
    return f"""# Reliability

Written by `make campaign` on {at:%Y-%m-%d %H:%M} UTC: every test at full size, on Python {platform.python_version()},
{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs. {total} tests, {failed} failed.

| module | passed | failed | skipped | seconds |
|---|---|---|---|---|
{rows}

What single tests tell of:

{told}
"""


def main(target: Path) -> int:
    """Run pytest, write the page whatever came of it, and return pytest's status."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-W", "error", f"--junitxml={report}", "-o", "timeout=3600", *SHARED]
        status = subprocess.run(command, cwd=ROOT, env={**os.environ, "CAMPAIGN": "1"}, check=False).returncode
        target.write_text(page(figures_of(report), recorded_in(report), at=datetime.now(UTC)))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
