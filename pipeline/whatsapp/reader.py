"""The second pass over a file: its messages, one by one, with the layout that `survey` found.

Only one block of text and one message at a time are in memory. The pattern of the layout begins
with a line break, so whatever lies between two matches is the body of a message, breaks, blank
lines and leading spaces included.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import TextIO

from pipeline.whatsapp.characters import PLAIN
from pipeline.whatsapp.dates import Clocks, Days
from pipeline.whatsapp.message import Kind, Message
from pipeline.whatsapp.notices import Piece, Reading, is_notice, notice_topic, unsent
from pipeline.whatsapp.survey import BLOCK, Layout

EXAMPLES = 3
_LATE = timedelta(hours=1)  # how far a message may stand behind its time; clocks go back as far
_EARLY = timedelta(days=1)
_SOON = timedelta(days=1)  # the conversation into which it was pasted goes on
_LONGEST_PASTE = 30  # headers


# A message as it stands in the file: time, sender, body, header.
Raw = tuple[datetime, str | None, str, re.Match[str]]


@dataclass
class Tally:
    """What was read so far.

    `skipped` counts the lines before the first message; `unreadable` are the places of headers
    with a date or time that does not exist, `pasted` counts headers of strangers from another
    time: both stay in the text of the message before them. `unknown` counts what looks like the
    app's words and is in no table, with a few `examples`.
    """

    kinds: Counter[tuple[str | None, Kind]] = field(default_factory=Counter)
    days: dict[str, date | None] = field(default_factory=dict)
    skipped: int = 0
    unreadable: set[int] = field(default_factory=set)
    pasted: int = 0
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
    if layout.newline == "\n":
        raws = _without_pasted(raws, tally)
    try:
        for time, written, body, _ in raws:
            sender = names[written]
            if sender is None and written is not None and names.is_notice(written, body):
                body = _rejoin(written, body)
            elif sender is None and written is not None:
                sender = names.add(written)
            if (
                sender is not None
                and body
                and is_typed(body)
                and not (ios and body.startswith(sender))
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


def _pieces(sender: str | None, body: str, ios: bool, reading: Reading) -> list[Piece]:
    if sender is None:
        return [unsent(body)]
    if not body:
        return [Piece("view_once", "")]
    if ios and body.startswith(sender) and notice_topic(body):
        return [Piece("notice", body)]  # it names who acts, as only the app does
    return reading.pieces(body)


def _raw_messages(stream: TextIO, layout: Layout, tally: Tally, block: int) -> Iterator[Raw]:
    """Cut the text at its headers. The last header of a block is found again with the next block,
    because only then is the end of its message known."""
    days = tally.days = Days(layout.dates.order)
    clocks = Clocks()
    groups = (2, 1, 3) if layout.shape.example.time_first else (1, 2, 3)
    tidy = _with_plain_breaks(layout)
    combine, finditer = datetime.combine, layout.pattern.finditer
    rest, offset, begun = layout.newline, 0, False
    while True:
        chunk = stream.read(block)
        text = rest + chunk
        header: re.Match[str] | None = None
        time, sender = datetime.min, None
        for match in finditer(text):
            day_text, clock_text, who = match.group(*groups)
            day, clock = days[day_text], clocks[clock_text]
            if day is None or clock is None:
                tally.unreadable.add(offset + match.start())
                continue
            if header is not None:
                body = text[header.end() : match.start()]
                yield time, sender, tidy(body) if tidy else body, header
            elif not begun:
                begun = True
                tally.skipped = text.count("\n", 0, match.start())
            header, time, sender = match, combine(day, clock), who
        if not chunk:
            break
        keep = header.start() if header is not None else 0
        rest, offset = text[keep:], offset + keep
    if header is not None:
        body = text[header.end() :].removesuffix("\n").removesuffix("\r")
        yield time, sender, tidy(body) if tidy else body, header


def _with_plain_breaks(layout: Layout) -> Callable[[str], str] | None:
    """What makes every line break within a body a newline; None if they are."""
    if not layout.has_crlf:
        return None
    if layout.newline == "\n":
        return lambda text: text.removesuffix("\r").replace("\r\n", "\n")
    return lambda text: text.replace("\r\n", "\n")


def _without_pasted(raws: Iterator[Raw], tally: Tally) -> Iterator[Raw]:
    """Give back to a message the headers that were pasted into it in the file's own form.

    Such a header names somebody who has not spoken before, and its time does not fit between its
    neighbours: an hour or more before the last message, though the next one goes on from there.
    """
    ahead: deque[Raw] = deque()
    spoken: set[str | None] = {None}
    held: Raw | None = None
    last: datetime | None = None  # when somebody last spoke
    while (raw := ahead.popleft() if ahead else next(raws, None)) is not None:
        time, written, _, _ = raw
        if written not in spoken:
            if held is not None and last is not None:
                ahead.extend(islice(raws, _LONGEST_PASTE - len(ahead)))
                count = _count_pasted(last, time, [later for later, *_ in ahead])
                if count:
                    tally.pasted += count
                    held = _rejoined(held, [raw, *(ahead.popleft() for _ in range(count - 1))])
                    continue
            spoken.add(written)
        if held is not None:
            yield held
        held = raw
        if written is not None:
            last = time
    if held is not None:
        yield held


def _count_pasted(last: datetime, time: datetime, later: list[datetime]) -> int:
    """How many messages, the first of them of `time`, were pasted into one of time `last`."""
    if time < last - _LATE:
        goes_on = ((n, when) for n, when in enumerate(later, 1) if when >= last - _LATE)
        count, when = next(goes_on, (0, last))
        return count if when <= last + _SOON else 0
    return int(bool(later) and last <= later[0] <= last + _SOON < time - _EARLY)


def _rejoined(held: Raw, pasted: list[Raw]) -> Raw:
    time, written, body, header = held
    return time, written, body + "".join(match[0] + text for _, _, text, match in pasted), header
