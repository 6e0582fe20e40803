"""Files that are either whole or absent: atomic writes, JSON lines, content hashes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a neighbour of `path` for writing and rename it into place once it is whole.

    `mode` is "w" (UTF-8 text, "\\n" line ends on every system) or "wb". When the block raises,
    whatever stood at `path` before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        with part.open(mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def synced(path: Path) -> None:
    """Have the system write a file to the disk now, so that a power cut finds it whole."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, readable by people."""
    with atomic(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")


def read_json(path: Path) -> Any:
    """The JSON document in `path`; ValueError when it is damaged."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[object]) -> int:
    """Write one JSON value a line; returns how many."""
    count = 0
    with atomic(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: Path) -> Iterator[Any]:
    """The JSON values of a file, a line at a time."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def sha256(path: Path) -> str:
    """The content hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
