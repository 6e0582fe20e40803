"""Put a page of results into a page of the docs, between its two marks, and its pictures beside it.

python -m pipeline.experiments.page workspaces/laboratory/all.md docs/laboratory.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.common.errors import DataError, SoundalikeError
from pipeline.common.files import atomic

BEGIN = "<!-- results: begin (written by python -m pipeline.experiments.page) -->"
END = "<!-- results: end -->"
USAGE = "usage: python -m pipeline.experiments.page RESULTS.md PAGE.md"
PICTURES = "pictures"  # the folder beside the page
PICTURE = re.compile(r"^(!\[.*\])\((.+\.png)\)$", re.MULTILINE)


def insert(results: Path, page: Path) -> None:
    """Replace what stands between the marks; copy the pictures that it shows."""
    text = page.read_text(encoding="utf-8")
    head, begun, rest = text.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not (begun and ended):
        raise DataError(f"{page} has no place for results: it needs the lines {BEGIN} and {END}.")
    found = results.read_text(encoding="utf-8").strip()
    for _, name in PICTURE.findall(found):
        with atomic(page.parent / _copy_of(name, page), "wb") as file:
            file.write((results.parent / name).read_bytes())
    found = PICTURE.sub(lambda shown: f"{shown[1]}({_copy_of(shown[2], page)})", found)
    found = re.sub(r"^## ", "### ", found, flags=re.MULTILINE)  # below the page's own heading
    with atomic(page) as file:
        file.write(f"{head}{BEGIN}\n\n{found}\n\n{END}{tail}")


def _copy_of(name: str, page: Path) -> str:
    """Where a picture goes, so that pages do not take each other's."""
    return f"{PICTURES}/{page.stem}-{name}"


def main(words: Sequence[str]) -> str | None:
    """What went wrong, in a line."""
    if len(words) != 2:
        return USAGE
    try:
        insert(*map(Path, words))
    except (SoundalikeError, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
