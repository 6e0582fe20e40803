"""Telegram's `result.json`, as Telegram Desktop exports it, into the same messages.

One chat, or a whole account with a list of chats. See "Export chat history" in Telegram Desktop;
the fields are those of its JSON format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pipeline.common.errors import ExportError
from pipeline.exports.whatsapp.characters import mended
from pipeline.exports.whatsapp.message import Kind, Message
from pipeline.exports.whatsapp.sources import Source

# A field that only such a message has, and its kind.
_FIELDS: dict[str, Kind] = {
    "media_type": "media",
    "photo": "media",
    "file": "media",
    "contact_information": "contact",
    "live_location_period_seconds": "location",
    "location_information": "location",
    "poll": "poll",
    "game_title": "event",
}
Rows = list[Mapping[str, Any]]
_CALLS = {"phone_call", "group_call"}


def load(source: Source) -> list[Rows] | None:
    """The rows of each chat; None when the file is JSON of something else.

    Raises ExportError when it is no JSON at all.
    """
    try:
        with source.text() as stream:
            tree = json.load(stream)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ExportError(
            f"{source.name} is damaged JSON; export the chat from Telegram again"
        ) from error
    if not isinstance(tree, dict):
        return None
    chats = tree.get("chats", {})
    listed = chats.get("list", []) if isinstance(chats, dict) else []
    found = [chat.get("messages") for chat in [tree, *listed] if isinstance(chat, dict)]
    rows = [[row for row in rows if _is_row(row)] for rows in found if isinstance(rows, list)]
    return [chat for chat in rows if chat] or None


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("date"), str) and "type" in row


def messages(rows: Rows, conversation: int) -> Iterator[Message]:
    """The messages of one chat; what stands beside an attachment is speech of its own."""
    for row in rows:
        time = _time(row["date"])
        if time is None:
            continue
        named = str(row.get("from") or row.get("from_id") or row.get("actor") or "")
        sender, text = mended(named) or None, mended(_text(row.get("text", "")))
        if row["type"] != "message":
            is_call = row.get("action") in _CALLS
            kind: Kind = "call" if is_call else "notice"
            said = str(row.get("action", "")).replace("_", " ")
            yield Message(time, sender if is_call else None, said, kind, conversation)
            continue
        if "forwarded_from" in row or "via_bot" in row:  # passed on, not said
            yield Message(time, sender, text, "media", conversation)
            continue
        fields = [kind for field, kind in _FIELDS.items() if row.get(field)]
        if fields:
            named = mended(str(row.get("file_name") or ""))
            yield Message(time, sender, named, fields[0], conversation)
        if text or not fields:
            yield Message(time, sender, text, "text", conversation)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _text(value: object) -> str:
    """Telegram writes formatted text as a list of strings and of `{"type", "text"}`."""
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, dict):
        return str(value.get("text", ""))
    return value if isinstance(value, str) else ""
