"""Joining several exports: the same chat exported twice is one chat, each message in it once.

WhatsApp exports the newest messages only, so a long chat is often at hand in overlapping pieces.
The files are not sorted by time, and are not sorted here either: each keeps its own order.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate, combinations

from pipeline.exports.whatsapp.message import Message

Key = tuple[datetime, str | None, str]
Renamed = Counter[tuple[str, str]]  # (name in an older export, name in a newer one): how often

_SAME = 0.5  # of the messages in the days that both cover, so many are in both


def key(message: Message) -> Key:
    """What makes two messages of two exports the same message, word for word."""
    return message.time, message.sender, message.text


def edited(message: Message) -> Hashable:
    """Equal for one message that was changed or deleted between two exports."""
    return message.time, message.sender


def renamed(message: Message) -> Hashable:
    """Equal for one message whose sender was saved under another name between two exports."""
    return message.time, message.text


_WAYS: tuple[Callable[[Message], Hashable], ...] = (key, renamed, edited)


def merge(chats: Sequence[Sequence[Message]], names: Renamed | None = None) -> list[Message]:
    """One chat from overlapping exports of it.

    A message that is n times in one export and m times in another is max(n, m) times in the
    result. Where two exports have a message differently, edited since or its sender renamed, the
    newer one's is kept. The order within each export is kept, the newest export deciding where
    they overlap. Senders that changed their name are counted into `names`.
    """
    oldest_first = sorted((chat for chat in chats if chat), key=_last)
    counted: Renamed = Counter() if names is None else names
    merged: list[Message] = []
    for chat in oldest_first:
        merged = _merge_two(merged, list(chat), counted)
    return merged


def _last(chat: Sequence[Message]) -> datetime:
    return max(message.time for message in chat)


def _merge_two(older: list[Message], newer: list[Message], names: Renamed) -> list[Message]:
    unseen, unmatched = older, newer
    for way in _WAYS:
        unseen, unmatched = _without(unseen, unmatched, way, names)
    merged = heapq.merge(_with_rank(unseen), _with_rank(newer), key=lambda pair: pair[0])
    return [message for _, message in merged]


def _without(
    older: list[Message], newer: list[Message], way: Callable[[Message], Hashable], names: Renamed
) -> tuple[list[Message], list[Message]]:
    """What is left of both without those that are the same, one for one, from the end, where
    exports meet."""
    waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
    for number, message in enumerate(newer):
        waiting[way(message)].append(number)
    unseen: list[Message] = []
    matched: set[int] = set()
    for message in reversed(older):
        numbers = waiting.get(way(message))
        if not numbers:
            unseen.append(message)
            continue
        number = numbers.pop()
        matched.add(number)
        before, after = message.sender, newer[number].sender
        if before != after and before is not None and after is not None:
            names[before, after] += 1
    return unseen[::-1], [m for number, m in enumerate(newer) if number not in matched]


def unmatched(older: list[Message], newer: list[Message]) -> list[Message]:
    """Those of the newer that are not among the older, one for one, edited or renamed or not."""
    for way in _WAYS:
        older, newer = _without(older, newer, way, Counter())
    return newer


def _with_rank(messages: list[Message]) -> Iterator[tuple[datetime, Message]]:
    """Each message with the earliest time from it onward, which never falls: the first notice of a
    file may bear a late time, and must not hold back what follows it."""
    earliest = list(accumulate((message.time for message in reversed(messages)), min))
    return zip(reversed(earliest), messages, strict=True)


def join_exports(
    exports: Iterable[Iterable[Message]], names: Renamed | None = None
) -> list[Message]:
    """All messages of several exports, overlapping pieces of a chat merged.

    `conversation` comes in as the number of the chat within its export and leaves as the number of
    the chat among all. Two are the same chat when most of the messages in the days that both cover
    are in both, the sender's name aside. `names` is as for `merge`.
    """
    chats: list[list[Message]] = []
    for export in exports:
        by_number: defaultdict[int | None, list[Message]] = defaultdict(list)
        for message in export:
            by_number[message.conversation].append(message)
        chats += by_number.values()
    joined: list[Message] = []
    for number, group in enumerate(_groups(chats)):
        whole = merge(group, names) if len(group) > 1 else group[0]
        joined += (
            m if m.conversation == number else replace(m, conversation=number) for m in whole
        )
    return joined


def _groups(chats: list[list[Message]]) -> list[list[list[Message]]]:
    """The chats, those that are the same one together, in the order of their first."""
    if len(chats) == 1:
        return [chats]
    keys = [{(message.time, message.text) for message in chat} for chat in chats]
    group = list(range(len(chats)))
    for one, other in combinations(range(len(chats)), 2):
        if group[one] != group[other] and _are_same(keys[one], keys[other]):
            group = [group[one] if number == group[other] else number for number in group]
    return [
        [chat for chat, number in zip(chats, group, strict=True) if number == wanted]
        for wanted in dict.fromkeys(group)
    ]


def _are_same(one: set[tuple[datetime, str]], other: set[tuple[datetime, str]]) -> bool:
    shared = one & other
    if not shared:
        return False
    begins = max(min(time for time, _ in keys) for keys in (one, other))
    ends = min(max(time for time, _ in keys) for keys in (one, other))
    common = (sum(begins <= time <= ends for time, _ in keys) for keys in (one, other))
    return len(shared) >= _SAME * min(common)
