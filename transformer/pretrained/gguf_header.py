"""The head of a GGUF file: its fields, and where its tensors are.

The layout is described in github.com/ggml-org/ggml, docs/gguf.md. The package `gguf` has a reader
too; it makes two arrays for each of the hundred thousand texts of a vocabulary (3.4 s and 160 MiB
for a model of 98 MB) and believes any count that a damaged file gives.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_TEXT, _ARRAY = 8, 9

Blocks = Mapping[int, tuple[int, int]]  # for each kind of block: how many numbers, and bytes


class Entry(NamedTuple):
    """One tensor of a file."""

    shape: tuple[int, ...]
    kind: int
    start: int
    size: int  # bytes


class NotGgufError(ValueError):
    """The file is of another format, or of another version of this; the message says which."""


def read_header(
    file: BinaryIO, size: int, blocks: Blocks
) -> tuple[dict[str, Any], dict[str, Entry]]:
    """Fields by name (of lists only their length, as text) and tensors by name.

    Raises `NotGgufError`, and ValueError where a file of `size` bytes cannot be what it says.
    """
    data = _Bytes(file, size)
    try:
        tensors, count = _counts(data)
        fields = {data.text(): data.value() for _ in range(count)}
        entries = dict(_entry(data, blocks) for _ in range(tensors))
    except (EOFError, KeyError) as error:
        raise ValueError(str(error)) from error
    align = fields.get("general.alignment", 32)
    if type(align) is not int or align < 1 or len(entries) != tensors:
        raise ValueError("alignment, or two tensors of one name")
    first = -(-data.at // align) * align
    entries = {name: entry._replace(start=first + entry.start) for name, entry in entries.items()}
    if any(entry.start + entry.size > size for entry in entries.values()):
        raise ValueError("cut short")
    return fields, entries


def read_metadata(path: Path) -> dict[str, object]:
    """All fields of a file by name, lists included; its tensors are not looked at.

    Raises OSError for a file that cannot be read, `NotGgufError` for another format or version, and
    ValueError for a damaged one.
    """
    with path.open("rb") as file:
        data = _Bytes(file, path.stat().st_size)
        try:
            _, count = _counts(data)
            return {data.text(): data.value(with_lists=True) for _ in range(count)}
        except (EOFError, KeyError) as error:
            raise ValueError(str(error)) from error


def _counts(data: _Bytes) -> tuple[int, int]:
    """The number of tensors and of fields, which follow the file's magic number and version."""
    if data.take(4) != b"GGUF":
        raise NotGgufError("is no GGUF file")
    version = data.number("I")
    if version not in (2, 3):
        raise NotGgufError(f"has GGUF version {version}, only 2 and 3 are supported")
    return data.number("Q"), data.number("Q")


def _entry(data: _Bytes, blocks: Blocks) -> tuple[str, Entry]:
    """One line of the table of tensors; its lengths come with the inner one first."""
    name = data.text()
    shape = tuple(data.number("Q") for _ in range(data.number("I")))[::-1]
    kind = data.number("I")
    numbers, size = blocks[kind]
    if not name.isprintable() or not shape or 0 in shape or shape[-1] % numbers:
        raise ValueError(name)
    return name, Entry(shape, kind, data.number("Q"), math.prod(shape) // numbers * size)


class _Bytes:
    """Numbers and texts one after another, never from behind the end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self.at = file, size, 0

    def take(self, count: int) -> bytes:
        self._pass(count)
        return self._file.read(count)

    def number(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def value(self, with_lists: bool = False) -> Any:
        """A value after its type; of a list only its length, as text, unless `with_lists`."""
        kind = self.number("I")
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            return self._array() if with_lists else self._skip_array()
        value = self.number(_SCALARS[kind])
        # The shortest number that means the same float32: 1e-05, not 9.999999747378752e-06.
        return float(str(np.float32(value))) if _SCALARS[kind] == "f" else value

    def _array(self) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        if kind == _TEXT:
            return [self.text() for _ in range(count)]
        numbers = self.take(count * struct.calcsize(_SCALARS[kind]))
        return list(struct.unpack(f"<{count}{_SCALARS[kind]}", numbers))

    def _skip_array(self) -> str:
        kind, count = self.number("I"), self.number("Q")
        if kind == _TEXT:
            for _ in range(count):
                self._skip(self.number("Q"))
        else:
            self._skip(count * struct.calcsize(_SCALARS[kind]))
        return f"{count} values"

    def _skip(self, count: int) -> None:
        self._pass(count)
        self._file.seek(self.at)

    def _pass(self, count: int) -> None:
        self.at += count
        if self.at > self._size:
            raise EOFError(self.at)
