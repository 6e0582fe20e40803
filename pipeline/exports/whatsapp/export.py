"""A whole export, whatever the user gave: its chats, their messages, and what was understood."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Protocol

from pipeline.common.errors import ExportError
from pipeline.exports.whatsapp import tables, telegram
from pipeline.exports.whatsapp.aliases import Aliases
from pipeline.exports.whatsapp.dates import DateOrder, FoundOrder, check_date_order
from pipeline.exports.whatsapp.headers import Platform
from pipeline.exports.whatsapp.message import Kind, Message
from pipeline.exports.whatsapp.reader import Tally, read
from pipeline.exports.whatsapp.sources import Source, find_sources
from pipeline.exports.whatsapp.survey import Layout, survey

IOS_TRANSCRIPT = "_chat.txt"

Origin = Platform | Literal["telegram", "table"]


@dataclass(frozen=True)
class ChatReport:
    """What was understood of one chat."""

    file: str
    platform: Origin
    header: str  # such as "[dd/mm/yyyy, hh:mm:ss] "
    date_order: FoundOrder
    date_order_guessed: bool
    first_day: date | None
    last_day: date | None
    kinds: dict[Kind, int]
    senders: dict[str, int]  # messages of any kind, most first
    skipped_lines: int = 0  # before the first message
    unreadable_headers: int = 0  # an impossible date or time; kept as text of the message before
    pasted_headers: int = 0  # another chat's, pasted into a message; kept as its text
    unknown: int = 0  # what looks like the app's words and is in no table; not kept as speech
    examples: tuple[str, ...] = ()  # of these, three at most
    share: float = 1.0  # of the lines that look like headers, how many have this file's form

    @property
    def confidence(self) -> float:
        """How sure the reader is of having read this chat rightly, from 0 to 1.

        The share of header-like lines that have the file's form and a date that exists, halved
        when the order of day and month was guessed.
        """
        read = sum(self.kinds.values())
        readable = read / max(read + self.unreadable_headers, 1)
        return self.share * readable * (0.5 if self.date_order_guessed else 1.0)


@dataclass(frozen=True)
class Report:
    """What was understood of an export. `ignored` are text files in which there is no chat."""

    chats: tuple[ChatReport, ...]
    ignored: tuple[str, ...]

    @property
    def senders(self) -> dict[str, int]:
        """Messages by sender over all chats, most first."""
        total: Counter[str] = Counter()
        for chat in self.chats:
            total.update(chat.senders)
        return dict(total.most_common())


class Chat(Protocol):
    """One chat of an export: where it is and how to read it."""

    @property
    def source(self) -> Source: ...

    def read(self, number: int, tally: Tally, aliases: Aliases) -> Iterator[Message]:
        """Its messages in file order, `conversation` being `number`, counted into `tally`."""

    def report(self, tally: Tally) -> ChatReport:
        """What was understood, once it was read."""


@dataclass(frozen=True)
class WhatsAppChat:
    """A chat as WhatsApp wrote it."""

    source: Source
    layout: Layout

    def read(self, number: int, tally: Tally, aliases: Aliases) -> Iterator[Message]:
        with self.source.text() as stream:
            yield from read(stream, self.layout, number, tally, aliases=aliases)

    def report(self, tally: Tally) -> ChatReport:
        shape, dates = self.layout.shape, self.layout.dates
        days = [day for day in tally.days.values() if day is not None]
        kinds, senders = _counts(tally)
        return ChatReport(
            file=self.source.name,
            platform=shape.platform,
            header=shape.describe(dates.order),
            date_order=dates.order,
            date_order_guessed=dates.guessed,
            first_day=min(days, default=None),
            last_day=max(days, default=None),
            kinds=kinds,
            senders=senders,
            skipped_lines=tally.skipped,
            unreadable_headers=len(tally.unreadable),
            pasted_headers=len(tally.pasted),
            unknown=tally.unknown,
            examples=tuple(tally.examples),
            share=shape.share,
        )


@dataclass(frozen=True)
class OtherChat:
    """A chat from elsewhere: `open` gives its messages, with times that leave nothing open."""

    source: Source
    origin: Origin
    open: Callable[[int], Iterator[Message]]

    def read(self, number: int, tally: Tally, aliases: Aliases) -> Iterator[Message]:
        for message in self.open(number):
            sender = message.sender and aliases[message.sender]
            tally.kinds[sender, message.kind] += 1
            tally.days.setdefault(message.time.date().isoformat(), message.time.date())
            yield Message(message.time, sender, message.text, message.kind, number)

    def report(self, tally: Tally) -> ChatReport:
        days = [day for day in tally.days.values() if day is not None]
        kinds, senders = _counts(tally)
        return ChatReport(
            file=self.source.name,
            platform=self.origin,
            header="",
            date_order="year-first",
            date_order_guessed=False,
            first_day=min(days, default=None),
            last_day=max(days, default=None),
            kinds=kinds,
            senders=senders,
        )


class Export:
    """What `read_export` found. Iterating `messages` reads the files; nothing is kept of them."""

    def __init__(self, chats: Sequence[Chat], ignored: list[str], aliases: Aliases) -> None:
        self.chats = chats
        self._ignored = ignored
        self._aliases = aliases
        self._report: Report | None = None

    @property
    def messages(self) -> Iterator[Message]:
        """Every message, chat by chat, in file order; `conversation` is the chat's number."""
        reports = []
        for number, chat in enumerate(self.chats):
            tally = Tally()
            yield from chat.read(number, tally, self._aliases)
            reports.append(chat.report(tally))
        self._report = Report(tuple(reports), tuple(self._ignored))

    @property
    def report(self) -> Report:
        """What was understood; reads the files once if nobody has read them to the end yet."""
        if self._report is None:
            for _ in self.messages:
                pass
        assert self._report is not None
        return self._report


