"""Where one conversation ends and the next begins; decided once, for all later stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from pipeline.exports.merge import new_messages
from pipeline.exports.message import Message


def find_conversations(
    messages: Iterable[Message], silence: timedelta, pinned: Sequence[Message] = ()
) -> list[Message]:
    """Number the conversations: a new one begins after more than `silence`, or in another chat.

    `conversation` comes in as the number of the chat. Files are not sorted by time, so a step back
    by more than `silence` also begins a conversation.

    `pinned` is the result of an earlier run on an older export. Its messages come first, unchanged
    in conversation and split; messages that are not among them form conversations of their own,
    even where an old one continues. A message is among them, one for one, also when it was edited
    since, is cleaned differently now, or its sender has another name.
    """
    messages = [replace(message) for message in messages]  # each an object of its own
    new = set(map(id, new_messages(list(pinned), messages)))
    numbered: list[Message] = []
    number = max((message.conversation or 0 for message in pinned), default=-1)
    previous: Message | None = None
    for message in messages:
        if id(message) not in new:
            previous = None
            continue
        if (
            previous is None
            or previous.conversation != message.conversation
            or abs(message.time - previous.time) > silence
        ):
            number += 1
        numbered.append(replace(message, conversation=number, split=None))
        previous = message
    return [*pinned, *numbered]
