"""How each kind of corpus file is read: plain text, JSON lines, Parquet.

A reader yields texts, and whether each ends its document. Positions are in the reader's own unit:
bytes, or rows. Error messages quote nothing of a file's content.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from minbpe import stream
from minbpe.base import replace_surrogates
from pipeline.common.errors import DataError, SettingsError
from transformer.packages import install

if TYPE_CHECKING:
    from pyarrow import DataType
    from pyarrow.parquet import ParquetFile

PIECE = 1 << 20  # bytes read at a time
MAX_ROWS = 1 << 14  # read from a Parquet file at a time
NEEDED = "pyarrow==26.0.1"

Text = tuple[str, bool]  # a text, and whether it ends its document


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    `length(path)` is in the reader's unit. `last(path)` is where the last document begins that
    cannot be cut. `size(path, column)` is the approximate bytes of text. `read(path, column, begin,
    end)` yields the texts that begin between two positions.
    """

    length: Callable[[Path], int]
    last: Callable[[Path], int]
    size: Callable[[Path, str], int]
    read: Callable[[Path, str, int, int], Iterator[Text]]


def _bytes(path: Path, column: str = "") -> int:
    return path.stat().st_size


# --- plain text: a file is a document --------------------------------------------------------


def _read_plain(path: Path, column: str, begin: int, end: int) -> Iterator[Text]:
    """The text between two byte positions, each moved forward to the start of a character."""
    with path.open("rb") as file:
        begin, end = _next_character(file, begin), _next_character(file, end)
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


def _next_character(file: IO[bytes], position: int) -> int:
    """The first position from `position` on at which a UTF-8 character begins."""
    file.seek(position)
    continuation = takewhile(lambda byte: byte & 0xC0 == 0x80, file.read(3))
    return position + sum(1 for _ in continuation)


# --- JSON lines: a row is a document ---------------------------------------------------------


def _read_jsonl(path: Path, column: str, begin: int, end: int) -> Iterator[Text]:
    """The rows whose lines begin between two byte positions."""
    with path.open("rb") as file:
        if begin:
            file.seek(begin - 1)
            file.readline()
        position, seen = file.tell(), False
        while position < end and (line := file.readline()):
            if line.strip():
                row = _json_row(path, position, line)
                texts = [key for key, value in row.items() if _may_be_text(value)]
                column = column or _choose_column(path, texts, list(row))
                seen = seen or column in row  # once seen, a row without it has no text
                if not seen:
                    raise _no_column(path, column, list(row))
                where = partial(_line_number, path, position)
                if text := _row_text(path, column, row.get(column), where):
                    yield text, True
            position += len(line)


def _last_line(path: Path) -> int:
    """Where the last line that is not blank begins; the end of the file if there is none."""
    end = position = path.stat().st_size
    tail = b""
    with path.open("rb") as file:
        while position > 0 and b"\n" not in tail.rstrip():
            file.seek(begin := max(0, position - PIECE))
            tail = file.read(position - begin) + tail
            position = begin
    return position + tail.rstrip().rfind(b"\n") + 1 if tail.strip() else end


def _may_be_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _json_row(path: Path, position: int, line: bytes) -> dict[str, object]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if isinstance(row, dict):
            return row
        reason = "is no object of named values"
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except (ValueError, RecursionError):
        reason = "is not JSON"
    line_number = _line_number(path, position)
    raise DataError(f"{path}, {line_number} {reason}; fix that line or remove it.") from None


def _line_number(path: Path, position: int) -> str:
    """`line 3`: the line that begins at a byte position."""
    number = 1
    with path.open("rb") as file:
        while position > 0 and (block := file.read(min(PIECE, position))):
            number += block.count(b"\n")
            position -= len(block)
    return f"line {number}"


# --- Parquet: a row is a document ------------------------------------------------------------


