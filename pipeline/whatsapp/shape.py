"""Learning the exact form of one file's headers from all the header-like lines in it.

`headers.HEADER` proposes lines; most of them have one form, and that form, down to the padding of
the numbers and the kind of space, becomes the pattern the file is read with.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.whatsapp.characters import MARKS, PLAIN, ZEROS
from pipeline.whatsapp.dates import FoundOrder
from pipeline.whatsapp.headers import HALF_DAY, HEADER, SENDER, Parts, Platform, parts

_RUN = re.compile(r"\d+")
_HALF = "\0"  # stands for any half-day


@dataclass(frozen=True)
class Shape:
    """The form of one file's headers.

    `header` is the source of a pattern with a group for the date and one for the time, in their
    order; `date` is the source of the date alone; `example` is an outline, digits 0 or 9.
    """

    platform: Platform
    header: str
    date: str
    example: Parts

    def pattern(self, newline: str) -> re.Pattern[str]:
        """For the reader: a line break, a header, and a sender if there is one."""
        return re.compile(newline + self.header + SENDER)

    def describe(self, order: FoundOrder) -> str:
        """For people: `dd/mm/yyyy, hh:mm - `."""
        header = self.example
        letters = iter({"year-first": "ymd", "day-first": "dmy", "month-first": "mdy"}[order])
        date = _RUN.sub(lambda run: next(letters) * len(run[0]), header.date)
        letters = iter("hms")
        time = _RUN.sub(lambda run: next(letters) * len(run[0]), header.time)
        stamp = [time, header.joint, date] if header.time_first else [date, header.joint, time]
        return (header.opens + "".join(stamp) + header.closes).translate(PLAIN)


def learn(outlines: Counter[str]) -> Shape | None:
    """The form most headers of a file have; None if there are no headers at all.

    `outlines` counts matches of `HEADER` with their digits translated by `characters.OUTLINE`.
    Two exports put into one file by hand have two forms: another form of the same frame counts
    too when it is common.
    """
    seen = [(_read(outline), count) for outline, count in outlines.items()]
    forms: Counter[tuple[object, ...]] = Counter()
    for header, count in seen:
        if header.platform is not None:
            forms[_form(header)] += count
    if not forms:
        return None
    best, _ = forms.most_common(1)[0]
    total = forms.total()
    common = {form for form, count in forms.items() if _is_common(count, total)}
    kept = {form for form in common if form[:2] == best[:2]}
    return _shape([(header, n) for header, n in seen if _form(header) in kept | {best}])


def _read(outline: str) -> Parts:
    match = HEADER.fullmatch(outline)
    assert match is not None, "an outline is a match with other digits"
    return parts(match)


def _form(header: Parts) -> tuple[object, ...]:
    """Equal for headers that differ only in digits, padding and the half of the day."""
    date = _RUN.sub(lambda run: "year" if len(run[0]) > 2 else "0", header.date)
    time = HALF_DAY.sub(_HALF, _RUN.sub("0", header.time))
    frame = (header.platform, header.time_first)
    return (*frame, header.opens, date, header.joint, time, header.closes)


def _shape(headers: list[tuple[Parts, int]]) -> Shape:
    example = min((header for header, _ in headers), key=lambda h: len(h.date) + len(h.time))
    assert example.platform is not None
    mark = f"[{MARKS}]*"
    date = _digits((header.date, n) for header, n in headers)
    time = _digits((header.time, n) for header, n in headers)
    joint = _digits((header.joint, n) for header, n in headers)
    closes = _digits((header.closes, n) for header, n in headers)
    stamp = [f"({date})", joint, f"({time})"]
    if example.time_first:
        stamp.reverse()
    opens = mark + re.escape(example.opens) + mark if example.opens else mark
    return Shape(example.platform, opens + "".join(stamp) + closes, date, example)


def _digits(samples: Iterable[tuple[str, int]]) -> str:
    """A pattern for texts like the samples: other digits, but the same padding; any half-day."""
    variants: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for text, count in samples:
        variants[tuple(_RUN.split(HALF_DAY.sub(_HALF, text)))][text] += count
    return f"(?:{'|'.join(_variant(*variant) for variant in variants.items())})"


def _variant(literals: tuple[str, ...], samples: Counter[str]) -> str:
    runs: list[Counter[str]] = [Counter() for _ in literals[1:]]
    for text, count in samples.items():
        for seen, digits in zip(runs, _RUN.findall(text), strict=True):
            seen[digits] += count
    numbers = [*map(_number, runs), ""]
    return "".join(
        re.escape(literal).replace(_HALF, f"(?i:{HALF_DAY.pattern})") + number
        for literal, number in zip(literals, numbers, strict=True)
    )


def _number(seen: Counter[str]) -> str:
    """One number of a header: padded with a zero, never padded, or either."""
    longest = max(map(len, seen))
    if longest > 2:
        return rf"\d{{{min(map(len, seen))},{longest}}}"
    single = sum(count for digits, count in seen.items() if len(digits) == 1)
    padded = sum(count for digits, count in seen.items() if len(digits) == 2 and digits[0] == "0")
    if _is_common(min(single, padded), single + padded):
        return r"\d\d?"
    return rf"(?![{ZEROS}]\d)\d\d?" if single > padded else r"\d\d"


def _is_common(count: int, total: int) -> bool:
    """Too often for lines pasted from elsewhere."""
    return count >= max(20, total / 10)
