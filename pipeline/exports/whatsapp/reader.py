"""Read a WhatsApp transcript: detect its layout, then yield its messages one by one.

Only one block of text and one message are in memory at a time. The pattern of the layout begins
with a line break, so what stands between two matches is the body of a message, with its line
breaks, blank lines and leading spaces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import TextIO

from pipeline.exports.aliases import Aliases
from pipeline.exports.exported_chat import Chat, DateOrder, Tally
from pipeline.exports.message import Message
from pipeline.exports.sources import Source
from pipeline.exports.whatsapp.characters import FIRST_UNSPACED, PLAIN
from pipeline.exports.whatsapp.dates import Clocks, Days
from pipeline.exports.whatsapp.layout import BLOCK, Layout, detect_layout
from pipeline.exports.whatsapp.notices import (
    BodyClassifier,
    Piece,
    classify_unsent,
    is_notice,
    notice_topic,
)

# A header of somebody who has not spoken yet was pasted when its time is off by more than this …
_MAX_LATE = timedelta(hours=1)  # behind the last message; clocks go back by as much
_MAX_AHEAD = timedelta(days=1)  # of it
_MAX_PAUSE = timedelta(days=1)  # … and the conversation then continues within this time.
_MAX_PASTED = 30  # headers in one paste

# A message as it stands in the file: time, sender, body.
RawMessage = tuple[datetime, str | None, str]


def open_chats(source: Source, date_order: DateOrder) -> list[Chat]:
    """The chat in the file; none when no line looks like a header."""
    with source.text() as stream:
        layout = detect_layout(stream, date_order)
    if layout is None:
        return []

    def read(number: int, tally: Tally, aliases: Aliases) -> Iterator[Message]:
        with source.text() as stream:
            yield from read_messages(stream, layout, number, tally, aliases=aliases)

    return [
        Chat(
            source,
            layout.format.platform,
            read,
            header=layout.format.describe(layout.dates.order),
            date_order=layout.dates.order,
            date_order_guessed=layout.dates.guessed,
            share=layout.format.share,
            starts_with_header=layout.starts_with_header,
        )
    ]


def read_messages(
    stream: TextIO,
    layout: Layout,
    conversation: int,
    tally: Tally,
    block: int = BLOCK,
    aliases: Mapping[str, str] | None = None,
) -> Iterator[Message]:
    """The messages of one chat in file order, counted into `tally`."""
    ios = layout.format.platform == "ios"
    classifier = BodyClassifier(ios, layout.marks_trusted)
    senders: dict[str | None, str] = {}  # as written → the person's name
    days = Days(layout.dates.order)
    texts: Counter[str] = Counter()  # by sender; the fast path counts into this alone
    try:
        for time, written, body in _raw_messages(stream, layout, days, tally, block):
            sender = senders.get(written)
            if sender is None and written is not None:
                if not ios and is_notice(written, body):
                    space = "" if body.startswith("\n") or not body else " "
                    body = f"{written}:{space}{body}"
                else:
                    name = written.translate(PLAIN).strip() or written
                    sender = senders[written] = name if aliases is None else aliases[name]
            if (
                sender is not None
                and body
                and classifier.is_typed(body)
                and not (ios and _begins_with_name(body, sender))
            ):
                texts[sender] += 1
                yield Message(time, sender, body, "text", conversation)
                continue
            for kind, text, known in _pieces(sender, body, ios, classifier):
                whose = None if kind == "notice" else sender
                tally.kinds[whose, kind] += 1
                if not known:
                    tally.note_unknown(text)
                yield Message(time, whose, text, kind, conversation)
    finally:
        tally.kinds.update({(sender, "text"): count for sender, count in texts.items()})
        for day in filter(None, days.values()):
            tally.note_day(day)


def _pieces(sender: str | None, body: str, ios: bool, classifier: BodyClassifier) -> list[Piece]:
    if sender is None:
        return [classify_unsent(body)]
    if not body:
        return [Piece("view_once", "")]
    if ios and _begins_with_name(body, sender) and notice_topic(body):
        return [Piece("notice", body)]  # only the app names who acts
    return classifier.pieces(body)


def _begins_with_name(body: str, name: str) -> bool:
    """Whether `body` begins with `name` as a whole word, in scripts that have spaces."""
    after = body[len(name) : len(name) + 1]
    return body.startswith(name) and (not after.isalpha() or after >= FIRST_UNSPACED)


def _raw_messages(
    stream: TextIO, layout: Layout, days: Days, tally: Tally, block: int
) -> Iterator[RawMessage]:
    """Cut the text at its headers.

    The last header of a block is matched again with the next block, because only then is the end of
    its message known.
    """
    headers = _Headers(layout, days, tally)
    groups, spoken, clocks = headers.groups, headers.spoken, headers.clocks
    combine, clean_breaks = datetime.combine, _line_break_cleaner(layout)
    rest, offset, started = layout.newline, 0, False
    last_spoken: datetime | None = None
    while True:
        chunk = stream.read(block)
        text = rest + chunk
        start = end = -1  # of the header of the open message
        time, sender = datetime.min, None
        pasted_until = -1
        for match in headers.finditer(text):
            day_text, clock_text, who = match.group(*groups)
            day, clock = days[day_text], clocks[clock_text]
            position = match.start()
            if day is None or clock is None:
                tally.unreadable.add(offset + position)
                continue
            when = combine(day, clock)
            if who not in spoken and start >= 0 and position > pasted_until:
                pasted = headers.count_pasted(match, last_spoken, when, is_last_block=not chunk)
                if pasted is None:
                    break  # the next block decides
                if pasted:
                    pasted_until = headers.skip(match, pasted, offset)
                else:
                    pasted_until = -1
                    spoken.add(who)
            if position <= pasted_until:
                continue
            if start >= 0:
                body = text[end:position]
                yield time, sender, clean_breaks(body) if clean_breaks else body
            elif not started:
                started = True
                tally.skipped = text.count("\n", 0, position)
                spoken.add(who)
            start, end, time, sender = position, match.end(), when, who
            if who is not None:
                last_spoken = when
        if not chunk:
            break
        keep = max(start, 0)
        rest, offset = text[keep:], offset + keep
    if start >= 0:
        body = text[end:].removesuffix("\n").removesuffix("\r")
        yield time, sender, clean_breaks(body) if clean_breaks else body


class _Headers:
    """Matches headers and recognizes those that were pasted from another chat.

    A header in the file's own format was pasted when it names somebody who has not spoken yet and
    its time does not fit between its neighbors: far from the last message, although the next one
    continues from there. On iOS the line breaks tell, and nothing has to be guessed.
    """

    def __init__(self, layout: Layout, days: Days, tally: Tally) -> None:
        self.finditer = layout.pattern.finditer
        self.groups = (2, 1, 3) if layout.format.example.time_first else (1, 2, 3)
        self.spoken: set[str | None] = {None}
        self.clocks = Clocks()
        self._can_be_pasted = layout.newline == "\n"
        self._days = days
        self._tally = tally

    def _time(self, match: re.Match[str]) -> datetime | None:
        """None if there is no such date or time."""
        day_text, clock_text, _ = match.group(*self.groups)
        day, clock = self._days[day_text], self.clocks[clock_text]
        return None if day is None or clock is None else datetime.combine(day, clock)

    def count_pasted(
        self, match: re.Match[str], last: datetime | None, time: datetime, is_last_block: bool
    ) -> int | None:
        """How many headers from `match` on were pasted; None if more text is needed to tell.

        `last` is when somebody last spoke, `time` the time of `match`.
        """
        if not self._can_be_pasted or last is None or last - _MAX_LATE <= time <= last + _MAX_AHEAD:
            return 0
        following = islice(self.finditer(match.string, match.end()), _MAX_PASTED)
        times = [self._time(header) for header in following]
        if len(times) < _MAX_PASTED and not is_last_block:
            return None
        later = [when for when in times if when is not None]
        if time > last:
            return int(bool(later) and last <= later[0] <= last + _MAX_PAUSE < time - _MAX_AHEAD)
        continues = ((n, when) for n, when in enumerate(later, 1) if when >= last - _MAX_LATE)
        count, when = next(continues, (0, last))
        return count if when <= last + _MAX_PAUSE else 0

    def skip(self, match: re.Match[str], count: int, offset: int) -> int:
        """Note `count` headers from `match` on as pasted; returns where the last of them begins."""
        headers = [match, *islice(self.finditer(match.string, match.end()), count - 1)]
        self._tally.pasted.update(offset + header.start() for header in headers)
        return headers[-1].start()


def _line_break_cleaner(layout: Layout) -> Callable[[str], str] | None:
    """A function that makes every line break in a body a newline; None if they already are."""
    if not layout.has_crlf:
        return None
    if layout.newline == "\n":
        return lambda text: text.removesuffix("\r").replace("\r\n", "\n")
    return lambda text: text.replace("\r\n", "\n")
