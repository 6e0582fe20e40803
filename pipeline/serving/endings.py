"""Where a reply must end, though the model would go on: in a text that is still being written.

Each rule answers two questions about the text so far. `found`: where must it end? `open`: could
what comes next make it end before here?
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Protocol

from pipeline.serving.folded import Words, words_of


class Ending(Protocol):
    """A rule for where a reply ends."""

    def found(self, text: str, whole: bool) -> int | None:
        """How much of the text stays; None for all. `whole`: nothing follows it."""

    def open(self, text: str) -> bool:
        """Whether `found` may later name a place inside this text."""


class Loops:
    """The same run of words again and again: the one before the last stays.

    People do say "no no no no" and send ten of one emoji, so a run of fewer different words may
    come oftener.
    """

    LEAST = 3  # words in a run
    TIMES, FEW_TIMES = 3, 8  # how often is too often, for many different words and for few

    def found(self, text: str, whole: bool) -> int | None:
        words = words_of(text)
        said = words.text.split()
        if not (whole or words.text.endswith(" ")):
            said = said[:-1]  # it may not be the whole word yet
        for size in range(self.LEAST, len(said) // self.TIMES + 1):
            run = said[-size:]
            if said[-2 * size : -size] != run:
                continue
            spoken = {word for word in run if any(map(str.isalnum, word))}
            times = self.TIMES if len(spoken) >= self.LEAST else self.FEW_TIMES
            if said[-size * times :] == run * times:
                return _end_of(words, len(said) - size)
        return None

    def open(self, text: str) -> bool:
        said = words_of(text).text.split()
        sizes = range(self.LEAST, len(said) // 2 + 1)
        return any(_repeated(said, size) > size for size in sizes)


def _repeated(said: list[str], size: int) -> int:
    """How many words at the end say what was said `size` words before; the last may be begun."""
    *pairs, last = zip(said[size:], said, strict=False)
    if not last[1].startswith(last[0]):
        return 0
    return 1 + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], reversed(pairs)))


def _end_of(words: Words, count: int) -> int:
    """Where in the text its first `count` words end."""
    spaces = [n for n, c in enumerate(words.text) if c == " "]
    return words.at[spaces[count]]


class Bubbles:
    """More bubbles than this person sends at a time."""

    def __init__(self, most: int) -> None:
        self.most = most

    def found(self, text: str, whole: bool) -> int | None:
        said = 0
        for line in re.finditer(r"[^\n]+\n", text):
            said += bool(line[0].strip())
            if said == self.most:
                return line.end() - 1
        return None

    def open(self, text: str) -> bool:
        return False


class Others:
    """A bubble that begins with a name and a colon, or a marker: somebody else's turn."""

    ROLES = ("user", "assistant", "system")
    MARKER = "<|"

    def __init__(self, names: Iterable[str]) -> None:
        self.heads = [f"{name.casefold()}:" for name in (*names, *self.ROLES)]
        either = "|".join(map(re.escape, (head[:-1] for head in self.heads)))
        marker = re.escape(self.MARKER)
        self.pattern = re.compile(rf"^[^\S\n]*(?:{either})[^\S\n]*:|{marker}", re.M | re.I)

    def found(self, text: str, whole: bool) -> int | None:
        head = self.pattern.search(text)
        return head.start() if head else None

    def open(self, text: str) -> bool:
        line = text.rpartition("\n")[2].strip().casefold()
        begun = bool(line) and any(head.startswith(line) for head in self.heads)
        return begun or text.endswith(self.MARKER[0])
