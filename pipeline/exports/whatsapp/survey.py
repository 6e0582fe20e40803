"""The first pass over a file: which of all forms it has, decided over the whole of it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TextIO

from pipeline.common.errors import ExportError
from pipeline.exports.whatsapp.characters import APP_MARKS, OUTLINE
from pipeline.exports.whatsapp.dates import DateOrder, Days, Verdict, decide_order
from pipeline.exports.whatsapp.headers import HEADER, sender
from pipeline.exports.whatsapp.notices import body_topic
from pipeline.exports.whatsapp.shape import Shape, learn

BLOCK = 1 << 18  # characters read at a time
_ALL_OF = 10_000  # headers at first, of which every one is outlined
_ONE_IN = 10  # later
_PART = 16  # of a block is looked at closely later

# A header, what stands before the first colon and what between it and the second.
_NAMES = r"(?:([^\r\n:]{1,80}): (?:([^\r\n:]{1,80}): )?)?"
_LINE = re.compile(HEADER.pattern + _NAMES)
_SIGN, _FIRST, _SECOND = 9, 10, 11  # its groups


_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Layout:
    """How to read one file: all that the second pass has to know.

    `newline` is what ends a message: on iOS CR LF does, and a bare LF is a break within one.
    """

    shape: Shape
    pattern: re.Pattern[str]
    newline: str
    has_crlf: bool
    dates: Verdict
    starts_at_once: bool  # the file's first line is a header
    marks_trusted: bool  # on iOS: what begins with a mark is the app's, known or not


@dataclass
class _Survey:
    """What was seen: outlines of headers, their dates in turn, the line breaks before them, what
    stands before colons, and known placeholders with (True) and without a mark."""

    outlines: Counter[str] = field(default_factory=Counter)
    dates: list[str] = field(default_factory=list)
    breaks: Counter[bool] = field(default_factory=Counter)  # True: CR LF
    starts_at_once: bool = False
    firsts: Counter[str | None] = field(default_factory=Counter)
    seconds: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    marked: Counter[bool] = field(default_factory=Counter)

    def note_date(self, date: str) -> None:
        if not self.dates or date != self.dates[-1]:
            self.dates.append(date)


def survey(stream: TextIO, date_order: DateOrder, block: int = BLOCK) -> Layout | None:
    """Read `stream` to its end; None when it holds no header at all.

    `stream` must not translate line breaks. Raises ExportError when no date in it exists.
    """
    seen = _look(stream, block)
    shape = learn(seen.outlines)
    if shape is None:
        return None
    crlf, lf = seen.breaks[True], seen.breaks[False]
    # An iOS file that went through an editor has lost all its CR LF; otherwise they are the rule.
    newline = "\r\n" if shape.platform == "ios" and crlf * 3 > lf else "\n"
    is_date = re.compile(shape.date).fullmatch
    dates = [date for date in seen.dates if is_date(date)]
    verdict = decide_order(dates, date_order)
    _refuse_impossible(dates, verdict)
    return Layout(
        shape=shape,
        pattern=shape.pattern(newline, sender(_names_with_colons(seen))),
        newline=newline,
        has_crlf=crlf > 0,
        dates=verdict,
        starts_at_once=seen.starts_at_once,
        marks_trusted=seen.marked[True] >= seen.marked[False],
    )


def _refuse_impossible(dates: list[str], verdict: Verdict) -> None:
    days = Days(verdict.order)
    if all(days[date] is None for date in dates):
        raise ExportError(
            f"no date in this export exists when read {verdict.order}; set parse.date_order to auto"
            " or, if the phone has another calendar, switch it to the Gregorian and export again"
        )


def _look(stream: TextIO, block: int) -> _Survey:
    """Every header of the first blocks and of the beginning of each later one is looked at by the
    pattern of all forms; the others by that of the form found so far, which is much quicker."""
    seen = _Survey()
    number, quick = 0, None
    for text in _whole_lines(stream, block):
        head, rest = (text, "") if quick is None else _cut(text, len(text) // _PART)
        for match in _LINE.finditer(head):
            if number < _ALL_OF:
                _look_closely(seen, match, number, 1)
            elif number % _ONE_IN == 0:
                _look_closely(seen, match, number, _ONE_IN * (1 if quick is None else _PART))
            number += 1
            date, date1, first, second = match.group(2, 7, _FIRST, _SECOND)
            seen.note_date(date or date1)
            seen.firsts[first] += 1
            if second is not None:
                seen.seconds[first][second] += 1
        if quick is not None:
            _look_quickly(seen, quick.findall(rest))
        elif number >= _ALL_OF:
            shape = learn(seen.outlines)
            assert shape is not None
            quick = shape.pattern("\n", _NAMES) if not shape.example.time_first else None
    return seen


def _cut(text: str, place: int) -> tuple[str, str]:
    """Two parts of whole lines, about there."""
    cut = text.find("\n", place)
    return (text, "") if cut < 0 else (text[:cut], text[cut:])


def _look_quickly(seen: _Survey, rows: list[tuple[str, str, str, str]]) -> None:
    """`rows`: date, time, and what stands before the first and the second colon, or nothing."""
    for date, _ in groupby(map(itemgetter(0), rows)):
        seen.note_date(date)
    seen.firsts.update(map(itemgetter(2), rows))
    for *_, first, second in rows:
        if second:
            seen.seconds[first][second] += 1


def _look_closely(seen: _Survey, match: re.Match[str], number: int, worth: int) -> None:
    """A header that stands for so many."""
    text, at, end = match.string, match.start(), match.end(_SIGN) + 1
    seen.outlines[text[at:end].translate(OUTLINE)] += worth
    if at > 0:
        seen.breaks[text[at - 1] == "\r"] += 1
    elif number == 0:
        seen.starts_at_once = True
    if match[_SIGN] == "]" and match[_FIRST] is not None:
        body = text[match.end(_FIRST) + 2 : match.end() + 100].partition("\n")[0].rstrip("\r")
        if body_topic(body):
            seen.marked[body[0] in APP_MARKS] += 1


def _names_with_colons(seen: _Survey) -> list[str]:
    """Names such as `Work: Ann`: what all, or nearly all, lines beginning `Work: ` go on with.

    Somebody called Work would now and then write something else.
    """
    names: list[str] = []
    for first, seconds in seen.seconds.items():
        lines = seen.firsts[first]
        stable = [second for second, count in seconds.items() if count > 1]
        covered = sum(seconds[second] for second in stable)
        if seconds.total() == lines and 2 * len(seconds) <= lines:
            stable = list(seconds)
        elif covered < 0.9 * lines:
            continue
        names += (f"{first}: {second}" for second in stable if _LETTER.search(second))
    return names


def _whole_lines(stream: TextIO, block: int) -> Iterator[str]:
    """The text in blocks, each a number of whole lines, each line after its line break.

    The first line gets a line break too, so that every header follows one.
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
