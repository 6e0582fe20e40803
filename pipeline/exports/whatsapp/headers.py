"""What the header before a message looks like: tables, and the pattern made from them.

The phone's own date formatting writes the header, so it has no fixed form: language, region and the
12/24 h setting change separators, order, padding, digits and even whether date or time comes first.
`HEADER` accepts what any row of the tables allows. It only proposes candidates; `header_format`
narrows it to the exact format of one file, so that a line pasted from another phone is not taken
for a message. To support another header, add a row here or a word in `date_words`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from pipeline.exports.whatsapp.characters import ANY_MARKS, SPACES
from pipeline.exports.whatsapp.date_words import AM, ERAS, MONTHS, NIGHT, PM

Platform = Literal["ios", "android", "legacy"]

# How a header begins and ends. "legacy" is the form with a colon, until about 2016.
FRAMES: dict[tuple[str, str], Platform] = {
    ("[", "]"): "ios",
    ("", "-"): "android",
    ("", "–"): "android",
    ("", ":"): "legacy",
}
# Between the numbers of a date, and after the last of them.
SEPARATORS = ("/", ".", "-", "‑", "年", "月", "년", "월")
ENDINGS = (".", "日", "일", " г.")
# Between date and time, before a space.
JOINTS = (",", "،", "、", " à", " klo", " kl.", " u", " um", " at", " a las", " às", " alle", "")

_SPACE = f"[{SPACES}]"


def _any_of(literals: Iterable[str]) -> str:
    """A pattern for the longest of `literals` that matches; a space matches any kind of space."""
    patterns = (re.escape(text).replace("\\ ", _SPACE) for text in literals)
    return f"(?:{'|'.join(sorted(patterns, key=len, reverse=True))})"


def _day_period(token: str) -> str:
    """Two letters are also written with dots and spaces: `p.m.`, `p. m.`."""
    if len(token) == 2:
        return rf"\.?{_SPACE}?".join(token) + r"\.?"
    return re.escape(token).replace("\\ ", _SPACE) + r"\.?"


DAY_PERIOD = re.compile(
    "|".join(map(_day_period, sorted(AM + PM + NIGHT, key=len, reverse=True))), re.IGNORECASE
)
MONTH = re.compile(_any_of(MONTHS), re.IGNORECASE)

_PERIOD = f"(?i:{DAY_PERIOD.pattern})"
_SEPARATOR = f"{ANY_MARKS}{_any_of(SEPARATORS)}{ANY_MARKS}{_SPACE}?"
_ERA = _any_of(ERAS)
_YEAR_LAST = rf"\d\d?{_SEPARATOR}\d\d?{_SEPARATOR}(?:\d{{4}}|{_ERA}\d\d?|\d\d?)"
_YEAR_FIRST = rf"(?:\d{{4}}|{_ERA}\d{{1,3}}){_SEPARATOR}\d\d?{_SEPARATOR}\d\d?"
_BESIDE_NAME = rf"(?:{_SPACE}de{_SPACE}|\.?[{SPACES}\-])"
_NAME_OF_MONTH = rf"(?i:{MONTH.pattern})\.?"
_MONTH_NAMED = (
    rf"\d\d?{_BESIDE_NAME}{_NAME_OF_MONTH},?{_BESIDE_NAME}\d{{4}}"
    rf"|{_NAME_OF_MONTH}{_SPACE}\d\d?,?{_SPACE}\d{{4}}"
)
_DATE = rf"(?:{_YEAR_FIRST}|{_YEAR_LAST}|{_MONTH_NAMED})(?:{_any_of(ENDINGS)}|{_SPACE}{_ERA})?"
_MINUTES = (
    rf"{{colon}}\d\d(?:{{colon}}\d\d)?(?:{_SPACE}ч\.)?"
    rf"|{_SPACE}h{_SPACE}\d\d(?:{_SPACE}min{_SPACE}\d\d{_SPACE}s)?"
)
_TIME = (
    rf"(?:(?!\d){_PERIOD}{_SPACE}?)?\d\d?(?:{_MINUTES})"
    rf"{ANY_MARKS}(?:{_SPACE}?(?![\d\]:\-–,]){_PERIOD})?{ANY_MARKS}"
)
_JOINT = f"{ANY_MARKS}{_any_of(JOINTS)}{ANY_MARKS}{_SPACE}{ANY_MARKS}"
_OPENS = _any_of({opens for opens, _ in FRAMES})
_CLOSES = _any_of({closes for _, closes in FRAMES})
WEEKDAY = rf"(?:[^\W\d_]{{2,14}}\.?,?{_SPACE})?"


def _time(colon: str) -> str:
    return _TIME.replace("{colon}", colon)


# A dot may separate hours from minutes only after the date; before, it would look like a date.
HEADER = re.compile(
    rf"\n{ANY_MARKS}({_OPENS}){ANY_MARKS}"
    rf"(?:(?=\w)(?:(?!\d){WEEKDAY})?({_DATE})({_JOINT})({_time('[:.]')})"
    rf"|({_time(':')})({_JOINT})({_DATE}))"
    rf"({_SPACE}?({_CLOSES}){_SPACE})"
)
"""Any header of any phone, with the line break before it. `header_parts` reads a match."""

# A name ends at the first colon that a space or the end of the line follows.
NAME = r"[^\r\n:]+(?::+[^\s:][^\r\n:]*)*"


def sender_pattern(names: Iterable[str] = ()) -> str:
    """The source of a pattern for an optional sender. `names` are those that contain `: `."""
    longest_first = [*sorted(map(re.escape, names), key=len, reverse=True), NAME]
    return rf"(?:({'|'.join(longest_first)}):(?: |(?=[\r\n]|\Z)))?"


class HeaderParts(NamedTuple):
    """The parts of one header, as written."""

    platform: Platform | None  # None when beginning and end do not belong together
    opens: str
    date: str
    joint: str
    time: str
    closes: str
    time_first: bool


def header_parts(match: re.Match[str]) -> HeaderParts:
    """The parts of a match of `HEADER`."""
    opens, date, joint, time, time1, joint1, date1, closes, sign = match.groups()
    platform = FRAMES.get((opens, sign))
    if date is not None:
        return HeaderParts(platform, opens, date, joint, time, closes, time_first=False)
    return HeaderParts(platform, opens, date1, joint1, time1, closes, time_first=True)
