"""The invisible characters of an export, which names and headers are read without.

They stay in the text of messages: they belong to what was typed, and a mark tells the app's words
from a person's. U+200C and U+200D are not among them, because they join words and emoji.
"""

from __future__ import annotations

# Character classes, to be put between square brackets in a pattern.
APP_MARKS = "\u200e\u200f"  # the iOS app begins its own words with one of these
MARKS = APP_MARKS + "\u061c\u202a-\u202e\u2066-\u2069\ufeff"
SPACES = " \u00a0\u2007\u2009\u202f"

# Bounded, so that a hostile run of marks cannot make two neighbors in a pattern share it out.
ANY_MARKS = f"[{MARKS}]{{0,4}}"

WITHOUT_APP_MARKS: dict[int, str | None] = dict.fromkeys(map(ord, APP_MARKS))
"""For `str.translate`: drops the marks that the app puts around its own words."""

_ALL_MARKS = [*map(ord, APP_MARKS), 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF]
WITHOUT_MARKS: dict[int, str | None] = dict.fromkeys(_ALL_MARKS)
"""For `str.translate`: drops every mark."""

PLAIN: dict[int, str | None] = WITHOUT_MARKS | dict.fromkeys(map(ord, SPACES), " ")
"""For `str.translate`: drops every mark and makes every space an ordinary one."""

FIRST_UNSPACED = "\u2e80"
"""The first character of the scripts (kana, Chinese, Hangul) that put no space after a name."""

# The zero of each script that has decimal digits in Unicode.
_ZEROS = (
    *(0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66),
    *(0xDE6, 0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90),
    *(0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0),
    *(0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0),
    *(0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x11F50, 0x16A60),
    *(0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4D0),
    *(0x1E950, 0x1FBF0),
)
ZEROS = "".join(map(chr, _ZEROS))

OUTLINE: dict[int, str] = {ord(zero): "0" for zero in ZEROS} | {
    ord(zero) + digit: "9" for zero in ZEROS for digit in range(1, 10)
}
"""For `str.translate`: digits become 0 or 9, so that headers of one format become equal."""
