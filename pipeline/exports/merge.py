"""Join exports: where two overlap, each message is kept once.

WhatsApp exports only the newest messages, so a long chat often comes in overlapping pieces. The
messages of a file are not sorted by time, and are not sorted here: each export keeps its order.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate, combinations

from pipeline.exports.message import Message

Renames = Counter[tuple[str, str]]
"""(name in an older export, name in a newer one): number of messages."""

_MIN_SHARED = 0.5  # of the messages in the days that both exports cover, to be the same chat


def message_key(message: Message) -> tuple[datetime, str | None, str]:
    """Equal for a message that two exports have word for word."""
    return message.time, message.sender, message.text


def _key_when_edited(message: Message) -> Hashable:
    """Equal for a message that was edited or deleted between two exports."""
    return message.time, message.sender


def _key_when_renamed(message: Message) -> Hashable:
    """Equal for a message whose sender was saved under another name between two exports."""
    return message.time, message.text


# Tried in this order: what an earlier key matched, a later one no longer sees.
_KEYS: tuple[Callable[[Message], Hashable], ...] = (
    message_key,
    _key_when_renamed,
    _key_when_edited,
)


def join_exports(
    exports: Iterable[Iterable[Message]], renames: Renames | None = None
) -> list[Message]:
    """All messages of several exports, overlapping exports of a chat merged.

    `conversation` comes in as the number of the chat within its export and leaves as its number
    among all chats. Two are the same chat when at least half of the messages in the days that both
    cover are in both, whoever sent them. `renames` is as for `merge`.
    """
    chats: list[list[Message]] = []
    for export in exports:
        by_number: defaultdict[int | None, list[Message]] = defaultdict(list)
        for message in export:
            by_number[message.conversation].append(message)
        chats += by_number.values()
    joined: list[Message] = []
    for number, group in enumerate(_group_same_chats(chats)):
        merged = merge(group, renames) if len(group) > 1 else group[0]
        joined += (
            m if m.conversation == number else replace(m, conversation=number) for m in merged
        )
    return joined


def _group_same_chats(chats: list[list[Message]]) -> list[list[list[Message]]]:
    """Group the chats that are the same one; the groups are in the order of their first chats."""
    if len(chats) == 1:
        return [chats]
    keys = [{(message.time, message.text) for message in chat} for chat in chats]
    group = list(range(len(chats)))
    for one, other in combinations(range(len(chats)), 2):
        if group[one] != group[other] and _are_same(keys[one], keys[other]):
            group = [group[one] if number == group[other] else number for number in group]
    return [
        [chat for chat, number in zip(chats, group, strict=True) if number == label]
        for label in dict.fromkeys(group)
    ]


def _are_same(one: set[tuple[datetime, str]], other: set[tuple[datetime, str]]) -> bool:
    shared = one & other
    if not shared:
        return False
    first = max(min(time for time, _ in keys) for keys in (one, other))
    last = min(max(time for time, _ in keys) for keys in (one, other))
    in_common_days = (sum(first <= time <= last for time, _ in keys) for keys in (one, other))
    return len(shared) >= _MIN_SHARED * min(in_common_days)


def merge(chats: Sequence[Sequence[Message]], renames: Renames | None = None) -> list[Message]:
    """One chat from overlapping exports of it.

    A message that is n times in one export and m times in another is max(n, m) times in the result.
    Where two exports differ in a message, because it was edited or its sender renamed, the newer
    export's version is kept. Each export keeps its order; where they overlap, the newest decides.
    Senders who were renamed are counted into `renames`.
    """
    oldest_first = sorted((chat for chat in chats if chat), key=_last_time)
    renames = Counter() if renames is None else renames
    merged: list[Message] = []
    for newer in oldest_first:
        only_old, _ = _unmatched(merged, list(newer), renames)
        pairs = heapq.merge(
            _with_earliest(only_old), _with_earliest(newer), key=lambda pair: pair[0]
        )
        merged = [message for _, message in pairs]
    return merged


def _last_time(chat: Sequence[Message]) -> datetime:
    return max(message.time for message in chat)


def _with_earliest(messages: Sequence[Message]) -> Iterator[tuple[datetime, Message]]:
    """Each message with the earliest time from it onward, which never decreases.

    So the first notice of a file, which often bears a late time, does not hold back what follows.
    """
    earliest = list(accumulate((message.time for message in reversed(messages)), min))
    return zip(reversed(earliest), messages, strict=True)


def new_messages(older: list[Message], newer: list[Message]) -> list[Message]:
    """The messages of `newer` that have no counterpart in `older`, edited or renamed or not."""
    _, new = _unmatched(older, newer, Counter())
    return new


def _unmatched(
    older: list[Message], newer: list[Message], renames: Renames
) -> tuple[list[Message], list[Message]]:
    """The messages of each export that have no counterpart in the other.

    Messages are matched one for one, from the end, where exports meet.
    """
    for key in _KEYS:
        candidates: defaultdict[Hashable, list[int]] = defaultdict(list)
        for index, message in enumerate(newer):
            candidates[key(message)].append(index)
        only_old: list[Message] = []
        matched: set[int] = set()
        for message in reversed(older):
            indices = candidates.get(key(message))
            if not indices:
                only_old.append(message)
                continue
            index = indices.pop()
            matched.add(index)
            before, after = message.sender, newer[index].sender
            if before != after and before is not None and after is not None:
                renames[before, after] += 1
        older = only_old[::-1]
        newer = [message for index, message in enumerate(newer) if index not in matched]
    return older, newer
