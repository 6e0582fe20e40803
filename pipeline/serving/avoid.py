"""Words that must never be said (`chat.avoid`), found in a text that is still being written."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.common.errors import SettingsError
from pipeline.serving.folded import folded, words_of


class Avoid:
    """Whole words and phrases, whatever their case and accents and what parts their words."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = [f" {folded(entry)} " for entry in entries]
        if "  " in self.entries:
            raise SettingsError("chat.avoid holds an entry without a letter, digit or symbol.")

    def found(self, text: str, whole: bool) -> int | None:
        """Where the first of them begins that is complete; in a `whole` text the end completes."""
        words = words_of(text)
        closed = words.text + " " * whole
        places = [place for entry in self.entries if (place := closed.find(entry)) >= 0]
        return words.at[min(places) + 1] if places else None

    def open(self, text: str) -> bool:
        """Whether what comes next could complete one that has begun."""
        if not self.entries:
            return False
        end = words_of(text).text[-max(map(len, self.entries)) :]
        begun = [end[n:] for n, c in enumerate(end[:-1]) if c == " "]
        return any(entry.startswith(rest) for entry in self.entries for rest in begun)