def _open_parquet(path: Path) -> ParquetFile:
    try:
        from pyarrow import parquet
    except ImportError:
        raise SettingsError(
            f"{path} is a Parquet file, which needs a package that is not here; "
            f"run `{install(NEEDED)}`, then the same command again."
        ) from None
    with _damage_as_data_error(path):
        # Otherwise a column chunk, often the whole column, is in memory at once.
        return parquet.ParquetFile(path, pre_buffer=False, buffer_size=PIECE)


@contextmanager
def _damage_as_data_error(path: Path) -> Iterator[None]:
    """Around reading: a damaged file becomes a DataError that quotes nothing of its content."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # from the system: no permission to read, a disk that is gone
        raise DataError(f"{path} is damaged or no Parquet file; fetch it again.") from None


def _parquet_rows(path: Path) -> int:
    with _open_parquet(path) as file:
        return int(file.metadata.num_rows)


def _parquet_size(path: Path, column: str) -> int:
    with _open_parquet(path) as file:
        name = _parquet_column(path, file, column)
        return sum(_group_bytes(file, g, name) for g in range(file.metadata.num_row_groups))


def _group_bytes(file: ParquetFile, group: int, column: str) -> int:
    """The approximate bytes of a column in a row group."""
    rows = file.metadata.row_group(group)
    columns = map(rows.column, range(rows.num_columns))
    return sum(c.total_uncompressed_size for c in columns if c.path_in_schema == column)


def _parquet_column(path: Path, file: ParquetFile, column: str) -> str:
    schema = file.schema_arrow
    if column and column not in schema.names:
        raise _no_column(path, column, schema.names)
    texts = [field.name for field in schema if _holds_text(field.type)]
    return column or _choose_column(path, texts, schema.names)


def _holds_text(kind: DataType) -> bool:
    kind = getattr(kind, "value_type", kind) if str(kind).startswith("dictionary") else kind
    return str(kind) in ("string", "large_string", "string_view")


def _read_parquet(path: Path, column: str, begin: int, end: int) -> Iterator[Text]:
    """The rows between two row numbers."""
    with _open_parquet(path) as file, _damage_as_data_error(path):
        name = _parquet_column(path, file, column)
        first = 0  # row of the group
        for group in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if first < end and first + count > begin:
                for number, value in enumerate(_values(file, group, name), first):
                    in_range = value if begin <= number < end else None
                    where = partial("row {}".format, number + 1)
                    if text := _row_text(path, name, in_range, where):
                        yield text, True
            first += count


def _values(file: ParquetFile, group: int, column: str) -> Iterator[object]:
    """The values of a row group, about a megabyte at a time."""
    row_bytes = _group_bytes(file, group, column) // max(1, file.metadata.row_group(group).num_rows)
    batch_rows = min(MAX_ROWS, max(1, PIECE // max(1, row_bytes)))
    for batch in file.iter_batches(batch_rows, row_groups=[group], columns=[column]):
        yield from batch.column(0).to_pylist()


# --- columns ---------------------------------------------------------------------------------


def _choose_column(path: Path, texts: Sequence[str], columns: Sequence[str]) -> str:
    """The column to read when none was named; `texts` are the columns that may hold text."""
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


def _row_text(path: Path, column: str, value: object, where: Callable[[], str]) -> str:
    """The text of a row; "" if it has none. `where` names the row in an error message."""
    if value is not None and not isinstance(value, str):
        raise SettingsError(
            f"{path}, {where()}: column {column} holds no text; name another with --corpus-column."
        )
    return replace_surrogates(value or "")


READERS: Mapping[str, Reader] = {
    ".txt": Reader(_bytes, _bytes, _bytes, _read_plain),
    ".jsonl": Reader(_bytes, _last_line, _bytes, _read_jsonl),
    ".parquet": Reader(
        _parquet_rows, lambda path: _parquet_rows(path) - 1, _parquet_size, _read_parquet
    ),
}


def reader_of(path: Path) -> Reader:
    """The reader for a file; one with an unknown suffix is read as plain text."""
    return READERS.get(path.suffix.lower(), READERS[".txt"])
