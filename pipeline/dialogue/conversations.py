"""Conversations, and which of them a model is trained, validated and tested on.

Both are decided here once for all later stages. Whole conversations are held out, the newest ones,
so that a test asks what a model is for: how this person would answer next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pipeline.common.splits import Split
from pipeline.dialogue.turns import bursts
from pipeline.exports.merge import new_messages
from pipeline.exports.message import Message

_TRAIN_KEEPS_ONE_IN = 3


def find(
    messages: Iterable[Message], silence: timedelta, pinned: Sequence[Message] = ()
) -> list[Message]:
    """Number the conversations: a new one begins after more than `silence`, or in another chat.

    `conversation` comes in as the number of the chat. Files are not sorted by time, so a step back
    by more than `silence` begins a conversation too.

    `pinned` is what an earlier run made of an older export: its messages come first, just as they
    were, with their conversation and split, and only what is not among them forms conversations,
    new ones even where an old one goes on. A message is among them, one for one, also when it has
    been edited since, is cleaned otherwise now, or its sender has another name.
    """
    messages = [replace(message) for message in messages]  # each an object of its own
    new = set(map(id, new_messages(list(pinned), messages)))
    found: list[Message] = []
    number = max((message.conversation or 0 for message in pinned), default=-1)
    before: Message | None = None
    for message in messages:
        if id(message) not in new:
            before = None
            continue
        if before is None or _part(before, message, silence):
            number += 1
        found.append(replace(message, conversation=number, split=None))
        before = message
    return [*pinned, *found]


def _part(before: Message, after: Message, silence: timedelta) -> bool:
    return before.conversation != after.conversation or abs(after.time - before.time) > silence


def split(messages: Sequence[Message], persona: str | None) -> list[Message]:
    """Put every conversation into train, val or test; those that have a split keep it.

    Of the conversations in which `persona` speaks, the newest that together hold at least 10 % of
    the persona's turns are test and the next newest 10 % val; of all others, the newest that hold
    5 % of their messages each. Without a persona, 10 % each of all messages. Where some messages
    have a split already, the test is made: of the new conversations the same share is val, none
    test.

    A conversation is passed over, and stays in train, if holding it out would leave train less
    than a third of what is counted. So in a small chat a part may get less than its share, or
    nothing (a single conversation is all train), but train is never empty.
    """
    new = [message for message in messages if message.split is None]
    parts: tuple[Split, ...] = ("test", "val") if len(new) == len(messages) else ("val",)
    turns = Counter(burst[0].conversation for who, burst in bursts(new) if who == persona)
    sizes = Counter(message.conversation for message in new)
    newest = _newest_first(new)
    with_persona = {number: turns[number] for number in newest if number in turns}
    others = {number: sizes[number] for number in newest if number not in turns}
    where = _hold_out(with_persona, 10, parts)
    where |= _hold_out(others, 10 if persona is None else 5, parts)
    return [
        message
        if message.split
        else replace(message, split=where.get(message.conversation, "train"))
        for message in messages
    ]


def _newest_first(messages: Iterable[Message]) -> list[int | None]:
    """The conversations by their last message, latest first."""
    last: dict[int | None, datetime] = {}
    for message in messages:
        last[message.conversation] = max(message.time, last.get(message.conversation, message.time))
    return sorted(last, key=lambda number: last[number], reverse=True)


def _hold_out(
    weights: Mapping[int | None, int], percent: int, parts: Iterable[Split]
) -> dict[int | None, Split]:
    """For each part in turn the first conversations of `weights` that make up `percent`."""
    total = in_train = sum(weights.values())
    where: dict[int | None, Split] = {}
    for part in parts:
        held = 0
        for number, weight in weights.items():
            if held * 100 >= total * percent:
                break
            if number in where or (in_train - weight) * _TRAIN_KEEPS_ONE_IN < total:
                continue
            where[number] = part
            held += weight
            in_train -= weight
    return where
