"""Arrays of ids on disk: a JSON header, then raw values, memory-mapped when read.

Written as a stream, so nothing has to fit in memory; the header, of fixed size, is filled in at the
end. It holds type, shape and whatever the writer counted (such as the `bytes` of the text behind
the ids, by which a loss becomes bits per byte).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.common.errors import WorkspaceError
from pipeline.common.files import atomic, read_json, write_json

HEADER = 4096
MAGIC = "soundalike array"

Info = dict[str, Any]  # what a header or a journal says, as JSON


class Writer:
    """Appends rows of one shape to a file."""

    def __init__(self, file: IO[bytes], dtype: str, row: tuple[int, ...]) -> None:
        self.file, self.dtype, self.row = file, np.dtype(dtype), row
        self.count = 0
        self.info: Info = {}

    def append(self, values: ArrayLike) -> None:
        """Add values: a flat list of ids, or rows of the given shape."""
        array = np.asarray(values, dtype=self.dtype).reshape(-1, *self.row)
        self.file.write(np.ascontiguousarray(array).data)
        self.count += len(array)


class Resumable(Writer):
    """A writer that can stop between two shards and go on there; `shards` of them are written."""

    def __init__(self, file: IO[bytes], dtype: str, journal: Path, saved: Info) -> None:
        super().__init__(file, dtype, ())
        self._journal, self._key = journal, saved["key"]
        self.shards: int = saved["shards"]
        self.count, self.info = saved["count"], saved["info"]

    def commit(self) -> None:
        """The values since the last commit are a shard, and stay should the process end here."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.shards += 1
        saved = {"key": self._key, "shards": self.shards, "count": self.count, "info": self.info}
        write_json(self._journal, saved)


@contextmanager
def resumable(path: Path, dtype: str, key: str) -> Iterator[Resumable]:
    """A new array file of ids, in place once it is whole; until then the next call goes on with it.

    A journal beside the unfinished file says how far it got. `key` names all that shapes the
    values: with another key, or where journal and file disagree, everything starts anew.
    """
    part, journal = (path.with_name(path.name + ending) for ending in (".part", ".journal"))
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = _progress(part, journal, key, np.dtype(dtype).itemsize)
    end = HEADER + saved["count"] * np.dtype(dtype).itemsize
    with part.open("r+b" if saved["shards"] else "w+b") as file:
        if not saved["shards"]:
            file.write(b" " * HEADER)
        file.truncate(end)  # an unfinished shard goes
        file.seek(end)
        writer = Resumable(file, dtype, journal, saved)
        yield writer
        _write_header(writer)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    journal.unlink(missing_ok=True)


def _progress(part: Path, journal: Path, key: str, width: int) -> Info:
    """What the journal says, where it has this key and the file is as long as it says."""
    try:
        saved: Info = read_json(journal)
        size = part.stat().st_size
        if saved["key"] == key and size >= HEADER + saved["count"] * width:
            return {"key": key, **{name: saved[name] for name in ("shards", "count", "info")}}
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return {"key": key, "shards": 0, "count": 0, "info": {}}


def _write_header(writer: Writer) -> None:
    shape = [writer.count, *writer.row]
    head = {"format": MAGIC, "dtype": writer.dtype.name, "shape": shape, **writer.info}
    writer.file.seek(0)
    writer.file.write(json.dumps(head).encode().ljust(HEADER - 1) + b"\n")


@contextmanager
def writing(path: Path, dtype: str, row: tuple[int, ...] = ()) -> Iterator[Writer]:
    """A new array file, in place only once it is whole."""
    with atomic(path, "wb") as file:
        file.write(b" " * HEADER)
        writer = Writer(file, dtype, row)
        yield writer
        _write_header(writer)


class ArrayFile:
    """A memory-mapped array file; `close` it before the file is replaced (Windows insists)."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self.info: Info = json.loads(file.read(HEADER))
            shape, dtype = tuple(self.info["shape"]), np.dtype(self.info["dtype"])
            expected = HEADER + int(np.prod(shape)) * dtype.itemsize
            whole = self.info["format"] == MAGIC and path.stat().st_size == expected
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise WorkspaceError(
                f"{path} is damaged; delete it and run its stage again "
                f"(`python -m pipeline {path.parent.name[0]}`)."
            )
        # numpy cannot map an empty file.
        self.values: NDArray[Any] = (
            np.memmap(path, dtype, "r", HEADER, shape) if shape[0] else np.empty(shape, dtype)
        )

    def __len__(self) -> int:
        return len(self.values)

    def close(self) -> None:
        """Release the file."""
        mapped = getattr(self.values, "_mmap", None)
        self.values = self.values[:0].copy()
        if mapped is not None:
            mapped.close()

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
