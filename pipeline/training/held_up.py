"""Memory that runs out in one of several processes where the others can but wait for it.

So it is where the processes share a model, and within the exchange of gradients. None of them can
go on: the one leaves a note in the run's folder, and all end. The same command, or torchrun by
itself with `--max-restarts`, starts them again with half the rows in a pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.common.errors import DataError
from pipeline.common.files import read_json, write_json

NAME = "memory-ran-out-"  # … and the number of the process that left the note


class HeldUp(DataError):
    """Memory ran out at so many `rows` of a pass, and the other processes wait."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        fewer = f"at most {rows // 2} rows in a pass" if rows > 1 else "less kept of each row"
        super().__init__(
            "Memory ran out in one of several processes, and the others wait for it. The same "
            f"command goes on with {fewer}; on one machine `torchrun --max-restarts 3` does so by "
            "itself."
        )


@dataclass(frozen=True)
class Run:
    """What a note holds for: the same run in as many processes on such devices."""

    key: str
    place: str
    processes: int


def leave_note(folder: Path, run: Run, rank: int, held_up: HeldUp) -> None:
    """Leave word for the next start."""
    write_json(folder / f"{NAME}{rank}.json", {**asdict(run), "rows": held_up.rows})


def most(folder: Path, run: Run, rows: int) -> int:
    """At most so many rows of a pass, and half of those that were too many; 0: not even one."""
    return min([rows, *(tried // 2 for tried in _noted(folder, run))])


def _noted(folder: Path, run: Run) -> Iterator[int]:
    for path in folder.glob(f"{NAME}*.json"):
        try:
            found = read_json(path)
            if all(found[name] == value for name, value in asdict(run).items()):
                yield int(found["rows"])
        except (ValueError, LookupError, TypeError):
            continue  # a note that is not whole says nothing


def forget(folder: Path) -> None:
    """Remove the notes of a run that has ended."""
    for path in folder.glob(f"{NAME}*.json"):
        path.unlink(missing_ok=True)
