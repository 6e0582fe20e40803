"""Plain text to learn a language from: files read as a stream, the last tenth kept for validation.

Pieces end where no tokenizer pattern matches across (after a newline that a non-whitespace
character follows), so encoding piece by piece gives the same ids as encoding the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pipeline.errors import DataError

Part = Literal["train", "val"]

PIECE = 1 << 20  # bytes read at a time
TRAIN_SHARE = 0.9
_BORDER = re.compile(rb"\n(?=[^\s])")


@dataclass(frozen=True)
class Piece:
    """Some text, and whether a document (a file) ends with it."""

    text: str
    ends_document: bool


def files(paths: Sequence[Path]) -> list[Path]:
    """The text files behind paths: a file itself, or every .txt below a folder."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no {path}; check the path of --corpus.")
        found += sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not any(p.stat().st_size for p in found):
        named = ", ".join(str(p) for p in paths)
        raise DataError(f"The corpus {named} holds no text; give .txt files that have some.")
    return found


def pieces(paths: Sequence[Path], part: Part) -> Iterator[Piece]:
    """The text of one part, in order: the first nine tenths of the bytes, or the last tenth."""
    sizes = [(path, path.stat().st_size) for path in files(paths)]
    cut = int(sum(size for _, size in sizes) * TRAIN_SHARE)
    first, last = (0, cut) if part == "train" else (cut, sum(size for _, size in sizes))
    offset = 0
    for path, size in sizes:
        begin, end = max(first - offset, 0), min(last - offset, size)
        if begin < end:
            yield from _read(path, begin, end)
        offset += size


def _read(path: Path, begin: int, end: int) -> Iterator[Piece]:
    """The text between two byte positions, each moved on to where a character begins."""
    with path.open("rb") as file:
        begin, end = _at_character(file, begin), _at_character(file, end)
        file.seek(begin)
        kept, left = b"", end - begin
        while left > 0:
            block = file.read(min(PIECE, left))
            left -= len(block)
            whole, kept = _split(kept + block) if left else (kept + block, b"")
            if whole:
                yield Piece(_decode(whole, path), ends_document=left == 0)


def _at_character(file: IO[bytes], position: int) -> int:
    file.seek(position)
    return position + sum(1 for _ in _continuation(file.read(3)))


def _continuation(data: bytes) -> Iterator[int]:
    """The leading bytes that continue a UTF-8 character."""
    for byte in data:
        if byte & 0xC0 != 0x80:
            return
        yield byte


def _split(data: bytes) -> tuple[bytes, bytes]:
    """As much as ends at a safe border, and the rest."""
    end = max((border.end() for border in _BORDER.finditer(data)), default=0)
    return data[:end], data[end:]


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8 and run again.") from None
