"""A whole export, whatever the user gave: its chats, their messages, and what was understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline.errors import ExportError
from pipeline.whatsapp.dates import DateOrder, FoundOrder, check_date_order
from pipeline.whatsapp.headers import Platform
from pipeline.whatsapp.message import Kind, Message
from pipeline.whatsapp.reader import Tally, read
from pipeline.whatsapp.sources import Source, find_sources
from pipeline.whatsapp.survey import Layout, survey

IOS_TRANSCRIPT = "_chat.txt"


@dataclass(frozen=True)
class ChatReport:
    """What was understood of one chat."""

    file: str
    platform: Platform
    header: str  # such as "[dd/mm/yyyy, hh:mm:ss] "
    date_order: FoundOrder
    date_order_guessed: bool
    first_day: date | None
    last_day: date | None
    kinds: dict[Kind, int]
    senders: dict[str, int]  # messages of any kind, most first
    skipped_lines: int  # before the first message
    unreadable_headers: int  # an impossible date or time; kept as text of the message before


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


@dataclass(frozen=True)
class Chat:
    """One chat of an export: where it is and how to read it."""

    source: Source
    layout: Layout


class Export:
    """What `read_export` found. Iterating `messages` reads the files; nothing is kept of them."""

    def __init__(self, chats: list[Chat], ignored: list[str]) -> None:
        self.chats = chats
        self._ignored = ignored
        self._report: Report | None = None

    @property
    def messages(self) -> Iterator[Message]:
        """Every message, chat by chat, in file order; `conversation` is the chat's number."""
        reports = []
        for number, chat in enumerate(self.chats):
            tally = Tally()
            with chat.source.text() as stream:
                yield from read(stream, chat.layout, number, tally)
            reports.append(_chat_report(chat, tally))
        self._report = Report(tuple(reports), tuple(self._ignored))

    @property
    def report(self) -> Report:
        """What was understood; reads the files once if nobody has read them to the end yet."""
        if self._report is None:
            for _ in self.messages:
                pass
        assert self._report is not None
        return self._report


def read_export(path: Path, date_order: DateOrder = "auto") -> Export:
    """Open what WhatsApp exported: a .txt, a .zip with or without media, or a folder of them.

    `date_order` settles 03/04/2024 where the file alone cannot. Raises ExportError when nothing
    there can be read as a chat.
    """
    check_date_order(date_order)
    chats: list[Chat] = []
    ignored: list[str] = []
    sources = find_sources(path)
    for source in sources:
        try:
            with source.text() as stream:
                layout = survey(stream, date_order)
        except ExportError:
            if len(sources) == 1:
                raise
            layout = None
        if layout is None:
            ignored.append(source.name)
        else:
            chats.append(Chat(source, layout))
    chats, documents = _without_documents(chats)
    if not chats:
        raise ExportError(_no_chat(path, sources))
    return Export(chats, ignored + documents)


def _without_documents(chats: list[Chat]) -> tuple[list[Chat], list[str]]:
    """Set aside texts that somebody sent in the chat: beside a chat, what only mentions headers.

    A chat is named as iOS names it, or begins with a header; when none is, all are chats.
    """
    named = {c.source.folder for c in chats if c.source.name.endswith(IOS_TRANSCRIPT)}
    likely = [
        chat
        for chat in chats
        if chat.source.name.endswith(IOS_TRANSCRIPT)
        or (chat.layout.starts_at_once and chat.source.folder not in named)
    ]
    kept = likely or chats
    return kept, [chat.source.name for chat in chats if chat not in kept]


def _no_chat(path: Path, sources: list[Source]) -> str:
    if not sources:
        found = "holds no .txt file"
    elif len(sources) == 1 and _is_empty(sources[0]):
        found = "is empty"
    else:
        found = "has no line that begins like a WhatsApp message"
    return (
        f"{path.name} {found}; export the chat in WhatsApp (More > Export chat) and give that file"
    )


def _is_empty(source: Source) -> bool:
    with source.text() as stream:
        return not stream.read(1)


def _chat_report(chat: Chat, tally: Tally) -> ChatReport:
    kinds: Counter[Kind] = Counter()
    senders: Counter[str] = Counter()
    for (sender, kind), count in tally.kinds.items():
        kinds[kind] += count
        if sender is not None:
            senders[sender] += count
    shape, dates = chat.layout.shape, chat.layout.dates
    days = [day for day in tally.days.values() if day is not None]
    return ChatReport(
        file=chat.source.name,
        platform=shape.platform,
        header=shape.describe(dates.order),
        date_order=dates.order,
        date_order_guessed=dates.guessed,
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        kinds=dict(kinds.most_common()),
        senders=dict(senders.most_common()),
        skipped_lines=tally.skipped,
        unreadable_headers=len(tally.unreadable),
    )
