"""The documents of a corpus, part by part, in pieces of about a megabyte.

Where files come without a split, the last tenth of the bytes is validation; where a test part
comes with them but no validation, the last hundredth of the rest. Rows stay whole, and the pieces
of a long text end at the safe borders of `minbpe.stream`, so encoding piece by piece gives the same
ids as encoding the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from minbpe import stream
from pipeline.corpus import readers
from pipeline.corpus.files import Corpus, File, Part, files
from pipeline.corpus.readers import Text, reader_of

HELD_OUT = 10  # one part in so many is validation
HELD_OUT_BESIDE_A_TEST = 100


@dataclass(frozen=True)
class Piece:
    """Some texts, each a document or the end of one; the last may go on in the next piece."""

    texts: tuple[str, ...]
    ends_document: bool


def size(corpus: Corpus) -> int:
    """The bytes of text in all parts, about."""
    return sum(_size(file, corpus) for file in files(corpus.paths))


def pieces(corpus: Corpus, part: Part) -> Iterator[Piece]:
    """The text of one part, in order."""
    return _packed(_texts(corpus, part))


def _texts(corpus: Corpus, part: Part) -> Iterator[Text]:
    found = files(corpus.paths)
    given = {file.part for file in found}
    rest = [file for file in found if file.part in (None, "train")]
    if part == "test" or (part == "val" and "val" in given):
        yield from _all(corpus, [file for file in found if file.part == part])
    elif "val" in given:
        yield from _all(corpus, rest)
    else:
        one_in = HELD_OUT_BESIDE_A_TEST if "test" in given else HELD_OUT
        yield from _divided(corpus, rest, part, one_in)


def _all(corpus: Corpus, found: list[File]) -> Iterator[Text]:
    for file in found:
        reader = reader_of(file.path)
        yield from reader.read(file.path, corpus.column, 0, reader.length(file.path))


def _divided(corpus: Corpus, found: list[File], part: Part, one_in: int) -> Iterator[Text]:
    """All but the end of some files, or that end, which is one part in so many."""
    sizes = [_size(file, corpus) for file in found]
    cut = sum(sizes) - sum(sizes) // one_in
    for at, (file, held) in enumerate(zip(found, sizes, strict=True), 1):
        reader = reader_of(file.path)
        length = reader.length(file.path)
        inside = min(max(cut, 0), held) * length // max(1, held)
        if not any(sizes[at:]):  # at least one document is held out, however long it is
            inside = min(inside, reader.last(file.path))
        begin, end = (0, inside) if part == "train" else (inside, length)
        if begin < end:
            yield from reader.read(file.path, corpus.column, begin, end)
        cut -= held


def _size(file: File, corpus: Corpus) -> int:
    return reader_of(file.path).size(file.path, corpus.column)


def _packed(found: Iterable[Text]) -> Iterator[Piece]:
    """Short documents together, a long one in pieces."""
    texts: list[str] = []
    held = 0
    for text, ends in _cut(found):
        texts.append(text)
        held += len(text)
        if held >= readers.PIECE or not ends:
            yield Piece(tuple(texts), ends)
            texts, held = [], 0
    if texts:
        yield Piece(tuple(texts), ends_document=True)


def _cut(found: Iterable[Text]) -> Iterator[Text]:
    for text, ends in found:
        *before, last = stream.cut(text, readers.PIECE) if len(text) > 2 * readers.PIECE else [text]
        yield from ((piece, False) for piece in before)
        yield last, ends
