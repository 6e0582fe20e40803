"""Telegram's `result.json`, as Telegram Desktop exports one chat or a whole account."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial

from pipeline.common.errors import ExportError
from pipeline.exports.exported_chat import Chat, DateOrder
from pipeline.exports.message import Kind, Message, repair_surrogates
from pipeline.exports.sources import Source

# Fields that only messages of one kind have.
_KIND_FIELDS: dict[str, Kind] = {
    "media_type": "media",
    "photo": "media",
    "file": "media",
    "contact_information": "contact",
    "live_location_period_seconds": "location",
    "location_information": "location",
    "poll": "poll",
    "game_title": "event",
}
_CALL_ACTIONS = {"phone_call", "group_call"}

Row = Mapping[str, object]


def open_chats(source: Source, _: DateOrder = "auto") -> list[Chat]:
    """The chats in the file; none when it is JSON of something else.

    Raises ExportError when it is not JSON at all.
    """
    try:
        with source.text() as stream:
            tree = json.load(stream)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ExportError(
            f"{source.name} is damaged JSON; export the chat from Telegram again"
        ) from error
    if not isinstance(tree, dict):
        return []
    account = tree.get("chats", {})
    listed = account.get("list", []) if isinstance(account, dict) else []
    histories = [chat.get("messages") for chat in [tree, *listed] if isinstance(chat, dict)]
    chats = [list(filter(_is_row, rows)) for rows in histories if isinstance(rows, list)]
    return [Chat.unambiguous(source, "telegram", partial(_messages, c)) for c in chats if c]


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("date"), str) and "type" in row


def _messages(rows: list[Row]) -> Iterator[Message]:
    """The messages of one chat. The caption of an attachment is a message of its own."""
    for row in rows:
        try:
            time = datetime.fromisoformat(str(row["date"])).replace(tzinfo=None)
        except ValueError:
            continue
        name = str(row.get("from") or row.get("from_id") or row.get("actor") or "")
        sender, text = repair_surrogates(name) or None, repair_surrogates(_text(row.get("text")))
        if row["type"] != "message":
            action = str(row.get("action", ""))
            what = action.replace("_", " ")
            if action in _CALL_ACTIONS:
                yield Message(time, sender, what, "call")
            else:
                yield Message(time, None, what, "notice")
            continue
        if "forwarded_from" in row or "via_bot" in row:  # not the sender's own words
            yield Message(time, sender, text, "media")
            continue
        kind = next((kind for field, kind in _KIND_FIELDS.items() if row.get(field)), None)
        if kind is not None:
            yield Message(time, sender, repair_surrogates(str(row.get("file_name") or "")), kind)
        if text or kind is None:
            yield Message(time, sender, text)


def _text(value: object) -> str:
    """Formatted text is a list of strings and of `{"type": …, "text": …}`."""
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, dict):
        return str(value.get("text", ""))
    return value if isinstance(value, str) else ""
