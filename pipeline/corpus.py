"""Plain text to learn a language from: files read as a stream, the last tenth kept for validation.

Pieces end at the safe borders of `minbpe.stream`, so encoding piece by piece gives the same ids as
encoding the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from minbpe import stream
from pipeline.errors import DataError

Part = Literal["train", "val"]

PIECE = 1 << 20  # bytes read at a time
TRAIN_SHARE = 0.9


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


def size(paths: Sequence[Path]) -> int:
    """The bytes of both parts together."""
    return sum(path.stat().st_size for path in files(paths))


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
        text = ""
        try:
            for following in stream.read(file, end - begin, PIECE):
                if text:
                    yield Piece(text, ends_document=False)
                text = following
        except UnicodeDecodeError:
            raise DataError(f"{path} is not UTF-8 text; save it as UTF-8 and run again.") from None
        if text:
            yield Piece(text, ends_document=True)


def _at_character(file: IO[bytes], position: int) -> int:
    file.seek(position)
    return position + sum(1 for _ in _continuation(file.read(3)))


def _continuation(data: bytes) -> Iterator[int]:
    """The leading bytes that continue a UTF-8 character."""
    for byte in data:
        if byte & 0xC0 != 0x80:
            return
        yield byte
