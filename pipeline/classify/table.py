"""A CSV file as texts and labels. Whatever is wrong with it is one `DataError` line."""

from __future__ import annotations

import csv
import io
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import DataError

USUAL = ",;\t|"  # delimiters tried first; then any mark in the header
LARGEST_FIELD = 1 << 24


@dataclass(frozen=True)
class Table:
    """Texts in the order of the file, and their labels, "" where there is none."""

    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def read(path: Path, text_column: str, label_column: str, *, labelled: bool) -> Table:
    """The table in a UTF-8 file; without a label column only where it need not be `labelled`."""
    content = _content(path)
    mark = delimiter(content, text_column)
    rows = _rows(content, mark, path)
    header = next(rows)[1]
    text = _place(header, text_column, path, "--text-column")
    label = -1
    if labelled or _find(header, label_column) is not None:
        label = _place(header, label_column, path, "--label-column")
    found = Table([], [])
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(row)} fields where the header has {len(header)}; "
                'put texts that hold a delimiter or a line break in "quotes".'
            )
        found.texts.append(row[text])
        found.labels.append(row[label].strip() if label >= 0 else "")
    if not found.texts:
        raise DataError(f"{path} holds a header and no rows; add one text a line.")
    return found


def delimiter(content: str, column: str) -> str:
    """The mark that sets `column` apart in the first line: a usual one, else any that does."""
    first = content.partition("\n")[0]
    marks = dict.fromkeys(USUAL + "".join(c for c in first if c in string.punctuation))
    marks.pop('"', None)
    splits = {mark: next(csv.reader([first], delimiter=mark), []) for mark in marks}
    named = [mark for mark, header in splits.items() if _find(header, column) is not None]
    return max(named or USUAL, key=lambda mark: len(splits[mark]))


def _content(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"There is no file {path}; check the path.")
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 (byte {error.start:,}); save it again as CSV in UTF-8."
        ) from None
    if not content.strip():
        raise DataError(f"{path} is empty; it should begin with a line that names the columns.")
    return content.lstrip("\r\n")


def _rows(content: str, mark: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the lines they end on."""
    csv.field_size_limit(LARGEST_FIELD)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=mark, strict=True)
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        raise DataError(
            f'{path}, line {reader.line_num}: {error}; quotes inside a text are doubled ("").'
        ) from None


def _listed(header: Sequence[str]) -> str:
    """The columns, unless they look like somebody's words: a first line can be a text itself."""
    names = [name.strip() for name in header[:12]]
    if all(name and len(name) <= 24 and len(name.split()) <= 2 for name in names):
        return ", ".join(names)
    return f"{len(header)} columns, not all of them by a short name"


def _find(header: Sequence[str], name: str) -> int | None:
    names = [column.strip().casefold() for column in header]
    wanted = name.strip().casefold()
    return names.index(wanted) if wanted in names else None


def _place(header: Sequence[str], name: str, path: Path, option: str) -> int:
    place = _find(header, name)
    if place is None:
        raise DataError(
            f"{path} has no column {name} in its first line, which names {_listed(header)}; "
            f"give the right one with {option}."
        )
    return place
