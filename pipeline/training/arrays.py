"""Arrays of ids on disk: a JSON header, then raw values, memory-mapped when read.

Written as a stream, so nothing has to fit in memory; the header, of fixed size, is filled in at
the end. It says type, shape and whatever the writer counted (`bytes` of the text behind the ids,
so that a loss can be turned into bits per byte).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import WorkspaceError
from pipeline.files import atomic

HEADER = 4096
MAGIC = "soundalike array"


class Writer:
    """Appends rows of one shape to a file."""

    def __init__(self, file: IO[bytes], dtype: str, row: tuple[int, ...]) -> None:
        self.file, self.dtype, self.row = file, np.dtype(dtype), row
        self.count = 0
        self.info: dict[str, Any] = {}

    def append(self, values: Any) -> None:
        """Add values: a flat list of ids, or rows of the given shape."""
        array = np.asarray(values, dtype=self.dtype).reshape(-1, *self.row)
        self.file.write(np.ascontiguousarray(array).data)
        self.count += len(array)


@contextmanager
def writing(path: Path, dtype: str, row: tuple[int, ...] = ()) -> Iterator[Writer]:
    """A new array file, in place only once it is whole."""
    with atomic(path, "wb") as file:
        file.write(b" " * HEADER)
        writer = Writer(file, dtype, row)
        yield writer
        head = {"format": MAGIC, "dtype": dtype, "shape": [writer.count, *row], **writer.info}
        file.seek(0)
        file.write(json.dumps(head).encode().ljust(HEADER - 1) + b"\n")


class ArrayFile:
    """A memory-mapped array file; `close` it before the file is replaced (Windows insists)."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self.info: dict[str, Any] = json.loads(file.read(HEADER))
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
        """Let go of the file."""
        mapped = getattr(self.values, "_mmap", None)
        self.values = self.values[:0].copy()
        if mapped is not None:
            mapped.close()

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
