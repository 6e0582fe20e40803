"""`Message`: what every later part of the program sees, whatever messenger the chat came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NotRequired, TypedDict, get_args

from pipeline.common.split_names import Split

Kind = Literal[
    "text",
    "media",
    "deleted",
    "notice",
    "call",
    "location",
    "contact",
    "poll",
    "event",
    "view_once",
    "waiting",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


class MessageRow(TypedDict):
    """A message as a JSON object: a line of `messages.jsonl`."""

    time: str
    sender: str | None
    text: str
    kind: Kind
    conversation: NotRequired[int]
    split: NotRequired[Split]


@dataclass(slots=True, unsafe_hash=True)
class Message:
    """One message of a chat. Treat it as immutable (freezing it would slow reading by a tenth).

    `time` is the phone's local time, without a zone. `sender` is None for a notice of the app.
    `text` is exactly what was typed, inner newlines included. Stage 2 sets `conversation` and
    `split`; until then `conversation` is the number of the chat that the message is from.
    """

    time: datetime
    sender: str | None
    text: str
    kind: Kind = "text"
    conversation: int | None = None
    split: Split | None = None

    def to_dict(self) -> MessageRow:
        """The message as JSON types, without fields that are not set yet."""
        row: MessageRow = {
            "time": self.time.isoformat(),
            "sender": self.sender,
            "text": self.text,
            "kind": self.kind,
        }
        if self.conversation is not None:
            row["conversation"] = self.conversation
        if self.split is not None:
            row["split"] = self.split
        return row

    @classmethod
    def from_dict(cls, row: MessageRow) -> Message:
        """The inverse of `to_dict`."""
        return cls(
            time=datetime.fromisoformat(row["time"]),
            sender=row["sender"],
            text=row["text"],
            kind=row["kind"],
            conversation=row.get("conversation"),
            split=row.get("split"),
        )


def repair_surrogates(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates: JSON can hold them, UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