def read_export(path: Path, date_order: DateOrder = "auto", aliases: Sequence[str] = ()) -> Export:
    """Open an exported chat.

    `path` is what WhatsApp exported (a .txt, a .zip with or without media, or a folder of them),
    Telegram's result.json, or a table (.csv, .jsonl) of time, sender and text. `date_order` settles
    03/04/2024 where the file alone cannot; `aliases` are rows for `Aliases`. Raises ExportError
    when nothing there can be read as a chat.
    """
    check_date_order(date_order)
    sources = find_sources(path)
    chats: list[Chat] = []
    ignored: list[str] = []
    reason: ExportError | None = None
    for source in sources:
        try:
            found = _open(source, date_order)
        except ExportError as error:
            reason, found = reason or error, []
        chats += found
        if not found:
            ignored.append(source.name)
    chats, documents = _without_documents(chats)
    if not chats:
        raise reason or ExportError(_no_chat(path, sources))
    return Export(chats, ignored + documents, Aliases(aliases))


def _open(source: Source, date_order: DateOrder) -> list[Chat]:
    """The chats in one file."""
    if tables.is_table(source.name):
        return [OtherChat(source, "table", lambda number: tables.read(source, number))]
    if source.name.lower().endswith(".json"):
        return [_telegram_chat(source, rows) for rows in telegram.load(source) or []]
    with source.text() as stream:
        layout = survey(stream, date_order)
    return [] if layout is None else [WhatsAppChat(source, layout)]


def _telegram_chat(source: Source, rows: telegram.Rows) -> Chat:
    return OtherChat(source, "telegram", lambda number: telegram.messages(rows, number))


def _without_documents(chats: list[Chat]) -> tuple[list[Chat], list[str]]:
    """Set aside texts that somebody sent in the chat: beside a chat, what only mentions headers.

    A chat is named as iOS names it, or begins with a header; when none is, all are chats. In a zip
    in which one is named so, the others were sent in it.
    """
    zips = {c.source.folder for c in chats if "/" in c.source.name and _is_named(c)}
    likely = [
        chat
        for chat in chats
        if _is_named(chat) or (_starts_at_once(chat) and chat.source.folder not in zips)
    ]
    kept = likely or chats
    return kept, [chat.source.name for chat in chats if chat not in kept]


def _is_named(chat: Chat) -> bool:
    return chat.source.name.rpartition("/")[2] == IOS_TRANSCRIPT


def _starts_at_once(chat: Chat) -> bool:
    return not isinstance(chat, WhatsAppChat) or chat.layout.starts_at_once


def _no_chat(path: Path, sources: list[Source]) -> str:
    if not sources and _holds_zips(path):
        return f"{path.name} holds other zip files; unpack it and give the folder"
    if not sources:
        found = "holds no .txt file"
    elif len(sources) == 1 and _is_empty(sources[0]):
        found = "is empty"
    else:
        found = "has no line that begins like a WhatsApp message"
    return (
        f"{path.name} {found}; export the chat in WhatsApp (More > Export chat) and give that file"
    )


def _holds_zips(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.lower().endswith(".zip") for name in archive.namelist())


def _is_empty(source: Source) -> bool:
    with source.text() as stream:
        return not stream.read(1)


def _counts(tally: Tally) -> tuple[dict[Kind, int], dict[str, int]]:
    """Messages by kind and by sender, most first."""
    kinds: Counter[Kind] = Counter()
    senders: Counter[str] = Counter()
    for (sender, kind), count in tally.kinds.items():
        kinds[kind] += count
        if sender is not None:
            senders[sender] += count
    return dict(kinds.most_common()), dict(senders.most_common())
