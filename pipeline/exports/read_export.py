"""Open an export, in any format and wherever its files are: `read_export` is the entry point."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import ExportError, SettingsError
from pipeline.exports import message_table, telegram
from pipeline.exports.aliases import Aliases
from pipeline.exports.exported_chat import DATE_ORDERS, Chat, ChatReport, DateOrder, Tally
from pipeline.exports.message import Message
from pipeline.exports.sources import Source, find_sources
from pipeline.exports.whatsapp import reader as whatsapp

IOS_TRANSCRIPT = "_chat.txt"


@dataclass(frozen=True)
class Format:
    """A kind of export file: how to recognize it, and how to open it.

    A file with one of the `suffixes` is read as this format. A folder or an archive also holds
    other files, so in these only a file whose name matches `in_folders` is considered; with None,
    the user has to name the file itself.
    """

    suffixes: tuple[str, ...]
    in_folders: re.Pattern[str] | None
    open_chats: Callable[[Source, DateOrder], list[Chat]]


# The first row whose suffixes fit decides; WhatsApp's takes any text.
FORMATS = (
    Format((".csv", ".jsonl", ".ndjson"), None, message_table.open_chats),
    Format((".json",), re.compile(r"result\.json"), telegram.open_chats),
    Format(("",), re.compile(r".+\.txt", re.IGNORECASE), whatsapp.open_chats),
)


def _is_export(name: str) -> bool:
    """Whether a file of this name in a folder or an archive may be a chat."""
    return any(row.in_folders and row.in_folders.fullmatch(name) for row in FORMATS)


def _open_chats(source: Source, date_order: DateOrder) -> list[Chat]:
    name = source.name.lower()
    row = next(row for row in FORMATS if name.endswith(row.suffixes))
    return row.open_chats(source, date_order)


@dataclass(frozen=True)
class ExportReport:
    """What was understood of an export. `ignored` are the files that hold no chat."""

    chats: tuple[ChatReport, ...]
    ignored: tuple[str, ...]

    @property
    def senders(self) -> dict[str, int]:
        """Messages by sender over all chats, most frequent first."""
        total: Counter[str] = Counter()
        for chat in self.chats:
            total.update(chat.senders)
        return dict(total.most_common())


class Export:
    """The chats of an export. Iterating `messages` reads the files; nothing stays in memory."""

    def __init__(self, chats: Sequence[Chat], ignored: Sequence[str], aliases: Aliases) -> None:
        self.chats = chats
        self._ignored = tuple(ignored)
        self._aliases = aliases
        self._report: ExportReport | None = None

    @property
    def messages(self) -> Iterator[Message]:
        """Every message, chat by chat, in file order; `conversation` is the number of the chat."""
        reports = []
        for number, chat in enumerate(self.chats):
            tally = Tally()
            yield from chat.read(number, tally, self._aliases)
            reports.append(chat.report(tally))
        self._report = ExportReport(tuple(reports), self._ignored)

    @property
    def report(self) -> ExportReport:
        """What was understood; reads the files unless `messages` has been read to the end."""
        if self._report is None:
            for _ in self.messages:
                pass
        assert self._report is not None
        return self._report


def read_export(path: Path, date_order: DateOrder = "auto", aliases: Sequence[str] = ()) -> Export:
    """Open an exported chat.

    `path` is what WhatsApp exported (a .txt, a .zip with or without media, or a folder of them),
    Telegram's result.json, or a table (.csv, .jsonl) of times, senders and texts. `date_order`
    decides how to read 03/04/2024 when the file alone does not tell; `aliases` are rows for
    `Aliases`. Raises ExportError when nothing in `path` can be read as a chat, SettingsError for a
    bad `date_order` or alias.
    """
    if date_order not in DATE_ORDERS:
        raise SettingsError(
            f"parse.date_order is {date_order!r}; choose one of {', '.join(DATE_ORDERS)}"
        )
    sources = find_sources(path, _is_export)
    chats: list[Chat] = []
    ignored: list[str] = []
    first_error: ExportError | None = None
    for source in sources:
        try:
            opened = _open_chats(source, date_order)
        except ExportError as error:
            first_error, opened = first_error or error, []
        chats += opened
        if not opened:
            ignored.append(source.name)
    chats, documents = _without_documents(chats)
    if not chats:
        raise first_error or ExportError(_why_no_chat(path, sources))
    return Export(chats, ignored + documents, Aliases(aliases))


def _without_documents(chats: list[Chat]) -> tuple[list[Chat], list[str]]:
    """Separate the chats from text files that were sent in a chat; returns the names of these.

    A chat has the name that iOS gives it, or begins with a header. A zip that holds a file of that
    name holds no other chat beside it. If this leaves nothing, everything counts as a chat.
    """
    transcripts = [chat for chat in chats if Path(chat.source.name).name == IOS_TRANSCRIPT]
    ios_zips = {chat.source.folder for chat in transcripts if "/" in chat.source.name}
    likely = [
        chat
        for chat in chats
        if chat in transcripts or (chat.starts_with_header and chat.source.folder not in ios_zips)
    ]
    kept = likely or chats
    return kept, [chat.source.name for chat in chats if chat not in kept]


def _why_no_chat(path: Path, sources: list[Source]) -> str:
    if not sources and _holds_zips(path):
        return f"{path.name} holds other zip files; unpack it and give the folder"
    if not sources:
        reason = "holds no .txt file"
    elif len(sources) == 1 and sources[0].is_empty():
        reason = "is empty"
    else:
        reason = "has no line that begins like a WhatsApp message"
    return (
        f"{path.name} {reason}; export the chat in WhatsApp (More > Export chat) and give that file"
    )


def _holds_zips(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.lower().endswith(".zip") for name in archive.namelist())
