"""A reply as a stream of text: each piece is shown as soon as no rule can take it back.

Where an avoided word turns out to be complete, the stream goes back to the token that began it and
bans that token there. Each such step bans one token more, and there are at most `MAX_RETRIES`;
after that the reply ends before the word.
"""

from __future__ import annotations

import codecs
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence

from pipeline.serving.rules import Rule

MAX_RETRIES = 64  # fewer than 256, so that some id is always left

# (ids so far, ids that the next one must not be) → the ids that follow, until the reply ends.
Draw = Callable[[list[int], frozenset[int]], Generator[int]]


def stream_reply(
    draw: Draw, decode: Callable[[list[int]], bytes], avoid: Rule, endings: Sequence[Rule]
) -> Generator[tuple[list[int], str]]:
    """Pieces of a reply, as ids and their text."""
    draft, shown = Draft(decode), 0
    banned: dict[int, frozenset[int]] = {}  # by position in the draft
    retries = MAX_RETRIES
    complete = False
    stream = draw([], frozenset())
    try:
        while not complete:
            new = next(stream, None)
            if new is not None:
                draft.append(new)
            complete = new is None

            if (end := draft.find(endings, complete)) is not None:
                draft.truncate(max(shown, end))
                complete = True
            while (position := draft.find([avoid], complete)) is not None:
                token = draft.ids[position]
                draft.truncate(position)
                if retries:
                    retries -= 1
                    banned = {n: ids for n, ids in banned.items() if n <= position}
                    banned[position] = banned.get(position, frozenset()) | {token}
                    stream.close()
                    stream = draw(list(draft.ids), banned[position])
                    complete = False
                    break
                complete = True  # the cut may have completed another word: look again

            if complete:
                draft.truncate(max(shown, draft.whole_ids()))
            if complete or not draft.pending([avoid, *endings]):
                if len(draft.ids) > shown:
                    yield draft.ids[shown:], draft.text_from(shown)
                shown = len(draft.ids)
    finally:
        stream.close()


class Draft:
    """The ids of a reply so far, and their bytes; an id may hold parts of characters."""

    def __init__(self, decode: Callable[[list[int]], bytes]) -> None:
        self.decode = decode
        self.ids: list[int] = []
        self.data = b""
        self.offsets = [0]  # offsets[n] is the number of bytes before id n

    def append(self, new: int) -> None:
        self.ids.append(new)
        self.data += self.decode([new])
        self.offsets.append(len(self.data))

    def truncate(self, count: int) -> None:
        """Keep the first `count` ids."""
        self.data = self.data[: self.offsets[count]]
        del self.ids[count:], self.offsets[count + 1 :]

    def text_from(self, count: int) -> str:
        """The text after the first `count` ids."""
        return self.data[self.offsets[count] :].decode("utf-8", "replace")

    def find(self, rules: Sequence[Rule], complete: bool) -> int | None:
        """How many ids lie wholly before the first place where one of the rules applies."""
        # The bytes of an incomplete character at the end count only in a complete reply.
        text = codecs.utf_8_decode(self.data, "surrogateescape", complete)[0]
        indices = [i for rule in rules if (i := rule.find(text, complete)) is not None]
        if not indices:
            return None
        return self._ids_before(len(text[: min(indices)].encode("utf-8", "surrogateescape")))

    def pending(self, rules: Sequence[Rule]) -> bool:
        """Whether what comes next could change the last character, or make a rule apply here."""
        text, consumed = codecs.utf_8_decode(self.data, "surrogateescape", False)
        return consumed < len(self.data) or any(rule.pending(text) for rule in rules)

    def whole_ids(self) -> int:
        """How many ids there are before the first of an incomplete character at the end."""
        return self._ids_before(codecs.utf_8_decode(self.data, "surrogateescape", False)[1])

    def _ids_before(self, byte: int) -> int:
        return bisect_right(self.offsets, byte) - 1
