"""The cleaned messages of a workspace, parsed once and shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.common.files import read_jsonl
from pipeline.exports.message import Message


class ChatStore:
    """Parses a file of messages when they are first asked for, and holds them until `release`: a
    million of 40 letters each take about 220 MB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._messages: list[Message] | None = None

    def messages(self) -> Sequence[Message]:
        """All messages, in the order of the file; none where there is no file."""
        if self._messages is None:
            self._messages = list(self._parsed()) if self.path.exists() else []
        return self._messages

    def _parsed(self) -> Iterator[Message]:
        """The messages, with one object for each value that many have: half the memory."""
        shared: dict[str | int | None, str | int | None] = {}
        for row in read_jsonl(self.path):
            for key in ("sender", "kind", "conversation", "split"):
                value = row.get(key)
                row[key] = shared.setdefault(value, value)
            yield Message.from_dict(row)

    def release(self) -> None:
        """Let go of the messages."""
        self._messages = None
