"""The first pass over a file: detect its layout from the whole of it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TextIO

from pipeline.common.errors import ExportError
from pipeline.exports.exported_chat import DateOrder
from pipeline.exports.whatsapp.characters import APP_MARKS, OUTLINE
from pipeline.exports.whatsapp.dates import Days, OrderDecision, decide_order
from pipeline.exports.whatsapp.header_format import HeaderFormat, learn_format
from pipeline.exports.whatsapp.headers import HEADER, sender_pattern
from pipeline.exports.whatsapp.notices import body_topic

BLOCK = 1 << 18  # characters read at a time
# Of these many first headers, each is sampled; of the later ones, one in `_SAMPLE_EVERY`.
_SAMPLE_ALL = 10_000
_SAMPLE_EVERY = 10
_CLOSE_PART = 16  # once a format is known, one in this many characters is searched for others

# A header, what stands before the first colon, and what stands between it and the second.
_NAMES = r"(?:([^\r\n:]{1,80}): (?:([^\r\n:]{1,80}): )?)?"
_LINE = re.compile(HEADER.pattern + _NAMES)
_CLOSES, _FIRST, _SECOND = 9, 10, 11  # its groups
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Layout:
    """How to read one file: all that the second pass needs to know.

    `pattern` matches a header and its sender. `newline` is what ends a message: on iOS it is CR LF,
    and a bare LF is a line break within a message.
    """

    format: HeaderFormat
    pattern: re.Pattern[str]
    newline: str
    has_crlf: bool
    dates: OrderDecision
    starts_with_header: bool  # the first line of the file is a header
    marks_trusted: bool  # on iOS: a body that begins with a mark is the app's, known or not


@dataclass
class _Statistics:
    """What was counted: outlines of headers, their dates in file order, the line breaks before them
    (True is CR LF), what stands before the first and the second colon, and whether known
    placeholders begin with a mark."""

    outlines: Counter[str] = field(default_factory=Counter)
    dates: list[str] = field(default_factory=list)
    breaks: Counter[bool] = field(default_factory=Counter)
    starts_with_header: bool = False
    firsts: Counter[str | None] = field(default_factory=Counter)
    seconds: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    marked: Counter[bool] = field(default_factory=Counter)

    def note_date(self, date: str) -> None:
        if not self.dates or date != self.dates[-1]:
            self.dates.append(date)


def detect_layout(stream: TextIO, date_order: DateOrder, block: int = BLOCK) -> Layout | None:
    """Read `stream` to its end; None when it contains no header.

    `stream` must not translate line breaks. Raises ExportError when no date in it exists.
    """
    statistics = _collect(stream, block)
    header_format = learn_format(statistics.outlines)
    if header_format is None:
        return None
    crlf, lf = statistics.breaks[True], statistics.breaks[False]
    # An iOS file that went through an editor has lost every CR LF; otherwise they are the rule.
    newline = "\r\n" if header_format.platform == "ios" and crlf * 3 > lf else "\n"
    is_date = re.compile(header_format.date).fullmatch
    dates = [date for date in statistics.dates if is_date(date)]
    decision = decide_order(dates, date_order)
    days = Days(decision.order)
    if all(days[date] is None for date in dates):
        raise ExportError(
            f"no date in this export exists when read {decision.order}; set parse.date_order to"
            " auto or, if the phone has another calendar, switch it to the Gregorian and export"
            " again"
        )
    return Layout(
        format=header_format,
        pattern=header_format.pattern(newline, sender_pattern(_names_with_colons(statistics))),
        newline=newline,
        has_crlf=crlf > 0,
        dates=decision,
        starts_with_header=statistics.starts_with_header,
        marks_trusted=statistics.marked[True] >= statistics.marked[False],
    )


def _collect(stream: TextIO, block: int) -> _Statistics:
    """Search for headers of any format in the first blocks and at the beginning of each later one;
    elsewhere only for the format found so far, which is much faster."""
    statistics = _Statistics()
    number = 0
    known: re.Pattern[str] | None = None
    for text in _whole_lines(stream, block):
        head, rest = (text, "") if known is None else _split_lines(text, len(text) // _CLOSE_PART)
        for match in _LINE.finditer(head):
            if number < _SAMPLE_ALL:
                _sample(statistics, match, number, 1)
            elif number % _SAMPLE_EVERY == 0:
                weight = _SAMPLE_EVERY * (1 if known is None else _CLOSE_PART)
                _sample(statistics, match, number, weight)
            number += 1
            date, date1, first, second = match.group(2, 7, _FIRST, _SECOND)
            statistics.note_date(date or date1)
            statistics.firsts[first] += 1
            if second is not None:
                statistics.seconds[first][second] += 1
        if known is not None:
            _count_known(statistics, known.findall(rest))
        elif number >= _SAMPLE_ALL:
            header_format = learn_format(statistics.outlines)
            assert header_format is not None
            if not header_format.example.time_first:
                known = header_format.pattern("\n", _NAMES)
    return statistics


def _split_lines(text: str, position: int) -> tuple[str, str]:
    """Split `text` at the first line break from `position` on."""
    cut = text.find("\n", position)
    return (text, "") if cut < 0 else (text[:cut], text[cut:])


def _sample(statistics: _Statistics, match: re.Match[str], number: int, weight: int) -> None:
    """Note the form of one header, the `number`-th, which stands for `weight` headers."""
    text, start, end = match.string, match.start(), match.end(_CLOSES) + 1
    statistics.outlines[text[start:end].translate(OUTLINE)] += weight
    if start > 0:
        statistics.breaks[text[start - 1] == "\r"] += 1
    elif number == 0:
        statistics.starts_with_header = True
    if match[_CLOSES] == "]" and match[_FIRST] is not None:
        body = text[match.end(_FIRST) + 2 : match.end() + 100].partition("\n")[0].rstrip("\r")
        if body_topic(body):
            statistics.marked[body[0] in APP_MARKS] += 1


def _count_known(statistics: _Statistics, rows: list[tuple[str, str, str, str]]) -> None:
    """`rows`: date, time, and what stands before the first and the second colon, or ""."""
    for date, _ in groupby(map(itemgetter(0), rows)):
        statistics.note_date(date)
    statistics.firsts.update(map(itemgetter(2), rows))
    for *_, first, second in rows:
        if second:
            statistics.seconds[first][second] += 1


def _names_with_colons(statistics: _Statistics) -> list[str]:
    """Names such as `Work: Ann`: what all or nearly all lines that begin `Work: ` continue with.

    A person called Work would sometimes write something else.
    """
    names: list[str] = []
    for first, seconds in statistics.seconds.items():
        lines = statistics.firsts[first]
        repeated = [second for second, count in seconds.items() if count > 1]
        covered = sum(seconds[second] for second in repeated)
        if seconds.total() == lines and 2 * len(seconds) <= lines:
            repeated = list(seconds)
        elif covered < 0.9 * lines:
            continue
        names += (f"{first}: {second}" for second in repeated if _LETTER.search(second))
    return names


def _whole_lines(stream: TextIO, block: int) -> Iterator[str]:
    """The text in blocks of whole lines, each line after its line break.

    The first line gets a line break too, so that one precedes every header.
    """
    rest = ["\n"]
    while chunk := stream.read(block):
        cut = chunk.rfind("\n")
        if cut < 0:
            rest.append(chunk)
            continue
        whole = "".join(rest) + chunk[:cut]
        has_cr = whole.endswith("\r")
        yield whole.removesuffix("\r")
        rest = ["\r" * has_cr + chunk[cut:]]
    yield "".join(rest)
