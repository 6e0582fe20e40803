"""Text of any length in pieces of about a megabyte, cut where no token can reach across.

A safe border lies before a space that a visible character precedes, behind a line break between two
visible characters, and before the stop that follows a Chinese or Japanese letter: there no row of
`PATTERNS` in `regex.py` matches across, nor looks across and then decides otherwise. So counting or
encoding piece by piece gives what the whole gives, and neither needs the whole in memory.
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
    """The pieces of a UTF-8 file, from where it stands and no further than `limit` bytes.

    A byte order mark at the beginning is no text. Text without a safe border stays one piece.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    left, kept = limit, ""
    while block := file.read(size if left is None else min(size, left)):
        left = left if left is None else left - len(block)
        seen, kept = len(kept), kept + decode(block)
        more = len(block) == size and left != 0
        if more and (border := _last_border(kept, max(seen - 2, 0))):
            yield kept[:border]
            kept = kept[border:]
    kept += decode(b"", True)
    if kept:
        yield kept


def pieces(texts: str | Path | Iterable[str | Path], size: int = SIZE) -> Iterator[str]:
    """The pieces of a text or of many; a `Path` is a UTF-8 file, read as a stream.

    Raises:
        TokenizerError: a file cannot be read or is not UTF-8.
    """
    for text in [texts] if isinstance(texts, str | Path) else texts:
        for piece in [text] if isinstance(text, str) else _of_file(text):
            yield from cut(piece, size)


def cut(text: str, size: int) -> Iterator[str]:
    """`text` in pieces each up to the first safe border after `size` characters; none of ""."""
    start = 0
    while border := BORDER.search(text, start + size):
        yield text[start : border.start()]
        start = border.start()
    if text:
        yield text[start:]


def batches(texts: Iterable[str], size: int = SIZE) -> Iterator[list[str]]:
    """Short texts together, so that each batch but the last has `size` characters or more."""
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


def _of_file(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            yield from read(file)
    except UnicodeDecodeError:
        raise TokenizerError(f"{path}: not UTF-8 text: save it as UTF-8 and run again") from None
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error.strerror}") from None


def _last_border(text: str, start: int) -> int:
    """The last safe border from `start` on; 0 when there is none."""
    window = 1 << 10
    while True:
        begin = max(start, len(text) - window)
        if found := list(BORDER.finditer(text, begin)):
            return found[-1].start()
        if begin == start:
            return 0
        window *= 8
