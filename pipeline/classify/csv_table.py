"""A CSV file as texts and labels. Whatever is wrong with the file is a one-line `DataError`."""

from __future__ import annotations

import csv
import io
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import DataError

DELIMITERS = ",;\t|"  # tried first; then any punctuation in the header
MAX_FIELD = 1 << 24  # characters


@dataclass(frozen=True)
class Table:
    """Texts in the order of the file, and their labels, "" where there is none."""

    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def read(path: Path, text_column: str, label_column: str, *, labelled: bool) -> Table:
    """The table in a UTF-8 file; the label column may be missing only if `labelled` is False."""
    content = _content(path)
    csv.field_size_limit(MAX_FIELD)
    lines = io.StringIO(content, newline="")
    reader = csv.reader(lines, delimiter=detect_delimiter(content, text_column), strict=True)
    table = Table([], [])
    try:
        header = next(reader)
        text = _column(header, text_column, path, "--text-column")
        label = _find(header, label_column)
        if label is None and labelled:
            label = _column(header, label_column, path, "--label-column")
        for row in filter(None, reader):
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} fields where the header has "
                    f"{len(header)}; put texts that contain a delimiter or a line break in "
                    '"quotes".'
                )
            table.texts.append(row[text])
            table.labels.append("" if label is None else row[label].strip())
    except csv.Error as error:
        raise DataError(
            f'{path}, line {reader.line_num}: {error}; double the quotes inside a text ("").'
        ) from None
    if not table.texts:
        raise DataError(f"{path} has a header but no rows; add one text per line.")
    return table


def detect_delimiter(content: str, column: str) -> str:
    """The character that separates `column` in the first line: a usual one, else any that does."""
    first = content.partition("\n")[0]
    marks = dict.fromkeys(DELIMITERS + "".join(c for c in first if c in string.punctuation))
    marks.pop('"', None)
    headers = {mark: next(csv.reader([first], delimiter=mark), []) for mark in marks}
    matching = [mark for mark, header in headers.items() if _find(header, column) is not None]
    return max(matching or DELIMITERS, key=lambda mark: len(headers[mark]))


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
        raise DataError(f"{path} is empty; its first line should name the columns.")
    return content.lstrip("\r\n")


def _find(header: Sequence[str], name: str) -> int | None:
    names = [column.strip().casefold() for column in header]
    folded = name.strip().casefold()
    return names.index(folded) if folded in names else None


def _column(header: Sequence[str], name: str, path: Path, option: str) -> int:
    """The index of a column; the error lists the others, unless they look like somebody's words
    (the first line may be a text already)."""
    index = _find(header, name)
    if index is not None:
        return index
    names = [name.strip() for name in header[:12]]
    if all(name and len(name) <= 24 and len(name.split()) <= 2 for name in names):
        columns = ", ".join(names)
    else:
        columns = f"{len(header)} columns, not all with short names"
    raise DataError(
        f"{path} has no column {name} in its first line, which has {columns}; name the right one "
        f"with {option}."
    )
