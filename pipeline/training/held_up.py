"""Memory that runs out in one of several processes which share a model.

The others wait for its part within the pass, so none of them can go on. It leaves a note in the
run's folder, and all end; the same command, or torchrun by itself with `--max-restarts`, starts
them again from the last checkpoint with half the rows in a pass.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import DataError
from pipeline.files import read_json, write_json

NOTE = "memory-ran-out.json"


class HeldUp(DataError):
    """Memory ran out at so many `rows` of a pass, and the other processes wait."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        fewer = f"with {rows // 2} rows in a pass" if rows > 1 else "keeping less of each row"
        super().__init__(
            "Memory ran out in one of the processes that share the model. The same command goes on "
            f"from the last checkpoint, {fewer}; `torchrun --max-restarts 3` does so by itself."
        )


def note(folder: Path, key: str, held_up: HeldUp) -> None:
    """Leave word for the next start of the run with this key."""
    write_json(folder / NOTE, {"key": key, "rows": held_up.rows})


def most(folder: Path, key: str, rows: int) -> int:
    """At most so many rows of a pass, and half of those that were too many; 0: not even one."""
    path = folder / NOTE
    found = read_json(path) if path.exists() else {}
    return min(rows, found["rows"] // 2) if found.get("key") == key else rows
