"""Text of any length in pieces of about a megabyte, cut where no token can cross.

A safe border is before a space that follows a visible character, after a line break between two
visible characters, and before punctuation that follows a Chinese or Japanese letter: no pattern of
`PATTERNS` in `regex.py` matches across it, or decides differently after looking across. So counting
or encoding piece by piece gives the same as the whole text, which never has to fit in memory.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from minbpe.base import TokenizerError

_UNSPACED = r"[\u4e00-\u9fff\u3041-\u3096\u30a1-\u30fa]"  # letters of scripts without spaces
BORDER = re.compile(rf"(?<=\S)(?= )|(?<=\S\n)(?=\S)|(?<={_UNSPACED})(?=[。，、！？；：])")
SIZE = 1 << 20  # of a piece: bytes when reading, characters when cutting


def read(file: IO[bytes], limit: int | None = None, size: int = SIZE) -> Iterator[str]:
    """The pieces of a UTF-8 file, from its current position, `limit` bytes at most.

    A leading byte order mark is skipped. Text without a safe border stays one piece.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    left, buffer = limit, ""
    while block := file.read(size if left is None else min(size, left)):
        left = left if left is None else left - len(block)
        searched, buffer = len(buffer), buffer + decode(block)
        more = len(block) == size and left != 0
        if more and (border := _last_border(buffer, max(searched - 2, 0))):
            yield buffer[:border]
            buffer = buffer[border:]
    buffer += decode(b"", True)
    if buffer:
        yield buffer


def pieces(texts: str | Path | Iterable[str | Path], size: int = SIZE) -> Iterator[str]:
    """The pieces of one text or many; a `Path` is a UTF-8 file, read as a stream.

    Raises:
        TokenizerError: a file cannot be read or is not UTF-8.
    """
    for text in [texts] if isinstance(texts, str | Path) else texts:
        for piece in [text] if isinstance(text, str) else _read_path(text):
            yield from cut(piece, size)


def cut(text: str, size: int) -> Iterator[str]:
    """`text` in pieces, each ending at the first safe border after `size` characters."""
    start = 0
    while border := BORDER.search(text, start + size):
        yield text[start : border.start()]
        start = border.start()
    if text:
        yield text[start:]


def batches(texts: Iterable[str], size: int = SIZE) -> Iterator[list[str]]:
    """Texts in groups of at least `size` characters each, except the last."""
    batch: list[str] = []
    total = 0
    for text in texts:
        batch.append(text)
        total += len(text)
        if total >= size:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def _read_path(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            yield from read(file)
    except UnicodeDecodeError:
        raise TokenizerError(f"{path}: not UTF-8 text: save it as UTF-8 and run again") from None
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error.strerror}") from None


def _last_border(text: str, start: int) -> int:
    """The last safe border from `start` on; 0 if there is none."""
    window = 1 << 10
    while True:
        begin = max(start, len(text) - window)
        if borders := list(BORDER.finditer(text, begin)):
            return borders[-1].start()
        if begin == start:
            return 0
        window *= 8
