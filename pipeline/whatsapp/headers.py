"""What the line that begins a message looks like: tables, and the pattern made from them.

The header is written by the phone's own date formatting, so it has no fixed form: language, region
and the 12/24 h setting change separators, order, padding, digits and even which of date and time
comes first. `HEADER` accepts what any row of the tables allows. It only proposes: `shape.learn`
narrows it to the exact form of one file, so that a line pasted from another phone is not taken for
a message. A new form of header is a new row here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from pipeline.whatsapp.characters import MARKS, SPACES

Platform = Literal["ios", "android", "legacy"]

# What opens and what closes a header. "legacy" is the form with a colon, until about 2016.
FRAMES: dict[tuple[str, str], Platform] = {
    ("[", "]"): "ios",
    ("", "-"): "android",
    ("", "–"): "android",
    ("", ":"): "legacy",
}
# Between the numbers of a date, and (before a space) between the date and the time.
SEPARATORS = ("/", ".", "-")
JOINTS = (",", "،", " à", " klo", " kl.", " u", " um", "")
# Half-days, in lower case and without dots; a word for a part of the day counts as its half.
AM = (
    *("am", "ص", "قظ", "上午", "凌晨", "早上", "午前", "오전", "ก่อนเที่ยง", "sa", "de", "öö"),
    *("πμ", "dop", "fm", "vorm", "morgens", "nachts"),
)
PM = (
    *("pm", "م", "بظ", "下午", "中午", "晚上", "午後", "오후", "หลังเที่ยง", "ch", "du", "ös"),
    *("μμ", "odp", "em", "nachm", "mittags", "abends"),
)
# Years counted from another beginning: what is written beside them, and what to add.
ERAS = {"BE": -543, "R": 2018, "H": 1988}

_MARK = f"[{MARKS}]*"
_SPACE = f"[{SPACES}]"


def _any_of(literals: Iterable[str]) -> str:
    """A pattern for the longest of `literals` that fits; any kind of space is a space."""
    patterns = (re.escape(text).replace("\\ ", _SPACE) for text in literals)
    return f"(?:{'|'.join(sorted(patterns, key=len, reverse=True))})"


def _half_day(token: str) -> str:
    """Two letters are also written with dots and spaces: `p.m.`, `p. m.`."""
    between = rf"\.?{_SPACE}?" if len(token) == 2 else ""
    return between.join(token) + r"\.?"


HALF_DAY = re.compile("|".join(map(_half_day, AM + PM)), re.IGNORECASE)

_HALF = f"(?i:{HALF_DAY.pattern})"
_SEPARATOR = f"{_MARK}{_any_of(SEPARATORS)}{_MARK}{_SPACE}?"
_YEAR_LAST = rf"\d\d?{_SEPARATOR}\d\d?{_SEPARATOR}(?:\d{{4}}|\d\d|(?:{'|'.join(ERAS)})\d\d?)"
_YEAR_FIRST = rf"\d{{4}}{_SEPARATOR}\d\d?{_SEPARATOR}\d\d?"
_DATE = rf"(?:{_YEAR_FIRST}|{_YEAR_LAST})(?:\.|{_SPACE}(?:{'|'.join(ERAS)}))?"
_TIME = (
    rf"(?:(?!\d){_HALF}{_SPACE}?)?\d\d?{{colon}}\d\d(?:{{colon}}\d\d)?"
    rf"{_MARK}(?:{_SPACE}?{_HALF})?{_MARK}"
)
_JOINT = f"{_MARK}{_any_of(JOINTS)}{_SPACE}{_MARK}"
_OPENS = _any_of({opens for opens, _ in FRAMES})
_CLOSES = _any_of({closes for _, closes in FRAMES})


def _time(colon: str) -> str:
    return _TIME.replace("{colon}", colon)


# After a date, a dot may part hours from minutes; before one it could not be told from the date.
HEADER = re.compile(
    rf"\n{_MARK}({_OPENS}){_MARK}"
    rf"(?:({_DATE})({_JOINT})({_time('[:.]')})|({_time(':')})({_JOINT})({_DATE}))"
    rf"({_SPACE}?({_CLOSES}){_SPACE})"
)
"""Any header of any phone, with the line break before it. `parts` reads a match."""

# A name ends at the first colon that a space or the end of the line follows.
SENDER = r"(?:([^\r\n:]+(?::+[^\s:][^\r\n:]*)*):(?: |(?=[\r\n]|\Z)))?"


class Parts(NamedTuple):
    """The pieces of one header, as they are written."""

    platform: Platform | None  # None when what opens and what closes do not belong together
    opens: str
    date: str
    joint: str
    time: str
    closes: str
    time_first: bool


def parts(match: re.Match[str]) -> Parts:
    """Read a match of `HEADER`."""
    opens, date, joint, time, time1, joint1, date1, closes, sign = match.groups()
    platform = FRAMES.get((opens, sign))
    if date is not None:
        return Parts(platform, opens, date, joint, time, closes, time_first=False)
    return Parts(platform, opens, date1, joint1, time1, closes, time_first=True)
