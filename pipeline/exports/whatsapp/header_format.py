"""Learn the exact format of one file's headers from all the header-like lines in it.

`headers.HEADER` proposes lines; most of them have one format, and this, down to the padding of the
numbers and the kind of space, becomes the pattern that the file is read with.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.exports.exported_chat import DetectedOrder
from pipeline.exports.whatsapp.characters import ANY_MARKS, PLAIN, ZEROS
from pipeline.exports.whatsapp.headers import (
    DAY_PERIOD,
    HEADER,
    MONTH,
    WEEKDAY,
    HeaderParts,
    Platform,
    header_parts,
)

_DIGITS = re.compile(r"\d+")
_WORD = "\0"  # stands for any day period, or for any name of a month


@dataclass(frozen=True)
class HeaderFormat:
    """The format of one file's headers.

    `header` is the source of a pattern with a group for the date and one for the time, in the order
    of the file; `date` is the source for the date alone. `example` is an outline: its digits are 0
    or 9. `share` is the fraction of header-like lines in this format.
    """

    platform: Platform
    header: str
    date: str
    example: HeaderParts
    share: float

    def pattern(self, newline: str, sender: str) -> re.Pattern[str]:
        """A line break, a header, and an optional sender (its source is `sender`)."""
        return re.compile(newline + self.header + sender)

    def describe(self, order: DetectedOrder) -> str:
        """The format as people write it: `dd/mm/yyyy, hh:mm - `."""
        header = self.example
        letters = iter({"year-first": "ymd", "day-first": "dmy", "month-first": "mdy"}[order])
        date = MONTH.sub("Month", header.date)
        if date != header.date:
            letters = iter("dy")
        date = _DIGITS.sub(lambda number: next(letters) * len(number[0]), date)
        letters = iter("hms")
        time = _DIGITS.sub(lambda number: next(letters) * len(number[0]), header.time)
        stamp = [time, header.joint, date] if header.time_first else [date, header.joint, time]
        return (header.opens + "".join(stamp) + header.closes).translate(PLAIN)


def learn_format(outlines: Counter[str]) -> HeaderFormat | None:
    """The format of most headers of a file; None if it has no headers.

    `outlines` counts matches of `HEADER` with their digits translated by `characters.OUTLINE`. When
    two exports were put into one file, a second format with the same frame also counts if it is
    common. When no format covers half of the lines, the file is a mixture made by hand, and all its
    formats count.
    """
    counted = [(_parts(outline), count) for outline, count in outlines.items()]
    headers = [(parts, count) for parts, count in counted if parts.platform is not None]
    formats: Counter[tuple[object, ...]] = Counter()
    for parts, count in headers:
        formats[_format_key(parts)] += count
    if not formats:
        return None
    best, best_count = formats.most_common(1)[0]
    total = formats.total()
    is_mixture = best_count * 2 < total
    if is_mixture:
        kept = {key for key in formats if key[1] == best[1]}
    else:
        common = {key for key, count in formats.items() if _is_common(count, total)}
        kept = {key for key in common if key[:2] == best[:2]} | {best}
    share = sum(formats[key] for key in kept) / total
    chosen = [(parts, count) for parts, count in headers if _format_key(parts) in kept]
    return _header_format(chosen, share, is_mixture)


def _parts(outline: str) -> HeaderParts:
    match = HEADER.fullmatch(outline)
    assert match is not None, "an outline is a match with other digits"
    return header_parts(match)


def _format_key(header: HeaderParts) -> tuple[object, ...]:
    """Equal for headers that differ only in digits, padding, month and day period."""
    date = _DIGITS.sub(
        lambda number: "year" if len(number[0]) > 2 else "0", MONTH.sub(_WORD, header.date)
    )
    time = DAY_PERIOD.sub(_WORD, _DIGITS.sub("0", header.time))
    frame = (header.platform, header.time_first)
    return (*frame, header.opens, date, header.joint, time, header.closes)


def _header_format(
    headers: list[tuple[HeaderParts, int]], share: float, is_mixture: bool
) -> HeaderFormat:
    example = min((header for header, _ in headers), key=lambda h: len(h.date) + len(h.time))
    assert example.platform is not None
    date = _generalize(((header.date, n) for header, n in headers), MONTH, is_mixture)
    time = _generalize(((header.time, n) for header, n in headers), DAY_PERIOD, is_mixture)
    joint = _generalize((header.joint, n) for header, n in headers)
    closes = _generalize((header.closes, n) for header, n in headers)
    stamp = [f"({date})", joint, f"({time})"]
    if example.time_first:
        stamp.reverse()
    opens = sorted({re.escape(header.opens) for header, _ in headers}, reverse=True)
    before = ANY_MARKS if opens == [""] else f"{ANY_MARKS}(?:{'|'.join(opens)}){ANY_MARKS}"
    if MONTH.search(example.date):
        before += WEEKDAY
    return HeaderFormat(example.platform, before + "".join(stamp) + closes, date, example, share)


def _generalize(
    samples: Iterable[tuple[str, int]],
    words: re.Pattern[str] | None = None,
    any_padding: bool = False,
) -> str:
    """A pattern for texts like the samples: any digits in the same padding, and any of `words`.

    Each sample comes with its count.
    """
    variants: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for text, count in samples:
        without_words = words.sub(_WORD, text) if words else text
        variants[tuple(_DIGITS.split(without_words))][without_words] += count
    any_word = f"(?i:{words.pattern})" if words else ""
    sources = (
        _variant(literals, texts, any_word, any_padding) for literals, texts in variants.items()
    )
    return f"(?:{'|'.join(sources)})"


def _variant(
    literals: tuple[str, ...], texts: Counter[str], any_word: str, any_padding: bool
) -> str:
    """A pattern for `texts`, which have the same `literals` around their numbers."""
    numbers: list[Counter[str]] = [Counter() for _ in literals[1:]]
    for text, count in texts.items():
        for counter, digits in zip(numbers, _DIGITS.findall(text), strict=True):
            counter[digits] += count
    patterns = [*(_number(counter, any_padding) for counter in numbers), ""]
    return "".join(
        any_word.join(map(re.escape, literal.split(_WORD))) + pattern
        for literal, pattern in zip(literals, patterns, strict=True)
    )


def _number(counts: Counter[str], any_padding: bool) -> str:
    """A pattern for one number of a header: padded with a zero, never padded, or either."""
    longest = max(map(len, counts))
    if longest > 2:
        return rf"\d{{{min(map(len, counts))},{longest}}}"
    single = sum(count for digits, count in counts.items() if len(digits) == 1)
    padded = sum(count for digits, count in counts.items() if len(digits) == 2 and digits[0] == "0")
    if any_padding or not (single or padded) or _is_common(min(single, padded), single + padded):
        return r"\d\d?"
    return rf"(?![{ZEROS}]\d)\d\d?" if single > padded else r"\d\d"


def _is_common(count: int, total: int) -> bool:
    """Too frequent for lines that were pasted from elsewhere."""
    return count >= max(20, total / 10)
