"""Markdown tables, and their place in docs/performance.md."""

from collections.abc import Sequence

from benchmarks.processes import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table: the first column to the left, figures to the right."""
    lines = [" | ".join(header), " | ".join(["---", *["---:"] * (len(header) - 1)])]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def write_section(name: str, text: str) -> None:
    """Replace what stands between the markers of `name` in docs/performance.md; raises ValueError without markers."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    document = DOCUMENT.read_text()
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{DOCUMENT.name} has no markers for {name}")
    DOCUMENT.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")
