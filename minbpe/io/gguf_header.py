"""The header of a GGUF file: its facts by name, without its tensors.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every length is checked against
what is left of the file, so a damaged one ends in an error at once, never in endless reading.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
NUMBERS = dict(enumerate("BbHhIif?", 0)) | {10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def read_header(path: Path, wanted: Collection[str]) -> dict[str, Any]:
    """The wanted facts of a file; those that it does not have are missing.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no GGUF file, of another version, or damaged.
    """
    with path.open("rb") as file:
        return _Header(file, path.stat().st_size).facts(wanted)


class _Header:
    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def facts(self, wanted: Collection[str]) -> dict[str, Any]:
        if self._bytes(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        version = self._number("I")
        if version not in VERSIONS:
            raise ValueError(
                f"version {version} of GGUF; known are {VERSIONS[0]} and {VERSIONS[1]}"
            )
        self._number("Q")  # tensors
        found: dict[str, Any] = {}
        for _ in range(self._number("Q")):
            name = self._string()
            value = self._value(self._number("I"))
            if name in wanted:
                found[name] = value
        return found

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind != ARRAY:
            return self._number(_letter(kind))
        element, count = self._number("I"), self._number("Q")
        if element == STRING:
            return [self._string() for _ in range(self._at_most(count, 8))]
        layout = f"<{self._at_most(count, struct.calcsize(_letter(element)))}{_letter(element)}"
        return list(struct.unpack(layout, self._bytes(struct.calcsize(layout))))

    def _string(self) -> str:
        return self._bytes(self._number("Q")).decode("utf-8")

    def _number(self, letter: str) -> Any:
        (value,) = struct.unpack(f"<{letter}", self._bytes(struct.calcsize(f"<{letter}")))
        return value

    def _bytes(self, count: int) -> bytes:
        self._left -= self._at_most(count, 1)
        return self._file.read(count)

    def _at_most(self, count: int, size: int) -> int:
        """`count`, when so many things of `size` bytes can still come."""
        if count * size > self._left:
            raise ValueError("it ends too early")
        return count


def _letter(kind: int) -> str:
    """How `struct` calls a kind of number."""
    if kind not in NUMBERS:
        raise ValueError(f"a value of unknown kind {kind}")
    return NUMBERS[kind]
