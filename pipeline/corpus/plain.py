"""Plain text, a document a file, read as a stream.

Pieces end at the safe borders of `minbpe.stream`, so encoding piece by piece gives the same ids as
encoding the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from minbpe import stream
from pipeline.corpus import piece
from pipeline.corpus.piece import Piece
from pipeline.errors import DataError


def read(path: Path, begin: int, end: int) -> Iterator[Piece]:
    """The text between two byte positions, each moved on to where a character begins."""
    with path.open("rb") as file:
        begin, end = _at_character(file, begin), _at_character(file, end)
        file.seek(begin)
        text = ""
        try:
            for following in stream.read(file, end - begin, piece.SIZE):
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
