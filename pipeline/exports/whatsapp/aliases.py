"""One person under several names: the table a user gives, and the pairs that look like one.

A contact is `~ Zed` until saved and `Zed` after, or a number first and a name later, and two
exports of one chat may each have their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from pipeline.common.errors import SettingsError
from pipeline.common.speakers import fold

_NOT_DIGITS = re.compile(r"\D+")
_LEAST_DIGITS = 7
MOST_COMPARED = 400  # speakers; a larger crowd is compared by its most talkative


def key(name: str) -> str:
    """A key under which spellings of one name meet; numbers meet by their digits."""
    digits = _NOT_DIGITS.sub("", name)
    is_number = len(digits) >= _LEAST_DIGITS and not any(map(str.isalpha, name))
    return f"+{int(digits)}" if is_number else fold(name)


class Aliases(dict[str, str]):
    """The name of each sender: `aliases["~ Zed"]` is "Zed", and who is in no row is who they are.

    A row is `Name = another spelling`. Raises SettingsError for a row without `=` or with an empty
    side, and for a spelling given to two people.
    """

    def __init__(self, rows: Sequence[str] = ()) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        for row in rows:
            name, _, spelling = (part.strip() for part in row.partition("="))
            if not name or not spelling:
                raise SettingsError(
                    f"parse.aliases: {row!r} must be written as 'Name = another spelling'"
                )
            if self._names.setdefault(key(spelling), name) != name:
                raise SettingsError(f"parse.aliases gives {spelling!r} to two people; keep one row")
            self._names.setdefault(key(name), name)

    def __missing__(self, sender: str) -> str:
        self[sender] = self._names.get(key(sender), sender)
        return self[sender]

    def __bool__(self) -> bool:
        return bool(self._names)


def advice(pairs: Iterable[tuple[str, str]]) -> str:
    """What to write so that each of some pairs is one person."""
    rows = ", ".join(json.dumps(f"{one} = {other}", ensure_ascii=False) for one, other in pairs)
    return f"in section [parse] of workspace.toml, aliases = [{rows}] joins them"


def likely_pairs(senders: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of `senders` (name to number of messages) that look like one person, the one who
    writes more first: the same name spelt otherwise, or its words in another order."""
    ordered = sorted(senders, key=lambda name: -senders[name])[:MOST_COMPARED]
    keys = {name: key(name) for name in ordered}
    words = {name: sorted(keys[name].split()) for name in ordered}
    return [
        (one, other)
        for one, other in combinations(ordered, 2)
        if keys[one] and (keys[one] == keys[other] or words[one] == words[other])
    ]
