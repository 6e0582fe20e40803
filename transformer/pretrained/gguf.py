"""Reading the header of a GGUF file: its metadata, and where its tensors are.

The layout is described in github.com/ggml-org/ggml, docs/gguf.md. Every length is checked against
what is left of the file, so that a crafted one ends in an error at once. The package `gguf` has a
reader too; it makes two arrays for each of the hundred thousand texts of a vocabulary (3.4 s and
160 MiB for a model of 98 MB) and believes any count that a damaged file gives.

This file does not import torch, and needs no other package for metadata alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

Number = int | float | bool
Value = str | Number | list[str] | list[Number]
BlockSizes = Mapping[int, tuple[int, int]]  # for each kind of block: how many numbers, and bytes

_NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_TEXT, _LIST = 8, 9


class NotGgufError(ValueError):
    """The file is of another format, or of another version of this; the message says which."""


class TensorEntry(NamedTuple):
    """One tensor of a file."""

    shape: tuple[int, ...]
    kind: int
    start: int
    size: int  # bytes


def read_metadata(path: Path) -> dict[str, Value]:
    """All fields of a GGUF file by name, lists included: a tokenizer's tokens, for example.

    Raises OSError for a file that cannot be read, `NotGgufError` for another format or version, and
    ValueError for a damaged one.
    """
    with path.open("rb") as file:
        data = _Reader(file, path.stat().st_size)
        try:
            return _fields(data, lists=True)[1]
        except (EOFError, KeyError) as error:
            raise ValueError(f"damaged at byte {data.position}") from error


def read_header(
    file: BinaryIO, size: int, block_sizes: BlockSizes
) -> tuple[dict[str, Value], dict[str, TensorEntry]]:
    """Fields by name (lists as a text with their length) and tensors by name.

    Raises `NotGgufError`, and ValueError where a file of `size` bytes cannot be what it says.
    """
    data = _Reader(file, size)
    try:
        tensors, fields = _fields(data, lists=False)
        entries = dict(_entry(data, block_sizes) for _ in range(tensors))
    except (EOFError, KeyError) as error:
        raise ValueError(str(error)) from error
    align = fields.get("general.alignment", 32)
    if type(align) is not int or align < 1 or len(entries) != tensors:
        raise ValueError("alignment, or two tensors of one name")
    first = -(-data.position // align) * align
    entries = {name: entry._replace(start=first + entry.start) for name, entry in entries.items()}
    if any(entry.start + entry.size > size for entry in entries.values()):
        raise ValueError("cut short")
    return fields, entries


def _fields(data: _Reader, lists: bool) -> tuple[int, dict[str, Value]]:
    """The number of tensors, and the fields by name."""
    if data.take(4) != b"GGUF":
        raise NotGgufError("is no GGUF file")
    version = data.integer("I")
    if version not in (2, 3):
        raise NotGgufError(f"has GGUF version {version}, only 2 and 3 are supported")
    tensors, count = data.integer("Q"), data.integer("Q")
    return tensors, {data.text(): data.value(lists) for _ in range(count)}


def _entry(data: _Reader, block_sizes: BlockSizes) -> tuple[str, TensorEntry]:
    """One line of the table of tensors; its lengths come with the inner one first."""
    name = data.text()
    shape = tuple(data.integer("Q") for _ in range(data.integer("I")))[::-1]
    kind = data.integer("I")
    numbers, size = block_sizes[kind]
    if not name.isprintable() or not shape or 0 in shape or shape[-1] % numbers:
        raise ValueError(name)
    return name, TensorEntry(shape, kind, data.integer("Q"), math.prod(shape) // numbers * size)


class _Reader:
    """Numbers and texts one after another, never from beyond the end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self.position = file, size, 0

    def take(self, count: int) -> bytes:
        self._advance(count)
        return self._file.read(count)

    def integer(self, layout: str) -> int:
        number: int
        (number,) = struct.unpack(f"<{layout}", self.take(struct.calcsize(layout)))
        return number

    def text(self) -> str:
        return self.take(self.integer("Q")).decode("utf-8")

    def value(self, lists: bool) -> Value:
        """A value after its type; a list as such, or else skipped."""
        kind = self.integer("I")
        if kind == _TEXT:
            return self.text()
        if kind == _LIST:
            return self._list() if lists else self._skip_list()
        value: Number = self.integer(_NUMBERS[kind])
        # The shortest number that means the same float32: 1e-05, not 9.999999747378752e-06.
        return float(str(np.float32(value))) if _NUMBERS[kind] == "f" else value

    def _list(self) -> Value:
        kind, count = self.integer("I"), self.integer("Q")
        if kind == _TEXT:
            self._check(8 * count)  # each text has at least its length
            return [self.text() for _ in range(count)]
        layout = _NUMBERS[kind]
        data = self.take(count * struct.calcsize(layout))
        return [number for (number,) in struct.iter_unpack(f"<{layout}", data)]

    def _skip_list(self) -> str:
        kind, count = self.integer("I"), self.integer("Q")
        if kind == _TEXT:
            for _ in range(count):
                self._skip(self.integer("Q"))
        else:
            self._skip(count * struct.calcsize(_NUMBERS[kind]))
        return f"{count} values"

    def _skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(self.position)

    def _advance(self, count: int) -> None:
        self._check(count)
        self.position += count

    def _check(self, count: int) -> None:
        if self.position + count > self._size:
            raise EOFError(self.position)
