"""A table of messages, CSV or JSON lines, with a time, a sender and a text in each row.

For chats that some other program exported. Columns are found by their usual names, or, in a CSV
without a heading, by their order.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TextIO

from pipeline.common.errors import ExportError
from pipeline.exports.exported_chat import Chat, DateOrder
from pipeline.exports.message import KINDS, Kind, Message, repair_surrogates
from pipeline.exports.sources import Source

# Usual names of each column, the most specific first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "time": ("time", "timestamp", "datetime", "date", "created_at", "sent_at"),
    "sender": ("sender", "from", "author", "user", "username", "name", "speaker", "sender_name"),
    "text": ("text", "message", "body", "content", "msg"),
}
_MAX_FIELD = 1 << 24  # characters
_MAX_SECONDS = 1e11  # a larger Unix time is in milliseconds

Row = Mapping[str, object]


def open_chats(source: Source, _: DateOrder = "auto") -> list[Chat]:
    """The one chat in the file; errors in rows are raised when it is read."""
    return [Chat.unambiguous(source, "table", partial(_messages, source))]


def _messages(source: Source) -> Iterator[Message]:
    """The messages in file order.

    Raises ExportError with the number of the line when a row has no time, or the columns cannot be
    recognized.
    """
    with source.text() as stream:
        is_csv = source.name.lower().endswith(".csv")
        rows = _csv_rows(stream, source.name) if is_csv else _json_rows(stream, source.name)
        for line, row in rows:
            time, sender, text = (_first(row, names) for names in COLUMNS.values())
            when = _time(time)
            if when is None:
                raise ExportError(
                    f"{source.name}, line {line}: no time in a form such as 2024-03-05T21:08:00;"
                    f" the columns must be called {', '.join(COLUMNS)}"
                )
            kind: Kind = next((k for k in KINDS if k == row.get("kind")), "text")
            who = None if sender in (None, "") else repair_surrogates(str(sender))
            yield Message(when, who, repair_surrogates("" if text is None else str(text)), kind)


def _first(row: Row, names: tuple[str, ...]) -> object:
    return next((row[name] for name in names if name in row), None)


def _csv_rows(stream: TextIO, name: str) -> Iterator[tuple[int, Row]]:
    """Each row with the number of its last line."""
    csv.field_size_limit(_MAX_FIELD)
    sample = stream.read(4096)
    stream.seek(0)
    line = sample.partition("\n")[0]
    delimiter = max(",;\t|", key=line.count)
    rows = csv.reader(stream, delimiter=delimiter)
    try:
        first = next(rows, None)
        if first is None:
            raise ExportError(f"{name} is empty; give a table with a time, a sender and a text")
        heading = [cell.strip().lower() for cell in first]
        if not any(set(names) & set(heading) for names in COLUMNS.values()):
            heading = list(COLUMNS)
            yield 1, dict(zip(heading, first, strict=False))
        for cells in rows:
            if cells:
                yield rows.line_num, dict(zip(heading, cells, strict=False))
    except csv.Error as error:
        raise ExportError(
            f"{name}, line {rows.line_num}: not CSV; save it again as UTF-8"
        ) from error


def _json_rows(stream: TextIO, name: str) -> Iterator[tuple[int, Row]]:
    """Each row with the number of its line."""
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ExportError(f"{name}, line {number}: not JSON; one object a line") from error
        if not isinstance(row, dict):
            raise ExportError(f"{name}, line {number}: not an object; one object a line")
        yield number, {str(key).lower(): value for key, value in row.items()}


def _time(value: object) -> datetime | None:
    """ISO 8601, or seconds or milliseconds since 1970; the zone is dropped."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).replace(tzinfo=None)
        except ValueError:
            return None
    try:
        seconds = number / 1000 if number > _MAX_SECONDS else number
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (OverflowError, OSError, ValueError):
        return None
