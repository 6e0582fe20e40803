"""Joining several exports: the same chat exported twice is one chat, each message in it once.

WhatsApp exports the newest messages only, so a long chat is often at hand in overlapping pieces.
The files are not sorted by time, and are not sorted here either: each keeps its own order.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from itertools import accumulate, combinations

from pipeline.whatsapp.message import Message

Key = tuple[datetime, str | None, str]

_SAME = 0.5  # of the messages in the days that both cover, so many are in both


def key(message: Message) -> Key:
    """What makes two messages of two exports the same message."""
    return message.time, message.sender, message.text


def merge(chats: Sequence[Sequence[Message]]) -> list[Message]:
    """One chat from overlapping exports of it.

    A message that is n times in one export and m times in another is max(n, m) times in the
    result. The order within each export is kept, the newest export deciding where they overlap.
    """
    oldest_first = sorted((chat for chat in chats if chat), key=_last)
    return reduce(_merge_two, map(list, oldest_first), [])


def _last(chat: Sequence[Message]) -> datetime:
    return max(message.time for message in chat)


def _merge_two(older: list[Message], newer: list[Message]) -> list[Message]:
    unseen = _without(older, newer)
    merged = heapq.merge(_with_rank(unseen), _with_rank(newer), key=lambda pair: pair[0])
    return [message for _, message in merged]


def _without(messages: list[Message], others: list[Message]) -> list[Message]:
    """`messages` less those that are in `others`, one for one, from the end, where they meet."""
    left = Counter(map(key, others))
    unseen = []
    for message in reversed(messages):
        if left[key(message)] > 0:
            left[key(message)] -= 1
        else:
            unseen.append(message)
    return unseen[::-1]


def _with_rank(messages: list[Message]) -> Iterator[tuple[datetime, Message]]:
    """Each message with the earliest time from it onward, which never falls: the first notice of a
    file may bear a late time, and must not hold back what follows it."""
    earliest = list(accumulate((message.time for message in reversed(messages)), min))
    return zip(reversed(earliest), messages, strict=True)


def join_exports(exports: Iterable[Iterable[Message]]) -> list[Message]:
    """All messages of several exports, overlapping pieces of a chat merged.

    `conversation` comes in as the number of the chat within its export and leaves as the number of
    the chat among all. Two are the same chat when most of the messages in the days that both cover
    are exactly in both.
    """
    chats: list[list[Message]] = []
    for export in exports:
        by_number: defaultdict[int | None, list[Message]] = defaultdict(list)
        for message in export:
            by_number[message.conversation].append(message)
        chats += by_number.values()
    joined: list[Message] = []
    for number, group in enumerate(_groups(chats)):
        joined += (replace(message, conversation=number) for message in merge(group))
    return joined


def _groups(chats: list[list[Message]]) -> list[list[list[Message]]]:
    """The chats, those that are the same one together, in the order of their first."""
    keys = [set(map(key, chat)) for chat in chats]
    group = list(range(len(chats)))
    for one, other in combinations(range(len(chats)), 2):
        if group[one] != group[other] and _are_same(keys[one], keys[other]):
            group = [group[one] if number == group[other] else number for number in group]
    return [
        [chat for chat, number in zip(chats, group, strict=True) if number == wanted]
        for wanted in dict.fromkeys(group)
    ]


def _are_same(one: set[Key], other: set[Key]) -> bool:
    shared = one & other
    if not shared:
        return False
    begins = max(min(time for time, _, _ in keys) for keys in (one, other))
    ends = min(max(time for time, _, _ in keys) for keys in (one, other))
    common = (sum(begins <= time <= ends for time, _, _ in keys) for keys in (one, other))
    return len(shared) >= _SAME * min(common)
