"""Learning the exact form of one file's headers from all the header-like lines in it.

`headers.HEADER` proposes lines; most of them have one form, and that form, down to the padding of
the numbers and the kind of space, becomes the pattern the file is read with.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.exports.whatsapp.characters import ANY_MARKS, PLAIN, ZEROS
from pipeline.exports.whatsapp.dates import FoundOrder
from pipeline.exports.whatsapp.headers import (
    HALF_DAY,
    HEADER,
    MONTH,
    WEEKDAY,
    Parts,
    Platform,
    parts,
)

_RUN = re.compile(r"\d+")
_WORD = "\0"  # stands for any half-day, or for any name of a month


@dataclass(frozen=True)
class Shape:
    """The form of one file's headers.

    `header` is the source of a pattern with a group for the date and one for the time, in their
    order; `date` is the source of the date alone; `example` is an outline, digits 0 or 9; `share`
    is how many of the header-like lines have this form.
    """

    platform: Platform
    header: str
    date: str
    example: Parts
    share: float

    def pattern(self, newline: str, sender: str) -> re.Pattern[str]:
        """For the reader: a line break, a header, and a sender if there is one."""
        return re.compile(newline + self.header + sender)

    def describe(self, order: FoundOrder) -> str:
        """For people: `dd/mm/yyyy, hh:mm - `."""
        header = self.example
        letters = iter({"year-first": "ymd", "day-first": "dmy", "month-first": "mdy"}[order])
        date = MONTH.sub("Month", header.date)
        if date != header.date:
            letters = iter("dy")
        date = _RUN.sub(lambda run: next(letters) * len(run[0]), date)
        letters = iter("hms")
        time = _RUN.sub(lambda run: next(letters) * len(run[0]), header.time)
        stamp = [time, header.joint, date] if header.time_first else [date, header.joint, time]
        return (header.opens + "".join(stamp) + header.closes).translate(PLAIN)


def learn(outlines: Counter[str]) -> Shape | None:
    """The form most headers of a file have; None if there are no headers at all.

    `outlines` counts matches of `HEADER` with their digits translated by `characters.OUTLINE`.
    Two exports put into one file by hand have two forms: another form of the same frame counts
    too when it is common. When no form is that of half the lines, the file is a mixture made by
    hand, and every form counts.
    """
    read = [(_read(outline), count) for outline, count in outlines.items()]
    seen = [(header, count) for header, count in read if header.platform is not None]
    forms: Counter[tuple[object, ...]] = Counter()
    for header, count in seen:
        forms[_form(header)] += count
    if not forms:
        return None
    best, most = forms.most_common(1)[0]
    total = forms.total()
    is_mixture = most * 2 < total
    if is_mixture:
        kept = {form for form in forms if form[1] == best[1]}
    else:
        common = {form for form, count in forms.items() if _is_common(count, total)}
        kept = {form for form in common if form[:2] == best[:2]} | {best}
    share = sum(forms[form] for form in kept) / total
    return _shape([(header, n) for header, n in seen if _form(header) in kept], share, is_mixture)


def _read(outline: str) -> Parts:
    match = HEADER.fullmatch(outline)
    assert match is not None, "an outline is a match with other digits"
    return parts(match)


def _form(header: Parts) -> tuple[object, ...]:
    """Equal for headers that differ only in digits, padding, month and the half of the day."""
    date = _RUN.sub(lambda run: "year" if len(run[0]) > 2 else "0", MONTH.sub(_WORD, header.date))
    time = HALF_DAY.sub(_WORD, _RUN.sub("0", header.time))
    frame = (header.platform, header.time_first)
    return (*frame, header.opens, date, header.joint, time, header.closes)


def _shape(headers: list[tuple[Parts, int]], share: float, is_mixture: bool) -> Shape:
    example = min((header for header, _ in headers), key=lambda h: len(h.date) + len(h.time))
    assert example.platform is not None
    date = _digits(((header.date, n) for header, n in headers), MONTH, is_mixture)
    time = _digits(((header.time, n) for header, n in headers), HALF_DAY, is_mixture)
    joint = _digits((header.joint, n) for header, n in headers)
    closes = _digits((header.closes, n) for header, n in headers)
    stamp = [f"({date})", joint, f"({time})"]
    if example.time_first:
        stamp.reverse()
    opens = sorted({re.escape(header.opens) for header, _ in headers}, reverse=True)
    before = ANY_MARKS if opens == [""] else f"{ANY_MARKS}(?:{'|'.join(opens)}){ANY_MARKS}"
    if MONTH.search(example.date):
        before += WEEKDAY
    return Shape(example.platform, before + "".join(stamp) + closes, date, example, share)


def _digits(
    samples: Iterable[tuple[str, int]],
    words: re.Pattern[str] | None = None,
    any_padding: bool = False,
) -> str:
    """A pattern for texts like the samples: other digits, but the same padding; any of `words`."""
    variants: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for text, count in samples:
        bare = words.sub(_WORD, text) if words else text
        variants[tuple(_RUN.split(bare))][bare] += count
    any_word = f"(?i:{words.pattern})" if words else ""
    sources = (
        _variant(literals, seen, any_word, any_padding) for literals, seen in variants.items()
    )
    return f"(?:{'|'.join(sources)})"


def _variant(
    literals: tuple[str, ...], samples: Counter[str], any_word: str, any_padding: bool
) -> str:
    runs: list[Counter[str]] = [Counter() for _ in literals[1:]]
    for text, count in samples.items():
        for seen, digits in zip(runs, _RUN.findall(text), strict=True):
            seen[digits] += count
    numbers = [*(_number(run, any_padding) for run in runs), ""]
    return "".join(
        any_word.join(map(re.escape, literal.split(_WORD))) + number
        for literal, number in zip(literals, numbers, strict=True)
    )


def _number(seen: Counter[str], any_padding: bool) -> str:
    """One number of a header: padded with a zero, never padded, or either."""
    longest = max(map(len, seen))
    if longest > 2:
        return rf"\d{{{min(map(len, seen))},{longest}}}"
    single = sum(count for digits, count in seen.items() if len(digits) == 1)
    padded = sum(count for digits, count in seen.items() if len(digits) == 2 and digits[0] == "0")
    if any_padding or not (single or padded) or _is_common(min(single, padded), single + padded):
        return r"\d\d?"
    return rf"(?![{ZEROS}]\d)\d\d?" if single > padded else r"\d\d"


def _is_common(count: int, total: int) -> bool:
    """Too often for lines pasted from elsewhere."""
    return count >= max(20, total / 10)
