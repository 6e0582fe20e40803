"""From the digits of a header to a date and a time, and from all dates of a file to their order.

03/04/2024 is the third of April or the fourth of March; only the whole file can tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time
from itertools import pairwise
from typing import NamedTuple

from pipeline.exports.exported_chat import DateOrder, DetectedOrder
from pipeline.exports.whatsapp.date_words import AM, ERAS, MONTHS, NIGHT, PM
from pipeline.exports.whatsapp.headers import MONTH

# The positions of year, month and day among the three numbers.
_POSITIONS: dict[DetectedOrder, tuple[int, int, int]] = {
    "year-first": (0, 1, 2),
    "day-first": (2, 1, 0),
    "month-first": (2, 0, 1),
}
_AMBIGUOUS: tuple[DetectedOrder, DetectedOrder] = ("day-first", "month-first")
_NUMBERS = re.compile(r"\d+")
_FIRST_YEAR = 9  # WhatsApp appeared in 2009
_MIN_BUDDHIST_YEAR = 2400  # Thai phones do not write which calendar it is
_ERA = re.compile("|".join(map(re.escape, sorted(ERAS, key=len, reverse=True))))
_NOT_LETTERS = re.compile(r"[\W\d_]+")


def _letters(text: str) -> str:
    return _NOT_LETTERS.sub("", text).lower()


_AM, _PM, _NIGHT = ({_letters(token) for token in tokens} for tokens in (AM, PM, NIGHT))
_FOLDED_MONTHS = {name.casefold(): number for name, number in MONTHS.items()}


class OrderDecision(NamedTuple):
    """The order of year, month and day in a file; `guessed` when nothing in the file tells."""

    order: DetectedOrder
    guessed: bool


def decide_order(dates: Sequence[str], setting: DateOrder = "auto") -> OrderDecision:
    """Decide the order of the numbers in `dates`, given as written and in file order.

    The first of these that applies decides: the name of a month; a first number of four digits;
    first numbers that must be years of two digits, as Korean phones write them; `setting`; a number
    above 12, in the position that has more of them; the order in which the dates go back in time
    less often; the separators, which make only a guess when they are slashes.
    """
    if named := [text for text in dates if MONTH.search(text)]:
        return OrderDecision("day-first" if named[0][0].isdigit() else "month-first", guessed=False)
    numbers = [_numbers(text) for text in dates]
    if sum(len(first) == 4 for first, *_ in numbers) * 2 > len(numbers):
        return OrderDecision("year-first", guessed=False)
    if setting == "auto" and _begins_with_short_years(numbers):
        return OrderDecision("year-first", guessed=False)
    if setting != "auto":
        return OrderDecision(setting, guessed=False)
    day_first = sum(int(first) > 12 for first, _, _ in numbers)
    month_first = sum(int(second) > 12 for _, second, _ in numbers)
    if day_first != month_first:
        return OrderDecision(_AMBIGUOUS[month_first > day_first], guessed=False)
    back = [_steps_back(dates, order) for order in _AMBIGUOUS]
    if back[0] != back[1]:
        return OrderDecision(_AMBIGUOUS[back[1] < back[0]], guessed=False)
    # Nobody separates month-day-year with dots or dashes; 3/5/24 is mostly American.
    if not any("/" in text for text in dates):
        return OrderDecision("day-first", guessed=False)
    short_years = all(len(year) == 2 for _, _, year in numbers)
    unpadded = any(len(number) == 1 for first, second, _ in numbers for number in (first, second))
    return OrderDecision("month-first" if short_years and unpadded else "day-first", guessed=True)


def _begins_with_short_years(numbers: Sequence[Sequence[str]]) -> bool:
    """Whether the first numbers vary less than the last, which are days and cannot be years."""
    firsts, lasts = ({row[position] for row in numbers} for position in (0, 2))
    years = all(len(first) == 2 and int(first) > 12 for first in firsts)
    days = all(len(last) <= 2 and int(last) <= 31 for last in lasts)
    before_whatsapp = any(int(last) < _FIRST_YEAR for last in lasts)
    return years and days and before_whatsapp and len(firsts) < len(lasts)


def _steps_back(dates: Sequence[str], order: DetectedOrder) -> int:
    days = [day for day in map(Days(order).__getitem__, dates) if day is not None]
    return sum(later < earlier for earlier, later in pairwise(days))


def _numbers(text: str) -> list[str]:
    """The three numbers of a date in ASCII digits; the name of a month becomes its number."""
    digits = MONTH.sub(lambda name: f" {_FOLDED_MONTHS[name[0].casefold()]} ", text)
    return ["".join(str(int(digit)) for digit in number) for number in _NUMBERS.findall(digits)]


class Days(dict[str, date | None]):
    """A cache from a date as written to the day; None for a day that does not exist."""

    def __init__(self, order: DetectedOrder) -> None:
        super().__init__()
        self._order = order

    def __missing__(self, text: str) -> date | None:
        numbers = _numbers(text)
        era = _ERA.search(text)
        year_first = len(numbers[0]) == 4 or (era is not None and era.start() == 0)
        y, m, d = _POSITIONS["year-first" if year_first else self._order]
        year = int(numbers[y])
        if era is not None:
            year += ERAS[era[0]]
        else:
            year += 2000 if len(numbers[y]) <= 2 else 0
            year += ERAS["BE"] if year > _MIN_BUDDHIST_YEAR else 0
        try:
            self[text] = date(year, int(numbers[m]), int(numbers[d]))
        except ValueError:
            self[text] = None
        return self[text]


class Clocks(dict[str, time | None]):
    """A cache from a time as written to the time of day; None for one that does not exist."""

    def __missing__(self, text: str) -> time | None:
        hour, minute, second = [*map(int, _NUMBERS.findall(text)), 0][:3]
        period = _letters(text)
        is_night = period in _NIGHT
        if period in _PM or (is_night and 6 <= hour < 12):
            hour = hour % 12 + 12 if hour <= 12 else hour
        elif hour == 12 and (period in _AM or is_night):
            hour = 0
        try:
            self[text] = time(hour, minute, second)
        except ValueError:
            self[text] = None
        return self[text]
