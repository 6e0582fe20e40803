"""How each kind of file is read: plain text, rows of JSON, Parquet.

A reader gives texts and whether each ends its document. Positions are in a unit of the reader's
own: bytes, or rows. Nothing of a file's content is in an error message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from minbpe import stream
from minbpe.base import replace_surrogates
from pipeline.common.errors import DataError, SettingsError
from transformer.packages import install

PIECE = 1 << 20  # bytes read at a time
ROWS = 1 << 14  # taken from a Parquet file at a time, at most
NEEDED = "pyarrow==26.0.1"

Text = tuple[str, bool]  # and whether a document ends with it


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    `length(path)` in the reader's unit, `last(path)` where the last document begins that can not
    be cut; `size(path, column)` in bytes of text, about; `read(path, column, begin, end)` the texts
    that begin between two positions.
    """

    length: Callable[[Path], int]
    last: Callable[[Path], int]
    size: Callable[[Path, str], int]
    read: Callable[[Path, str, int, int], Iterator[Text]]


def _bytes(path: Path, column: str = "") -> int:
    return path.stat().st_size


# --- plain text: a file is a document --------------------------------------------------------


def _plain(path: Path, column: str, begin: int, end: int) -> Iterator[Text]:
    """The text between two byte positions, each moved on to where a character begins."""
    with path.open("rb") as file:
        begin, end = _at_character(file, begin), _at_character(file, end)
        file.seek(begin)
        text = ""
        try:
            for following in stream.read(file, end - begin, PIECE):
                if text:
                    yield text, False
                text = following
        except UnicodeDecodeError:
            raise DataError(f"{path} is not UTF-8 text; save it as UTF-8 and run again.") from None
        if text:
            yield text, True


def _at_character(file: IO[bytes], position: int) -> int:
    file.seek(position)
    return position + sum(1 for _ in _continuation(file.read(3)))


def _continuation(data: bytes) -> Iterator[int]:
    """The leading bytes that continue a UTF-8 character."""
    for byte in data:
        if byte & 0xC0 != 0x80:
            return
        yield byte


# --- rows of JSON: a row is a document -------------------------------------------------------


def _jsonl(path: Path, column: str, begin: int, end: int) -> Iterator[Text]:
    """The rows whose lines begin between two byte positions."""
    with path.open("rb") as file:
        if begin:
            file.seek(begin - 1)
            file.readline()
        at, seen = file.tell(), False
        while at < end and (line := file.readline()):
            if line.strip():
                row = _row(path, at, line)
                column = column or _chosen(path, [k for k in row if _may_be_text(row[k])], row)
                seen = seen or column in row  # once seen, a row without it has no text
                if not seen:
                    raise _no_column(path, column, list(row))
                if text := _text(path, column, row.get(column), partial(_line, path, at)):
                    yield text, True
            at += len(line)


def _last_line(path: Path) -> int:
    """Where the last line begins that is not blank; the end of the file when there is none."""
    end = at = path.stat().st_size
    tail = b""
    with path.open("rb") as file:
        while at > 0 and b"\n" not in tail.rstrip():
            file.seek(begin := max(0, at - PIECE))
            tail = file.read(at - begin) + tail
            at = begin
    return at + tail.rstrip().rfind(b"\n") + 1 if tail.strip() else end


