"""Which conversations train, validate and test; decided once, for all later stages.

Whole conversations are held out, the newest ones, so that a test asks what the model is for: how
this person would answer next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pipeline.common.split_names import Split
from pipeline.dialogue.turns import bursts
from pipeline.exports.message import Message

_MIN_TRAIN_FRACTION = 3  # a third of what is counted stays in train


def assign_splits(messages: Sequence[Message], persona: str | None) -> list[Message]:
    """Assign every conversation to train, val or test; those that have a split keep it.

    Of the conversations in which `persona` speaks, the newest that together hold at least 10 % of
    the persona's turns are test and the next newest 10 % val; of all others, the newest that hold
    5 % of their messages each. Without a persona, 10 % each of all messages. When some messages
    already have a split, the test split is complete: of the new conversations the same percentage
    is val, none test.

    A conversation stays in train if holding it out would leave train less than a third of what is
    counted. So in a small chat a split may get less than its percentage, or nothing (a single
    conversation is all train), but train is never empty.
    """
    new = [message for message in messages if message.split is None]
    held_out: tuple[Split, ...] = ("test", "val") if len(new) == len(messages) else ("val",)
    turns = Counter(burst[0].conversation for speaker, burst in bursts(new) if speaker == persona)
    sizes = Counter(message.conversation for message in new)
    newest = _newest_first(new)
    with_persona = {number: turns[number] for number in newest if number in turns}
    others = {number: sizes[number] for number in newest if number not in turns}
    splits = _hold_out(with_persona, 10, held_out)
    splits |= _hold_out(others, 10 if persona is None else 5, held_out)
    return [
        message
        if message.split
        else replace(message, split=splits.get(message.conversation, "train"))
        for message in messages
    ]


def _newest_first(messages: Iterable[Message]) -> list[int | None]:
    """The conversations by their last message, latest first."""
    last: dict[int | None, datetime] = {}
    for message in messages:
        last[message.conversation] = max(message.time, last.get(message.conversation, message.time))
    return sorted(last, key=lambda number: last[number], reverse=True)


def _hold_out(
    weights: Mapping[int | None, int], percent: int, held_out: Iterable[Split]
) -> dict[int | None, Split]:
    """For each split in turn, the first conversations of `weights` that make up `percent`."""
    total = in_train = sum(weights.values())
    splits: dict[int | None, Split] = {}
    for split in held_out:
        weight_held = 0
        for number, weight in weights.items():
            if weight_held * 100 >= total * percent:
                break
            if number in splits or (in_train - weight) * _MIN_TRAIN_FRACTION < total:
                continue
            splits[number] = split
            weight_held += weight
            in_train -= weight
    return splits
