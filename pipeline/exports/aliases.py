"""One person under several names: the aliases a user sets, and pairs of names that look like one.

A contact is `~ Zed` until saved and `Zed` after, or a number first and a name later, and two
exports of one chat may each have another of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from pipeline.common.errors import SettingsError
from pipeline.common.speakers import fold

_NOT_DIGITS = re.compile(r"\D+")
_MIN_PHONE_DIGITS = 7
MAX_COMPARED = 400  # speakers; in a larger group only those with the most messages are compared


def _name_key(name: str) -> str:
    """Equal for spellings of one name; phone numbers are compared by their digits."""
    digits = _NOT_DIGITS.sub("", name)
    is_number = len(digits) >= _MIN_PHONE_DIGITS and not any(map(str.isalpha, name))
    return f"+{int(digits)}" if is_number else fold(name)


class Aliases(dict[str, str]):
    """Maps a sender as written to the person's name: `aliases["~ Zed"]` is "Zed".

    Made from rows of the form `Name = another spelling`; a sender in no row keeps its name. Raises
    SettingsError for a row without `=` or with an empty side, and for a spelling that two people
    have.
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
            if self._names.setdefault(_name_key(spelling), name) != name:
                raise SettingsError(f"parse.aliases gives {spelling!r} to two people; keep one row")
            self._names.setdefault(_name_key(name), name)

    def __missing__(self, sender: str) -> str:
        self[sender] = self._names.get(_name_key(sender), sender)
        return self[sender]


def advice(pairs: Iterable[tuple[str, str]]) -> str:
    """What to write in workspace.toml to make each of the pairs one person."""
    rows = ", ".join(json.dumps(f"{one} = {other}", ensure_ascii=False) for one, other in pairs)
    return f"in section [parse] of workspace.toml, aliases = [{rows}] joins them"


def likely_pairs(senders: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of `senders` (name to number of messages) that are probably one person.

    These are spellings of one name, or the same words in another order. The name with more
    messages comes first.
    """
    ordered = sorted(senders, key=lambda name: -senders[name])[:MAX_COMPARED]
    keys = {name: _name_key(name) for name in ordered}
    words = {name: sorted(keys[name].split()) for name in ordered}
    return [
        (one, other)
        for one, other in combinations(ordered, 2)
        if keys[one] and (keys[one] == keys[other] or words[one] == words[other])
    ]
