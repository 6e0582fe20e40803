"""The documents of a corpus, split by split, in pieces of about a megabyte.

When the files state no split, the last tenth of the bytes is validation; when they state a test
split but no validation, the last hundredth of the rest. Rows stay whole, and the pieces of a long
text end at the safe borders of `minbpe.stream`, so encoding piece by piece gives the same ids as
encoding the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from minbpe import stream
from pipeline.common.split_names import Split
from pipeline.corpus import readers
from pipeline.corpus.listing import Corpus, CorpusFile, list_files
from pipeline.corpus.readers import Text, reader_of

HELD_OUT = 10  # one byte in this many is validation, …
HELD_OUT_BESIDE_A_TEST = 100  # … or in this many when there is a test split


@dataclass(frozen=True)
class Piece:
    """Some texts, each a document or the end of one; the last may continue in the next piece."""

    texts: tuple[str, ...]
    ends_document: bool


def size(corpus: Corpus) -> int:
    """The approximate bytes of text in all splits."""
    return sum(_size(file, corpus) for file in list_files(corpus.paths))


def pieces(corpus: Corpus, split: Split) -> Iterator[Piece]:
    """The text of one split, in order: short documents together, a long one in pieces."""
    texts: list[str] = []
    length = 0
    for text, ends_document in _cut_long(_texts(corpus, split)):
        texts.append(text)
        length += len(text)
        if length >= readers.PIECE or not ends_document:
            yield Piece(tuple(texts), ends_document)
            texts, length = [], 0
    if texts:
        yield Piece(tuple(texts), ends_document=True)


def _cut_long(texts: Iterable[Text]) -> Iterator[Text]:
    for text, ends_document in texts:
        if len(text) <= 2 * readers.PIECE:
            yield text, ends_document
            continue
        *before, last = stream.cut(text, readers.PIECE)
        yield from ((piece, False) for piece in before)
        yield last, ends_document


def _texts(corpus: Corpus, split: Split) -> Iterator[Text]:
    files = list_files(corpus.paths)
    stated = {file.split for file in files}
    rest = [file for file in files if file.split in (None, "train")]
    if split == "test" or (split == "val" and "val" in stated):
        yield from _read_whole(corpus, [file for file in files if file.split == split])
    elif "val" in stated:
        yield from _read_whole(corpus, rest)
    else:
        one_in = HELD_OUT_BESIDE_A_TEST if "test" in stated else HELD_OUT
        yield from _read_divided(corpus, rest, split, one_in)


def _read_whole(corpus: Corpus, files: list[CorpusFile]) -> Iterator[Text]:
    for file in files:
        reader = reader_of(file.path)
        yield from reader.read(file.path, corpus.column, 0, reader.length(file.path))


def _read_divided(
    corpus: Corpus, files: list[CorpusFile], split: Split, one_in: int
) -> Iterator[Text]:
    """Divide the files: the last of every `one_in` bytes are validation, the rest is training."""
    sizes = [_size(file, corpus) for file in files]
    train_bytes = sum(sizes) - sum(sizes) // one_in  # from the current file on
    for number, (file, file_bytes) in enumerate(zip(files, sizes, strict=True), 1):
        reader = reader_of(file.path)
        length = reader.length(file.path)
        cut = min(max(train_bytes, 0), file_bytes) * length // max(1, file_bytes)
        if not any(sizes[number:]):  # at least one document is held out, however long it is
            cut = min(cut, reader.last(file.path))
        begin, end = (0, cut) if split == "train" else (cut, length)
        if begin < end:
            yield from reader.read(file.path, corpus.column, begin, end)
        train_bytes -= file_bytes


def _size(file: CorpusFile, corpus: Corpus) -> int:
    return reader_of(file.path).size(file.path, corpus.column)
