"""The invisible characters of an export, named once, because every part has to look past them.

They are kept in the text of messages (they belong to what was typed, and a mark tells the app's
words from a person's); only names and headers are read without them. U+200C and U+200D are not
among them: they hold words and emoji together.
"""

from __future__ import annotations

# Character classes, to be put between square brackets in a pattern.
APP_MARKS = "\u200e\u200f"  # begin what the iOS app itself wrote
MARKS = APP_MARKS + "\u061c\u202a-\u202e\u2066-\u2069\ufeff"
SPACES = " \u00a0\u2007\u2009\u202f"

_ALL_MARKS = [*map(ord, APP_MARKS), 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF]
WITHOUT_MARKS: dict[int, str | None] = dict.fromkeys(_ALL_MARKS)
"""For `str.translate`: drops every mark."""

PLAIN: dict[int, str | None] = WITHOUT_MARKS | dict.fromkeys(map(ord, SPACES), " ")
"""For `str.translate`: drops every mark and makes every space an ordinary one."""

# The zero of each script whose digits a phone may write dates with: Arabic, Persian, Devanagari,
# Bengali, Gurmukhi, Gujarati, Tamil, Telugu, Kannada, Malayalam, Thai, Burmese.
ZEROS = "0\u0660\u06f0\u0966\u09e6\u0a66\u0ae6\u0be6\u0c66\u0ce6\u0d66\u0e50\u1040"

OUTLINE: dict[int, str] = {ord(zero): "0" for zero in ZEROS} | {
    ord(zero) + digit: "9" for zero in ZEROS for digit in range(1, 10)
}
"""For `str.translate`: every digit but zero becomes 9, so that headers alike become equal."""