def _may_be_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _row(path: Path, at: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if isinstance(row, dict):
            return row
        reason = "is no object of named values"
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except (ValueError, RecursionError):
        reason = "is not JSON"
    raise DataError(f"{path}, {_line(path, at)} {reason}; mend that line or take it out.") from None


def _line(path: Path, position: int) -> str:
    """The name of the line that begins at a byte position."""
    number = 1
    with path.open("rb") as file:
        while position > 0 and (block := file.read(min(PIECE, position))):
            number += block.count(b"\n")
            position -= len(block)
    return f"line {number}"


# --- Parquet: a row is a document ------------------------------------------------------------


def _opened(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise SettingsError(
            f"{path} is a Parquet file, which needs a package that is not here; "
            f"run `{install(NEEDED)}`, then the same command again."
        ) from None
    with _undamaged(path):
        # Otherwise a column chunk, often the whole column, is in memory at once.
        return parquet.ParquetFile(path, pre_buffer=False, buffer_size=PIECE)


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """Around reading: says in a line that the file is damaged, and nothing of what is in it."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's: no right to read it, a disk that is gone
        raise DataError(f"{path} is damaged or no Parquet file; fetch it again.") from None


def _parquet_rows(path: Path) -> int:
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def _parquet_size(path: Path, column: str) -> int:
    with _opened(path) as file:
        name = _parquet_column(path, file, column)
        groups = range(file.metadata.num_row_groups)
        return sum(_bytes_of(file.metadata.row_group(number), name) for number in groups)


def _bytes_of(group: Any, column: str) -> int:
    """The bytes of a column in a row group, about."""
    columns = map(group.column, range(group.num_columns))
    return sum(c.total_uncompressed_size for c in columns if c.path_in_schema == column)


def _parquet_column(path: Path, file: Any, column: str) -> str:
    schema = file.schema_arrow
    if column and column not in schema.names:
        raise _no_column(path, column, schema.names)
    texts = [field.name for field in schema if _holds_text(field.type)]
    return column or _chosen(path, texts, schema.names)


def _holds_text(kind: Any) -> bool:
    kind = getattr(kind, "value_type", kind) if str(kind).startswith("dictionary") else kind
    return str(kind) in ("string", "large_string", "string_view")


def _parquet(path: Path, column: str, begin: int, end: int) -> Iterator[Text]:
    """The rows between two row numbers."""
    with _opened(path) as file, _undamaged(path):
        name = _parquet_column(path, file, column)
        at = 0
        for group in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if at < end and at + count > begin:
                for number, value in enumerate(_values(file, group, name), at):
                    wanted = value if begin <= number < end else None
                    if text := _text(path, name, wanted, partial("row {}".format, number + 1)):
                        yield text, True
            at += count


def _values(file: Any, group: int, column: str) -> Iterator[Any]:
    """The values of a row group, about a megabyte of them at a time."""
    rows = file.metadata.row_group(group)
    each = _bytes_of(rows, column) // max(1, rows.num_rows)
    at_once = min(ROWS, max(1, PIECE // max(1, each)))
    for batch in file.iter_batches(at_once, row_groups=[group], columns=[column]):
        yield from batch.column(0).to_pylist()


# --- columns ---------------------------------------------------------------------------------


def _chosen(path: Path, texts: Sequence[str], columns: Sequence[str] | Mapping[str, Any]) -> str:
    """The column to read where none was named."""
    if "text" in columns:
        return "text"
    if len(texts) == 1:
        return texts[0]
    raise SettingsError(
        f"{path} has the columns {', '.join(columns) or '(none)'}; say which one holds the text "
        "with --corpus-column NAME."
    )


def _no_column(path: Path, column: str, columns: Sequence[str]) -> SettingsError:
    return SettingsError(
        f"{path} has no column {column}, but {', '.join(columns) or 'none at all'}; name one of "
        "them with --corpus-column."
    )


def _text(path: Path, column: str, value: Any, where: Callable[[], str]) -> str:
    """The text of a row; a row without one is empty."""
    if not _may_be_text(value):
        raise SettingsError(
            f"{path}, {where()}: column {column} holds no text; name another with --corpus-column."
        )
    text: str = value or ""
    return replace_surrogates(text)


READERS: Mapping[str, Reader] = {
    ".txt": Reader(_bytes, _bytes, _bytes, _plain),
    ".jsonl": Reader(_bytes, _last_line, _bytes, _jsonl),
    ".parquet": Reader(_parquet_rows, lambda p: _parquet_rows(p) - 1, _parquet_size, _parquet),
}


def reader_of(path: Path) -> Reader:
    """How to read a file; what has no known ending is taken for plain text."""
    return READERS.get(path.suffix.lower(), READERS[".txt"])
