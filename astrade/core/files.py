"""Files that nobody else may read."""

import os
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Replace the file: readable for its owner only, never half written, its folder made where there is none."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(text)
    unfinished.replace(file)
