"""Finding a speaker by a name as people type it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher

from pipeline.common.errors import DataError

SHOWN = 12


def fold(name: str) -> str:
    """A key under which spellings of one name meet.

    Without regard to case, accents and other marks, direction marks, the `~` that WhatsApp puts
    before names outside the address book, and spaces at the ends or doubled.
    """
    return " ".join(bare(name).split())


def bare(text: str) -> str:
    """Without regard to case, accents and marks, direction marks and `~`; spaces stay."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in letters if c != "~" and unicodedata.category(c) not in ("Mn", "Cf"))


def find_speaker(name: str, speakers: Mapping[str, int]) -> str:
    """The one of `speakers` (name to number of messages) that `name` means.

    An exact spelling wins; otherwise `fold` must agree with exactly one. Raises DataError that
    lists who is there, the nearest names first.
    """
    if name in speakers:
        return name
    wanted = fold(name)
    matches = [speaker for speaker in speakers if wanted and fold(speaker) == wanted]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DataError(f"{name!r} may be {_listed(matches, speakers)}; write the name exactly")
    listed = _listed(speakers, speakers, wanted)
    raise DataError(f"nobody in the chat is called {name!r}; choose one of {listed}")


def _listed(names: Mapping[str, int] | list[str], counts: Mapping[str, int], near: str = "") -> str:
    """`Ann (120), Bob (8)`: those like `near` first, then those who write most."""

    def distance(name: str) -> tuple[float, int]:
        return -round(SequenceMatcher(None, near, fold(name)).ratio(), 1), -counts[name]

    ordered = sorted(names, key=distance)
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(f"{name} ({counts[name]:,})" for name in ordered[:SHOWN]) + more
