"""The first pass over a file: which of all forms it has, decided over the whole of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from pipeline.whatsapp.characters import OUTLINE
from pipeline.whatsapp.dates import DateOrder, Verdict, decide_order
from pipeline.whatsapp.headers import HEADER
from pipeline.whatsapp.shape import Shape, learn

BLOCK = 1 << 20  # characters read at a time
_ALL_OF = 10_000  # headers at first, of which every one is outlined
_ONE_IN = 10  # later


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


@dataclass
class _Survey:
    """What was seen: outlines of headers, their dates in turn, and the line breaks before them."""

    outlines: Counter[str] = field(default_factory=Counter)
    dates: list[str] = field(default_factory=list)
    breaks: Counter[bool] = field(default_factory=Counter)  # True: CR LF
    starts_at_once: bool = False


def survey(stream: TextIO, date_order: DateOrder, block: int = BLOCK) -> Layout | None:
    """Read `stream` to its end; None when it holds no header at all.

    `stream` must not translate line breaks.
    """
    seen = _look(stream, block)
    shape = learn(seen.outlines)
    if shape is None:
        return None
    crlf, lf = seen.breaks[True], seen.breaks[False]
    # An iOS file that went through an editor has lost all its CR LF; otherwise they are the rule.
    newline = "\r\n" if shape.platform == "ios" and crlf * 3 > lf else "\n"
    is_date = re.compile(shape.date).fullmatch
    return Layout(
        shape=shape,
        pattern=shape.pattern(newline),
        newline=newline,
        has_crlf=crlf > 0,
        dates=decide_order([date for date in seen.dates if is_date(date)], date_order),
        starts_at_once=seen.starts_at_once,
    )


def _look(stream: TextIO, block: int) -> _Survey:
    seen = _Survey()
    number, date = 0, ""
    for text in _whole_lines(stream, block):
        for match in HEADER.finditer(text):
            if number < _ALL_OF or number % _ONE_IN == 0:
                _look_closely(seen, match, number)
            number += 1
            if (written := match[2] or match[7]) != date:
                date = written
                seen.dates.append(date)
    return seen


def _look_closely(seen: _Survey, match: re.Match[str], number: int) -> None:
    seen.outlines[match[0].translate(OUTLINE)] += 1
    at = match.start()
    if at > 0:
        seen.breaks[match.string[at - 1] == "\r"] += 1
    elif number == 0:
        seen.starts_at_once = True


def _whole_lines(stream: TextIO, block: int) -> Iterator[str]:
    """The text in blocks, each a number of whole lines, each line after its line break.

    The first line gets a line break too, so that every header follows one.
    """
    rest = "\n"
    while chunk := stream.read(block):
        rest += chunk
        cut = rest.rfind("\n")
        cut -= rest[cut - 1] == "\r"
        if cut > 0:
            yield rest[:cut]
            rest = rest[cut:]
    yield rest
