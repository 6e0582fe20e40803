"""The second pass over a file: its messages, one by one, with the layout that `survey` found.

Only one block of text and one message at a time are in memory. The pattern of the layout begins
with a line break, so whatever lies between two matches is the body of a message, breaks, blank
lines and leading spaces included.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import TextIO

from pipeline.exports.whatsapp.characters import FIRST_UNSPACED, PLAIN
from pipeline.exports.whatsapp.dates import Clocks, Days
from pipeline.exports.whatsapp.message import Kind, Message
from pipeline.exports.whatsapp.notices import Piece, Reading, is_notice, notice_topic, unsent
from pipeline.exports.whatsapp.survey import BLOCK, Layout

EXAMPLES = 3
_LATE = timedelta(hours=1)  # how far a message may stand behind its time; clocks go back as far
_EARLY = timedelta(days=1)
_SOON = timedelta(days=1)  # the conversation into which it was pasted goes on
_LONGEST_PASTE = 30  # headers


# A message as it stands in the file: time, sender, body.
Raw = tuple[datetime, str | None, str]


@dataclass
class Tally:
    """What was read so far.

    `skipped` counts the lines before the first message; `unreadable` are the places of headers
    with a date or time that does not exist, `pasted` those of headers of strangers from
    another time: both stay in the text of the message before them. `unknown` counts what looks
    like the app's words and is in no table, with a few `examples`.
    """

    kinds: Counter[tuple[str | None, Kind]] = field(default_factory=Counter)
    days: dict[str, date | None] = field(default_factory=dict)
    skipped: int = 0
    unreadable: set[int] = field(default_factory=set)
    pasted: set[int] = field(default_factory=set)
    unknown: int = 0
    examples: list[str] = field(default_factory=list)

    def note_unknown(self, text: str) -> None:
        self.unknown += 1
        if len(self.examples) < EXAMPLES and text not in self.examples:
            self.examples.append(text)


def read(
    stream: TextIO,
    layout: Layout,
    conversation: int,
    tally: Tally,
    block: int = BLOCK,
    aliases: Mapping[str, str] | None = None,
) -> Iterator[Message]:
    """The messages of one chat, in the order of the file, counted into `tally` on the way.

    `aliases` is asked for the name of each sender as written, and knows all of them or none.
    """
    ios = layout.shape.platform == "ios"
    reading = Reading(ios, layout.marks_trusted)
    is_typed, kinds = reading.is_typed, tally.kinds
    typed: Counter[str] = Counter()
    names = _Names(ios, aliases)
    raws = _raw_messages(stream, layout, tally, block)
    try:
        for time, written, body in raws:
            sender = names[written]
            if sender is None and written is not None and names.is_notice(written, body):
                body = _rejoin(written, body)
            elif sender is None and written is not None:
                sender = names.add(written)
            if (
                sender is not None
                and body
                and is_typed(body)
                and not (ios and _begins_with(body, sender))
            ):
                typed[sender] += 1
                yield Message(time, sender, body, "text", conversation)
                continue
            for kind, text, known in _pieces(sender, body, ios, reading):
                whose = None if kind == "notice" else sender
                kinds[whose, kind] += 1
                if not known:
                    tally.note_unknown(text)
                yield Message(time, whose, text, kind, conversation)
    finally:
        kinds.update({(sender, "text"): count for sender, count in typed.items()})


class _Names(dict[str | None, str | None]):
    """The sender of each name as written; None for what is no name, or not known to be one yet."""

    def __init__(self, ios: bool, aliases: Mapping[str, str] | None) -> None:
        super().__init__()
        self._ios = ios
        self._aliases = aliases
        self[None] = None

    def __missing__(self, written: str | None) -> None:
        return None

    def is_notice(self, before_colon: str, after_colon: str) -> bool:
        return not self._ios and is_notice(before_colon, after_colon)

    def add(self, written: str) -> str:
        name = written.translate(PLAIN).strip() or written
        name = self._aliases[name] if self._aliases else name
        self[written] = name
        return name


def _rejoin(before_colon: str, after_colon: str) -> str:
    space = "" if after_colon.startswith("\n") or not after_colon else " "
    return f"{before_colon}:{space}{after_colon}"


def _begins_with(body: str, name: str) -> bool:
    """Whether the name stands before all else, as a word where words are parted."""
    after = body[len(name) : len(name) + 1]
    return body.startswith(name) and (not after.isalpha() or after >= FIRST_UNSPACED)


def _pieces(sender: str | None, body: str, ios: bool, reading: Reading) -> list[Piece]:
    if sender is None:
        return [unsent(body)]
    if not body:
        return [Piece("view_once", "")]
    if ios and _begins_with(body, sender) and notice_topic(body):
        return [Piece("notice", body)]  # it names who acts, as only the app does
    return reading.pieces(body)


def _raw_messages(stream: TextIO, layout: Layout, tally: Tally, block: int) -> Iterator[Raw]:
    """Cut the text at its headers. The last header of a block is found again with the next block,
    because only then is the end of its message known."""
    headers = _Headers(layout, tally)
    groups, spoken, combine = headers.groups, headers.spoken, datetime.combine
    days, clocks = headers.days, headers.clocks
    tidy = _with_plain_breaks(layout)
    rest, offset, begun = layout.newline, 0, False
    last: datetime | None = None  # when somebody last spoke
    while True:
        chunk = stream.read(block)
        text = rest + chunk
        begin = end = -1  # of the open message's header
        time, sender, until = datetime.min, None, -1
        for match in headers.finditer(text):
            day_text, clock_text, who = match.group(*groups)
            day, clock = days[day_text], clocks[clock_text]
            start = match.start()
            if day is None or clock is None:
                tally.unreadable.add(offset + start)
                continue
            when = combine(day, clock)
            if who not in spoken and begin >= 0 and start > until:
                pasted = headers.count_pasted(match, last, when, is_last_block=not chunk)
                if pasted is None:
                    break  # the next block tells
                until = headers.note(match, who, pasted, offset)
            if start <= until:
                continue
            if begin >= 0:
                body = text[end:start]
                yield time, sender, tidy(body) if tidy else body
            elif not begun:
                begun = True
                tally.skipped = text.count("\n", 0, start)
                spoken.add(who)
            begin, end, time, sender = start, match.end(), when, who
            if who is not None:
                last = when
        if not chunk:
            break
        keep = max(begin, 0)
        rest, offset = text[keep:], offset + keep
    if begin >= 0:
        body = text[end:].removesuffix("\n").removesuffix("\r")
        yield time, sender, tidy(body) if tidy else body


class _Headers:
    """What is known about the headers of one file while it is read.

    A header was pasted in the file's own form when it names somebody who has not spoken before and
    its time does not fit between its neighbours: an hour or more before the last message, though
    the next one goes on from there. On iOS the line breaks tell, and nothing has to be guessed.
    """

    def __init__(self, layout: Layout, tally: Tally) -> None:
        self.finditer = layout.pattern.finditer
        self.groups = (2, 1, 3) if layout.shape.example.time_first else (1, 2, 3)
        self.spoken: set[str | None] = {None}
        self._can_be_pasted = layout.newline == "\n"
        self.days = tally.days = Days(layout.dates.order)
        self.clocks = Clocks()
        self._tally = tally

    def time(self, day_text: str, clock_text: str) -> datetime | None:
        """None if there is no such date or time."""
        day, clock = self.days[day_text], self.clocks[clock_text]
        return None if day is None or clock is None else datetime.combine(day, clock)

    def count_pasted(
        self, match: re.Match[str], last: datetime | None, time: datetime, is_last_block: bool
    ) -> int | None:
        """How many headers from `match` on were pasted; None if more text must be read to tell."""
        if not self._can_be_pasted or last is None or last - _LATE <= time <= last + _EARLY:
            return 0
        following = islice(self.finditer(match.string, match.end()), _LONGEST_PASTE)
        found = [self.time(*later.group(*self.groups)[:2]) for later in following]
        later = [when for when in found if when is not None]
        if len(found) < _LONGEST_PASTE and not is_last_block:
            return None
        if time > last:
            return int(bool(later) and last <= later[0] <= last + _SOON < time - _EARLY)
        goes_on = ((n, when) for n, when in enumerate(later, 1) if when >= last - _LATE)
        count, when = next(goes_on, (0, last))
        return count if when <= last + _SOON else 0

    def note(self, match: re.Match[str], who: str | None, pasted: int, offset: int) -> int:
        """Record a decision; returns where the last header begins that is to be passed over."""
        if not pasted:
            self.spoken.add(who)
            return -1
        headers = [match, *islice(self.finditer(match.string, match.end()), pasted - 1)]
        self._tally.pasted.update(offset + header.start() for header in headers)
        return headers[-1].start()


def _with_plain_breaks(layout: Layout) -> Callable[[str], str] | None:
    """What makes every line break within a body a newline; None if they are."""
    if not layout.has_crlf:
        return None
    if layout.newline == "\n":
        return lambda text: text.removesuffix("\r").replace("\r\n", "\n")
    return lambda text: text.replace("\r\n", "\n")
