"""Tables, a document a row: JSON lines and Parquet, read as a stream.

A row whose text is empty or missing (null) is passed over. The text is in the column that is named,
else in `text`, else in the only one that holds strings.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from minbpe.base import replace_surrogates
from pipeline.corpus import piece
from pipeline.errors import DataError

USUAL = "text"
PYARROW = "pyarrow==26.0.1"
MOST_ROWS = 1 << 14  # at a time, however short they are
Reader = Callable[[Path, str], Iterator[str]]


def chosen(path: Path, wanted: str, strings: Sequence[str], columns: Sequence[str]) -> str:
    """The column to read, or a DataError that lists the columns."""
    if (name := wanted or USUAL) in strings:
        return name
    if not wanted and len(strings) == 1:
        return strings[0]
    known = f"its columns are {', '.join(columns)}" if columns else "it has no columns"
    if name in columns:
        raise DataError(
            f"{path}: the column {name} holds no text; {known}: name one with --corpus-column."
        )
    what = f"no column {wanted}" if wanted else "not one column of text alone, and none named text"
    raise DataError(f"{path} has {what}; {known}: name one with --corpus-column.")


# --- JSON lines --------------------------------------------------------------------------------


def json_lines(path: Path, wanted: str) -> Iterator[str]:
    """The text of each line; "" where there is none."""
    column = ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            data = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if data.isspace() or not data:
                continue
            row = _object(path, number, data)
            if not column:
                strings = [name for name, value in row.items() if isinstance(value, str)]
                if row.get(wanted or USUAL, "") is None:  # a null has no type to go by
                    yield ""
                    continue
                column = chosen(path, wanted, strings, list(row))
            text = row.get(column)
            if not isinstance(text, str | None):
                raise DataError(
                    f"{path}, line {number:,}: the column {column} holds no text there."
                )
            yield replace_surrogates(text or "")


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise DataError(
            f"{path}, line {number:,} is not UTF-8 text; save the file as UTF-8 and run again."
        ) from None
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise DataError(
            f"{path}, line {number:,} is no JSON object; each line must be one, such as "
            '{"text": "…"}: mend or delete that line.'
        )
    return row


# --- Parquet -----------------------------------------------------------------------------------


def parquet(path: Path, wanted: str) -> Iterator[str]:
    """The text of each row, about a megabyte of rows at a time; "" where there is none."""
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from pyarrow import parquet as format
    except ImportError:
        raise DataError(f"Reading {path} needs pyarrow: `pip install {PYARROW}`.") from None
    try:
        # Unbuffered, a column chunk (often the whole column) would be in memory at once.
        with format.ParquetFile(path, pre_buffer=False, buffer_size=piece.SIZE) as file:
            fields = list(file.schema_arrow)
            strings = [field.name for field in fields if _holds_text(pyarrow.types, field.type)]
            column = chosen(path, wanted, strings, [field.name for field in fields])
            yield from _texts(file, column, pyarrow.large_string())
    except UnicodeDecodeError:
        raise DataError(f"{path} holds text that is not UTF-8; write it again as UTF-8.") from None
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{path} is damaged or no Parquet file; fetch or write it again.") from None


def _holds_text(types: Any, kind: Any) -> bool:
    kind = kind.value_type if types.is_dictionary(kind) else kind
    tests = (types.is_string, types.is_large_string, types.is_string_view)
    return any(test(kind) for test in tests)


def _texts(file: Any, column: str, plain: Any) -> Iterator[str]:
    rows = min(MOST_ROWS, max(1, piece.SIZE // max(1, _bytes_of_row(file.metadata, column))))
    for batch in file.iter_batches(rows, columns=[column], use_threads=False):
        for text in batch.column(0).cast(plain).to_pylist():
            yield text or ""


def _bytes_of_row(metadata: Any, column: str) -> int:
    """The bytes of a row of a column: the largest of the averages of the row groups."""
    leaves = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    at = leaves.index(column)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return max(
        (group.column(at).total_uncompressed_size // max(1, group.num_rows) for group in groups),
        default=0,
    )


FORMATS: dict[str, Reader] = {".jsonl": json_lines, ".parquet": parquet}
