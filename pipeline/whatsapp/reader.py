"""The second pass over a file: its messages, one by one, with the layout that `survey` found.

Only one block of text and one message at a time are in memory. The pattern of the layout begins
with a line break, so whatever lies between two matches is the body of a message, breaks, blank
lines and leading spaces included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TextIO

from pipeline.whatsapp.characters import PLAIN
from pipeline.whatsapp.dates import Clocks, Days
from pipeline.whatsapp.message import Kind, Message
from pipeline.whatsapp.notices import Piece, is_notice, notice_topic, pieces, unsent_kind
from pipeline.whatsapp.survey import BLOCK, Layout

Raw = tuple[datetime, str | None, str]  # time, sender as written, body
Header = tuple[int, int, datetime, str | None]  # start, end, time, sender as written


@dataclass
class Tally:
    """What was read so far.

    `skipped` counts the lines before the first message; `unreadable` are the places of headers
    with a date or time that does not exist, which stay in the text of the message before them.
    """

    kinds: Counter[tuple[str | None, Kind]] = field(default_factory=Counter)
    days: dict[str, date | None] = field(default_factory=dict)
    skipped: int = 0
    unreadable: set[int] = field(default_factory=set)


def read(
    stream: TextIO, layout: Layout, conversation: int, tally: Tally, block: int = BLOCK
) -> Iterator[Message]:
    """The messages of one chat, in the order of the file, counted into `tally` on the way."""
    ios = layout.shape.platform == "ios"
    names: dict[str, str] = {}
    for time, written, body in _raw_messages(stream, layout, tally, block):
        sender = names.get(written) if written else None
        if written and sender is None:
            if not ios and is_notice(written, body):
                body = _rejoin(written, body)
            else:
                sender = names[written] = written.translate(PLAIN).strip()
        for kind, text in _pieces(sender, body, ios):
            whose = None if kind == "notice" else sender
            tally.kinds[whose, kind] += 1
            yield Message(time, whose, text, kind, conversation)


def _rejoin(before_colon: str, after_colon: str) -> str:
    space = "" if after_colon.startswith("\n") or not after_colon else " "
    return f"{before_colon}:{space}{after_colon}"


def _pieces(sender: str | None, body: str, ios: bool) -> list[Piece]:
    if sender is None:
        return [(unsent_kind(body), body)]
    if not body:
        return [("view_once", "")]
    if ios and body.startswith(sender) and notice_topic(body):
        return [("notice", body)]  # it names who acts, as only the app does
    return pieces(body, ios)


def _raw_messages(stream: TextIO, layout: Layout, tally: Tally, block: int) -> Iterator[Raw]:
    """Cut the text at its headers. The last header of a block is found again with the next block,
    because only then is the end of its message known."""
    headers = _Headers(layout, tally)
    body = _with_plain_breaks(layout)
    rest, offset = layout.newline, 0
    while True:
        chunk = stream.read(block)
        text = rest + chunk
        last = None
        for header in headers.find(text, offset):
            if last is not None:
                yield last[2], last[3], body(text[last[1] : header[0]])
            last = header
        if not chunk:
            break
        keep = last[0] if last is not None else 0
        rest, offset = text[keep:], offset + keep
    if last is not None:
        yield last[2], last[3], body(text[last[1] :].removesuffix("\n").removesuffix("\r"))


def _with_plain_breaks(layout: Layout) -> Callable[[str], str]:
    """What makes every line break within a body a newline."""
    if not layout.has_crlf:
        return str
    if layout.newline == "\n":
        return lambda text: text.removesuffix("\r").replace("\r\n", "\n")
    return lambda text: text.replace("\r\n", "\n")


class _Headers:
    """Finds the headers in a text, and makes times of what they say."""

    def __init__(self, layout: Layout, tally: Tally) -> None:
        self._finditer = layout.pattern.finditer
        self._time_first = layout.shape.example.time_first
        self._days = tally.days = Days(layout.dates.order)
        self._clocks = Clocks()
        self._tally = tally
        self._begun = False

    def find(self, text: str, offset: int) -> Iterator[Header]:
        """`offset` is where `text` begins in the file, in characters."""
        days, clocks, time_first = self._days, self._clocks, self._time_first
        for match in self._finditer(text):
            first, second, sender = match.groups()
            day, clock = (
                days[second if time_first else first],
                clocks[first if time_first else second],
            )
            if day is None or clock is None:
                self._tally.unreadable.add(offset + match.start())
                continue
            if not self._begun:
                self._begun = True
                self._tally.skipped = text.count("\n", 0, match.start())
            yield match.start(), match.end(), datetime.combine(day, clock), sender
