"""`Chat`: what a format's reader gives for each chat in a file, and the report on reading it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, get_args

from pipeline.exports.aliases import Aliases
from pipeline.exports.message import Kind, Message
from pipeline.exports.sources import Source

DateOrder = Literal["auto", "day-first", "month-first"]
DATE_ORDERS: tuple[DateOrder, ...] = get_args(DateOrder)
DetectedOrder = Literal["year-first", "day-first", "month-first"]

MAX_EXAMPLES = 3


@dataclass
class Tally:
    """Counts taken while one chat is read.

    `skipped` lines came before the first message. `unreadable` holds the offsets of headers whose
    date or time does not exist, `pasted` those of headers that somebody pasted from another chat;
    both stay in the text of the message before them. `unknown` counts lines that look like the
    app's words but are in no table, with a few `examples`.
    """

    kinds: Counter[tuple[str | None, Kind]] = field(default_factory=Counter)
    first_day: date | None = None
    last_day: date | None = None
    skipped: int = 0
    unreadable: set[int] = field(default_factory=set)
    pasted: set[int] = field(default_factory=set)
    unknown: int = 0
    examples: list[str] = field(default_factory=list)

    def note_day(self, day: date) -> None:
        self.first_day = min(self.first_day or day, day)
        self.last_day = max(self.last_day or day, day)

    def note_unknown(self, text: str) -> None:
        self.unknown += 1
        if len(self.examples) < MAX_EXAMPLES and text not in self.examples:
            self.examples.append(text)


@dataclass(frozen=True)
class ChatReport:
    """What was understood of one chat."""

    file: str
    platform: str  # "ios", "android", "telegram", …
    header: str  # such as "[dd/mm/yyyy, hh:mm:ss] "
    date_order: DetectedOrder
    date_order_guessed: bool
    first_day: date | None
    last_day: date | None
    kinds: dict[Kind, int]  # messages by kind, most frequent first
    senders: dict[str, int]  # messages of any kind by sender, most frequent first
    skipped_lines: int = 0  # before the first message
    unreadable_headers: int = 0  # an impossible date or time; kept as text of the message before
    pasted_headers: int = 0  # from another chat, pasted into a message; kept as its text
    unknown: int = 0  # lines that look like the app's words but are in no table; not kept as speech
    examples: tuple[str, ...] = ()  # of unknown lines
    share: float = 1.0  # of the lines that look like headers, those in this file's format

    @property
    def confidence(self) -> float:
        """Confidence in the detected format, from 0 to 1.

        The share of header-like lines that have the file's format and a date that exists, halved
        when the order of day and month was guessed.
        """
        read = sum(self.kinds.values())
        readable = read / max(read + self.unreadable_headers, 1)
        return self.share * readable * (0.5 if self.date_order_guessed else 1.0)


@dataclass(frozen=True)
class Chat:
    """One chat of an export: where it is, what its format is, and how to read it.

    `read(number, tally, aliases)` yields the messages in file order, each with `number` as its
    conversation, and counts them into `tally`.
    """

    source: Source
    platform: str
    read: Callable[[int, Tally, Aliases], Iterator[Message]]
    header: str = ""
    date_order: DetectedOrder = "year-first"
    date_order_guessed: bool = False
    share: float = 1.0  # of the lines that look like headers, those in this format
    starts_with_header: bool = True  # otherwise it may be a document that mentions headers

    @classmethod
    def unambiguous(
        cls, source: Source, platform: str, messages: Callable[[], Iterable[Message]]
    ) -> Chat:
        """A chat in a format that states times, senders and kinds, so nothing is to be detected.

        `messages()` yields the messages without a conversation and with senders as written.
        """

        def read(number: int, tally: Tally, aliases: Aliases) -> Iterator[Message]:
            for message in messages():
                sender = message.sender and aliases[message.sender]
                tally.kinds[sender, message.kind] += 1
                tally.note_day(message.time.date())
                yield Message(message.time, sender, message.text, message.kind, number)

        return cls(source, platform, read)

    def report(self, tally: Tally) -> ChatReport:
        """What was understood, after `read` counted into `tally`."""
        kinds: Counter[Kind] = Counter()
        senders: Counter[str] = Counter()
        for (sender, kind), count in tally.kinds.items():
            kinds[kind] += count
            if sender is not None:
                senders[sender] += count
        return ChatReport(
            file=self.source.name,
            platform=self.platform,
            header=self.header,
            date_order=self.date_order,
            date_order_guessed=self.date_order_guessed,
            first_day=tally.first_day,
            last_day=tally.last_day,
            kinds=dict(kinds.most_common()),
            senders=dict(senders.most_common()),
            skipped_lines=tally.skipped,
            unreadable_headers=len(tally.unreadable),
            pasted_headers=len(tally.pasted),
            unknown=tally.unknown,
            examples=tuple(tally.examples),
            share=self.share,
        )
