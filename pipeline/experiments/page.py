"""Put a page of results into a page of the docs, between its two marks.

python -m pipeline.experiments.page workspaces/laboratory/all.md docs/laboratory.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.errors import DataError, SoundalikeError
from pipeline.files import atomic

BEGIN = "<!-- results: begin (written by python -m pipeline.experiments.page) -->"
END = "<!-- results: end -->"


def insert(results: Path, page: Path) -> None:
    """Replace what stands between the marks; pictures stay where they were made."""
    text = page.read_text(encoding="utf-8")
    head, begun, rest = text.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not (begun and ended):
        raise DataError(f"{page} has no place for results: it needs the lines {BEGIN} and {END}.")
    lines = results.read_text(encoding="utf-8").splitlines()
    kept = "\n".join(line for line in lines if not line.startswith("![")).strip()
    with atomic(page) as file:
        file.write(f"{head}{BEGIN}\n\n{kept}\n\n{END}{tail}")


if __name__ == "__main__":
    try:
        insert(*map(Path, sys.argv[1:3]))
    except (SoundalikeError, OSError, TypeError) as error:
        sys.exit(str(error))
