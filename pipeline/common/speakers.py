"""Find a speaker by a name as people type it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher

from pipeline.common.errors import DataError

MAX_LISTED = 12


def fold(name: str) -> str:
    """A key that is equal for spellings of one name.

    It ignores case, accents and other marks, direction marks, the `~` that WhatsApp puts before
    names outside the address book, and extra spaces.
    """
    return " ".join(fold_characters(name).split())


def fold_characters(text: str) -> str:
    """Like `fold`, but spaces stay."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in letters if c != "~" and unicodedata.category(c) not in ("Mn", "Cf"))


def find_speaker(name: str, speakers: Mapping[str, int]) -> str:
    """The one of `speakers` (name → number of messages) that `name` means.

    An exact spelling wins; otherwise exactly one must have the same `fold`. Raises DataError, which
    lists the speakers with the most similar names first.
    """
    if name in speakers:
        return name
    folded = fold(name)
    matches = [speaker for speaker in speakers if folded and fold(speaker) == folded]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DataError(f"{name!r} may be {_listed(matches, speakers)}; write the name exactly")
    choices = _listed(speakers, speakers, folded)
    raise DataError(f"nobody in the chat is called {name!r}; choose one of {choices}")


def _listed(names: Mapping[str, int] | list[str], counts: Mapping[str, int], near: str = "") -> str:
    """`Ann (120), Bob (8)`: names similar to `near` first, then those with the most messages."""

    def distance(name: str) -> tuple[float, int]:
        return -round(SequenceMatcher(None, near, fold(name)).ratio(), 1), -counts[name]

    ordered = sorted(names, key=distance)
    more = f" and {len(ordered) - MAX_LISTED} more" if len(ordered) > MAX_LISTED else ""
    return ", ".join(f"{name} ({counts[name]:,})" for name in ordered[:MAX_LISTED]) + more
