"""A corpus shared out: the split that its file names give, else the last tenth for validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from minbpe import stream
from pipeline.corpus import names, piece, plain, rows
from pipeline.corpus.names import File
from pipeline.corpus.piece import Part, Piece
from pipeline.errors import DataError
from pipeline.stamps import files_of

SUFFIXES = (".txt", *rows.FORMATS)
TRAIN_SHARE = 0.9
HELD_OUT = 4_000_000  # bytes of validation, at most, that are taken beside a given test split


@dataclass(frozen=True)
class Size:
    """What is in a file: bytes of text, documents, and rows without text.

    `last` counts the bytes of a table's last document, which is never cut.
    """

    bytes: int
    documents: int
    empty: int = 0
    last: int = 0


@dataclass(frozen=True)
class Span:
    """The text of a file between two of its bytes; of a table, the documents that begin there."""

    path: Path
    begin: int
    end: int


class Corpus:
    """Files and folders as documents in three parts; nothing is kept in memory but sizes.

    `column` names the column of .jsonl and .parquet files; every other file is plain text.
    """

    def __init__(self, paths: Sequence[Path], column: str = "") -> None:
        found = files(paths)
        self.column = column
        self.parts = names.split(found)
        self.files = [file.path for file in found]

    def pieces(self, part: Part) -> Iterator[Piece]:
        """The text of one part, in order. No document of a table is in two parts."""
        for span in self._spans[part]:
            if span.path.suffix.lower() in rows.FORMATS:
                yield from self._rows(span)
            else:
                yield from plain.read(span.path, span.begin, span.end)

    def bytes(self, part: Part) -> int:
        """The bytes of text in one part."""
        return sum(span.end - span.begin for span in self._spans[part])

    def told(self) -> str:
        """In a line what was found, and what is held out."""
        found = [self._size(path) for path in self.files]
        documents, empty = sum(size.documents for size in found), sum(size.empty for size in found)
        passed = f" ({empty:,} rows without text passed over)" if empty else ""
        held = {
            (False, False): "the last tenth is validation",
            (True, False): "validation as given",
            (False, True): "test as given, validation from the end of the training part",
            (True, True): "validation and test as given",
        }["val" in self.parts, "test" in self.parts]
        return f"corpus: {len(found):,} files, {documents:,} documents{passed}; {held}"

    @cached_property
    def _spans(self) -> dict[Part, list[Span]]:
        found: dict[Part, list[Span]] = {"train": [], "val": [], "test": []}
        for path, part in zip(self.files, self.parts, strict=True):
            if size := self._size(path).bytes:
                found[part].append(Span(path, 0, size))
        if self.files and not any(found.values()):
            raise DataError("The corpus holds no text; give .txt, .jsonl or .parquet with some.")
        train = found["train"]
        if train and not found["val"]:
            total = sum(span.end for span in train)
            most = HELD_OUT if found["test"] else total
            cut = max(int(total * TRAIN_SHARE), total - most)
            cut = min(cut, total - self._size(train[-1].path).last)  # at least one document
            found |= {"train": _between(train, 0, cut), "val": _between(train, cut, total)}
        return found

    def _rows(self, span: Span) -> Iterator[Piece]:
        at = 0
        for text in rows.FORMATS[span.path.suffix.lower()](span.path, self.column):
            if at >= span.end:
                return
            if at >= span.begin and text:
                *pieces, last = stream.cut(text, piece.SIZE)
                yield from (Piece(part, ends_document=False) for part in pieces)
                yield Piece(last, ends_document=True)
            at += len(text.encode())

    def _size(self, path: Path) -> Size:
        stat = path.stat()
        if path.suffix.lower() not in rows.FORMATS:
            return Size(stat.st_size, int(stat.st_size > 0))
        return _counted(path, self.column, stat.st_size, stat.st_mtime_ns)


def files(paths: Sequence[Path]) -> list[File]:
    """The files behind paths, each once: a file itself, or every text and table below a folder."""
    found: dict[Path, File] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no {path}; check the path of --corpus.")
        for file in (inside := files_of(path, SUFFIXES)):
            way = Path(path.resolve().name) / file.relative_to(path)
            found.setdefault(file.resolve(), File(file, way))
        if not inside:
            raise DataError(f"{path} holds no {', '.join(SUFFIXES)} file; check --corpus.")
    return list(found.values())


def _between(spans: Sequence[Span], first: int, last: int) -> list[Span]:
    """What lies between two bytes of all the spans, one after another."""
    found, offset = [], 0
    for span in spans:
        begin, end = max(first - offset, 0), min(last - offset, span.end)
        if begin < end:
            found.append(Span(span.path, begin, end))
        offset += span.end
    return found


@cache
def _counted(path: Path, column: str, size: int, changed: int) -> Size:
    """The size of a table, by reading it; known until it changes."""
    total = documents = empty = last = 0
    for text in rows.FORMATS[path.suffix.lower()](path, column):
        if text:
            total += (last := len(text.encode()))
            documents += 1
        else:
            empty += 1
    return Size(total, documents, empty, last)
