"""From the digits of a header to a date and a time, and from all dates of a file to their order.

03/04/2024 is the third of April or the fourth of March; only the whole file can tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time
from itertools import pairwise
from typing import Literal, NamedTuple

from pipeline.common.errors import SettingsError
from pipeline.exports.whatsapp.daywords import AM, ERAS, MONTHS, NIGHT, PM
from pipeline.exports.whatsapp.headers import MONTH

DateOrder = Literal["auto", "day-first", "month-first"]
DATE_ORDERS: tuple[DateOrder, ...] = ("auto", "day-first", "month-first")
FoundOrder = Literal["year-first", "day-first", "month-first"]

# Where year, month and day stand among the three numbers.
_PLACES: dict[FoundOrder, tuple[int, int, int]] = {
    "year-first": (0, 1, 2),
    "day-first": (2, 1, 0),
    "month-first": (2, 0, 1),
}
_BOTH: tuple[FoundOrder, FoundOrder] = ("day-first", "month-first")
_NUMBERS = re.compile(r"\d+")
_FIRST_YEAR = 9  # of WhatsApp, without its century
_BUDDHIST = 2400  # Thai phones leave out which calendar it is
_ERA = re.compile("|".join(map(re.escape, sorted(ERAS, key=len, reverse=True))))
_NOT_LETTERS = re.compile(r"[\W\d_]+")


def _letters(text: str) -> str:
    return _NOT_LETTERS.sub("", text).lower()


_AM, _PM, _NIGHT = ({_letters(token) for token in tokens} for tokens in (AM, PM, NIGHT))
_FOLDED_MONTHS = {name.casefold(): number for name, number in MONTHS.items()}


class Verdict(NamedTuple):
    """The order of a file's dates, and whether nothing in the file spoke for it."""

    order: FoundOrder
    guessed: bool


def check_date_order(value: str) -> None:
    """Raise SettingsError unless `value` is one of `DATE_ORDERS`."""
    if value not in DATE_ORDERS:
        raise SettingsError(
            f"parse.date_order is {value!r}; choose one of {', '.join(DATE_ORDERS)}"
        )


def decide_order(dates: Sequence[str], wanted: DateOrder = "auto") -> Verdict:
    """The order of the numbers in `dates`, which are as written and in the order of the file.

    In turn: a first number of four digits; first numbers that are years of two digits, as Korean
    phones write them; `wanted`; a number above 12 (if there are some in both
    places, the commoner place); the order under which the dates go back in time less often; what
    the separators suggest. When nothing speaks, day first. The last two with slashes are guesses.
    """
    if named := [text for text in dates if MONTH.search(text)]:
        return Verdict("day-first" if named[0][0].isdigit() else "month-first", guessed=False)
    numbers = [_numbers(text) for text in dates]
    if sum(len(first) == 4 for first, *_ in numbers) * 2 > len(numbers):
        return Verdict("year-first", guessed=False)
    if wanted == "auto" and _begins_with_short_years(numbers):
        return Verdict("year-first", guessed=False)
    if wanted != "auto":
        return Verdict(wanted, guessed=False)
    day_first = sum(int(first) > 12 for first, _, _ in numbers)
    month_first = sum(int(second) > 12 for _, second, _ in numbers)
    if day_first != month_first:
        return Verdict(_BOTH[month_first > day_first], guessed=False)
    back = [_steps_back(dates, order) for order in _BOTH]
    if back[0] != back[1]:
        return Verdict(_BOTH[back[1] < back[0]], guessed=False)
    return _by_habit(dates)


def _begins_with_short_years(numbers: Sequence[Sequence[str]]) -> bool:
    """Whether the first numbers change less than the last, which are days and cannot be years."""
    firsts, lasts = ({row[place] for row in numbers} for place in (0, 2))
    years = all(len(first) == 2 and int(first) > 12 for first in firsts)
    days = all(len(last) <= 2 and int(last) <= 31 for last in lasts)
    before_whatsapp = any(int(last) < _FIRST_YEAR for last in lasts)
    return years and days and before_whatsapp and len(firsts) < len(lasts)


def _by_habit(dates: Sequence[str]) -> Verdict:
    """Nobody parts month-day-year with dots or dashes; 3/5/24 is how the US writes, mostly."""
    if not any("/" in text for text in dates):
        return Verdict("day-first", guessed=False)
    numbers = [_numbers(text) for text in dates]
    short_years = all(len(year) == 2 for _, _, year in numbers)
    unpadded = any(len(number) == 1 for first, second, _ in numbers for number in (first, second))
    return Verdict("month-first" if short_years and unpadded else "day-first", guessed=True)


def _steps_back(dates: Sequence[str], order: FoundOrder) -> int:
    days = [day for day in map(Days(order).__getitem__, dates) if day is not None]
    return sum(later < earlier for earlier, later in pairwise(days))


def _numbers(text: str) -> list[str]:
    """The three numbers of a date in ASCII digits, a month's name being its number."""
    bare = MONTH.sub(lambda name: f" {_FOLDED_MONTHS[name[0].casefold()]} ", text)
    return ["".join(str(int(digit)) for digit in number) for number in _NUMBERS.findall(bare)]


class Days(dict[str, date | None]):
    """The day of each date as written, worked out once; None for a day that does not exist."""

    def __init__(self, order: FoundOrder) -> None:
        super().__init__()
        self._order = order

    def __missing__(self, text: str) -> date | None:
        numbers = _numbers(text)
        era = _ERA.search(text)
        year_first = len(numbers[0]) == 4 or (era is not None and era.start() == 0)
        y, m, d = _PLACES["year-first" if year_first else self._order]
        year = int(numbers[y])
        if era is not None:
            year += ERAS[era[0]]
        else:
            year += 2000 if len(numbers[y]) <= 2 else 0
            year += ERAS["BE"] if year > _BUDDHIST else 0
        try:
            self[text] = date(year, int(numbers[m]), int(numbers[d]))
        except ValueError:
            self[text] = None
        return self[text]


class Clocks(dict[str, time | None]):
    """The time of day of each time as written, worked out once; None for an impossible one."""

    def __missing__(self, text: str) -> time | None:
        hour, minute, second = [*map(int, _NUMBERS.findall(text)), 0][:3]
        half = _letters(text)
        is_night = half in _NIGHT
        if half in _PM or (is_night and 6 <= hour < 12):
            hour = hour % 12 + 12 if hour <= 12 else hour
        elif hour == 12 and (half in _AM or is_night):
            hour = 0
        try:
            self[text] = time(hour, minute, second)
        except ValueError:
            self[text] = None
        return self[text]
