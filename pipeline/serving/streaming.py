"""A reply token by token, of which nothing is shown before it is certain to stay.

What is drawn is looked at as text, since a word may be cut into tokens in many ways. Where a word
that is avoided turns out to be complete, the drawing steps back to before it and the token that
began it is ruled out there. Every step back rules out one more, and there are at most `PATIENCE`;
then the reply ends before the word.
"""

from __future__ import annotations

import codecs
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence

from pipeline.serving.avoid import Avoid
from pipeline.serving.endings import Ending

PATIENCE = 64  # fewer than the 256 ids that any vocabulary has

# Ids that follow those drawn so far, the first of them none of a few; ends where the reply does.
Draw = Callable[[list[int], frozenset[int]], Generator[int]]


class Draft:
    """The ids of a reply so far, and their bytes."""

    def __init__(self, decode: Callable[[list[int]], bytes]) -> None:
        self.decode = decode
        self.ids: list[int] = []
        self.starts: list[int] = []  # the byte at which each id begins
        self.data = b""

    def add(self, new: int) -> None:
        self.ids.append(new)
        self.starts.append(len(self.data))
        self.data += self.decode([new])

    def text(self, whole: bool) -> str:
        """The characters so far; bytes of one that is not complete count only in a whole reply."""
        return codecs.utf_8_decode(self.data, "surrogateescape", whole)[0]

    def untorn(self) -> int:
        """How many ids there are before the first of an incomplete character at the end."""
        end = codecs.utf_8_decode(self.data, "surrogateescape", False)[1]
        return len(self.ids) if end == len(self.data) else bisect_right(self.starts, end) - 1

    def ids_before(self, place: int, whole: bool) -> int:
        """How many ids lie wholly before a character of the text."""
        before = len(self.text(whole)[:place].encode("utf-8", "surrogateescape"))
        return len(self.ids) if before == len(self.data) else bisect_right(self.starts, before) - 1

    def back_to(self, count: int) -> None:
        """Keep the first `count` ids."""
        if count < len(self.ids):
            self.data = self.data[: self.starts[count]]
            del self.ids[count:], self.starts[count:]


def certain(
    draw: Draw, decode: Callable[[list[int]], bytes], avoid: Avoid, endings: Sequence[Ending]
) -> Generator[tuple[list[int], bytes]]:
    """Ids and their bytes, as soon as nothing can take them back."""
    draft, given = Draft(decode), 0
    banned: dict[int, frozenset[int]] = {}
    patience = PATIENCE
    whole = False
    stream = draw([], frozenset())
    try:
        while not whole:
            whole = not _drawn(draft, stream)
            if (end := _end(draft, endings, whole)) is not None:
                draft.back_to(max(given, end))
                whole = True
            while (at := _avoided(draft, avoid, whole)) is not None:
                began = draft.ids[at]
                draft.back_to(at)
                whole = not patience
                if patience:
                    patience -= 1
                    banned = {n: ids for n, ids in banned.items() if n <= at}
                    banned[at] = banned.get(at, frozenset()) | {began}
                    stream.close()
                    stream = draw(list(draft.ids), banned[at])
                    break
            if whole:
                draft.back_to(max(given, draft.untorn()))
            if whole or not _open(draft, [avoid, *endings]):
                if len(draft.ids) > given:
                    yield draft.ids[given:], draft.data[draft.starts[given] :]
                given = len(draft.ids)
    finally:
        stream.close()


def _drawn(draft: Draft, stream: Iterator[int]) -> bool:
    """Add the next id; False when there is none."""
    new = next(stream, None)
    if new is not None:
        draft.add(new)
    return new is not None


def _end(draft: Draft, endings: Sequence[Ending], whole: bool) -> int | None:
    """How many ids stay, where a rule ends the reply."""
    text = draft.text(whole)
    places = [place for rule in endings if (place := rule.found(text, whole)) is not None]
    return draft.ids_before(min(places), whole) if places else None


def _avoided(draft: Draft, avoid: Avoid, whole: bool) -> int | None:
    """Which id began a word that is avoided and is complete now."""
    place = avoid.found(draft.text(whole), whole)
    return None if place is None else draft.ids_before(place, whole)


def _open(draft: Draft, rules: Sequence[Avoid | Ending]) -> bool:
    text = draft.text(False)
    torn = draft.untorn() < len(draft.ids)
    return torn or any(rule.open(text) for rule in rules)
