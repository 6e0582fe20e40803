"""A generic table of messages, CSV or JSON lines, with a time, a sender and a text in each row.

For chats that some other program exported: columns are found by their usual names, or, in a CSV
without a heading, by their order.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TextIO

from pipeline.common.errors import ExportError
from pipeline.exports.whatsapp.characters import mended
from pipeline.exports.whatsapp.message import KINDS, Message
from pipeline.exports.whatsapp.sources import Source

# What the columns are called, most telling first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "time": ("time", "timestamp", "datetime", "date", "created_at", "sent_at"),
    "sender": ("sender", "from", "author", "user", "username", "name", "speaker", "sender_name"),
    "text": ("text", "message", "body", "content", "msg"),
}
_LARGEST_FIELD = 1 << 24
_SECONDS = 1e11  # a Unix time above is in milliseconds

Row = Mapping[str, object]


def is_table(name: str) -> bool:
    return name.lower().endswith((".csv", ".jsonl", ".ndjson"))


def read(source: Source, conversation: int) -> Iterator[Message]:
    """The messages of a table in file order.

    Raises ExportError that names the line when a row has no time, or the columns cannot be told.
    """
    with source.text() as stream:
        is_csv = source.name.lower().endswith(".csv")
        for line, row in _csv(stream, source.name) if is_csv else _jsonl(stream, source.name):
            fields = {part: _first(row, names) for part, names in COLUMNS.items()}
            time = _time(fields["time"])
            if time is None:
                raise ExportError(
                    f"{source.name}, line {line}: no time in a form such as 2024-03-05T21:08:00;"
                    f" the columns must be called {', '.join(COLUMNS)}"
                )
            kind = row.get("kind", "text")
            sender = None if fields["sender"] in (None, "") else mended(str(fields["sender"]))
            text = "" if fields["text"] is None else mended(str(fields["text"]))
            if kind not in KINDS:
                kind = "text"
            yield Message(time, sender, text, kind, conversation)  # type: ignore[arg-type]


def _first(row: Row, names: tuple[str, ...]) -> object:
    return next((row[name] for name in names if name in row), None)


def _csv(stream: TextIO, name: str) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(_LARGEST_FIELD)
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
        if not any(names[0] in heading or set(names) & set(heading) for names in COLUMNS.values()):
            heading = list(COLUMNS)
            yield 1, dict(zip(heading, first, strict=False))
        for cells in rows:
            if cells:
                yield rows.line_num, dict(zip(heading, cells, strict=False))
    except csv.Error as error:
        raise ExportError(
            f"{name}, line {rows.line_num}: not CSV; save it again as UTF-8"
        ) from error


def _jsonl(stream: TextIO, name: str) -> Iterator[tuple[int, Row]]:
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
    """ISO 8601, or seconds or milliseconds since 1970; without its zone."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).replace(tzinfo=None)
        except ValueError:
            return None
    try:
        seconds = number / 1000 if number > _SECONDS else number
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (OverflowError, OSError, ValueError):
        return None
