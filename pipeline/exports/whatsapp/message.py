"""`Message`: the one shape every later part sees, whatever phone the chat came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

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
KINDS: tuple[str, ...] = get_args(Kind)
Split = Literal["train", "val", "test"]


@dataclass(slots=True, unsafe_hash=True)
class Message:
    """One message of a chat: a value, never changed (freezing it would slow reading by a tenth).

    `time` is the phone's naive local time. `sender` is None for a notice that nobody sent.
    `text` is exactly what was typed, inner newlines included. `conversation` and `split` are
    filled in by stage 2; before it, `conversation` is the number of the chat the message is from.
    """

    time: datetime
    sender: str | None
    text: str
    kind: Kind = "text"
    conversation: int | None = None
    split: Split | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, without what is still unknown."""
        row: dict[str, Any] = {
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
    def from_dict(cls, row: Mapping[str, Any]) -> Message:
        """The inverse of `to_dict`."""
        return cls(
            time=datetime.fromisoformat(row["time"]),
            sender=row["sender"],
            text=row["text"],
            kind=row["kind"],
            conversation=row.get("conversation"),
            split=row.get("split"),
        )
