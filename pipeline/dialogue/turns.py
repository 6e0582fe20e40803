"""Turns: what one person says until somebody else speaks, in one message or several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from pipeline.exports.message import Message


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: a speaker and the messages of the burst."""

    speaker: str
    messages: tuple[str, ...]

    @property
    def text(self) -> str:
        """The messages joined by newlines."""
        return "\n".join(self.messages)

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of what was typed, without the newlines between messages."""
        return sum(len(message.encode()) for message in self.messages)


def bursts(messages: Iterable[Message]) -> Iterator[tuple[str, list[Message]]]:
    """Each maximal run of messages of one sender within one conversation, with the sender.

    Messages without a sender are left out and do not end a run.
    """
    sent = ((message.sender, message) for message in messages if message.sender is not None)
    for (speaker, _), run in groupby(sent, key=lambda pair: (pair[0], pair[1].conversation)):
        yield speaker, [message for _, message in run]


def turns(messages: Iterable[Message]) -> list[Turn]:
    """The messages joined into turns."""
    return [
        Turn(speaker, tuple(message.text for message in burst))
        for speaker, burst in bursts(messages)
    ]
