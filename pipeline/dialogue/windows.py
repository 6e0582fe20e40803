"""Fine-tuning examples: windows of a conversation that fit the block, padded with -1.

x is the ids, y is x shifted by one; y is -1 wherever nothing is learned: in padding, in other
people's turns, and in turns that an earlier window taught. So every turn to learn is a target in
exactly one window, with up to a quarter of a block of context before the first of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.dialogue.template import Encoder, Rendered, render_turn
from pipeline.dialogue.turns import Turn

IGNORED = -1
# The part of a window that may precede the first turn to learn, …
TRAIN_CONTEXT = 0.25
EVAL_CONTEXT = 0.5  # … and more of it when turns are only predicted, as in a chat.


@dataclass(frozen=True)
class Example:
    """One row of the fine-tuning set: its turns, which of them are learned, and x and y.

    `share` is the fraction of the ids to learn that fit: below 1 where a turn was cut.
    """

    turns: list[Turn]
    learned: list[bool]
    x: list[int]
    y: list[int]
    share: float = 1.0

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text to learn."""
        whole = sum(t.bytes for t, learned in zip(self.turns, self.learned, strict=True) if learned)
        return round(self.share * whole)


Spans = Iterator[tuple[int, int, int]]  # first turn, end, first turn to learn


def multi(units: Sequence[Rendered], learned: Sequence[bool], room: int, context: float) -> Spans:
    """Windows of as many turns as fit in `room` ids, the first to learn after some context.

    Turns that are read but not learned cost as much time as those that are, so a window begins as
    late as `context` allows, and stretches without a turn to learn are in no window.
    """
    first = _next_learned(learned, 0)
    while first < len(units):
        start, left = first, min(int(context * room), room - len(units[first].ids))
        while start > 0 and len(units[start - 1].ids) <= left:
            start -= 1
            left -= len(units[start].ids)
        end, size = start, 0
        while end < len(units) and (end <= first or size + len(units[end].ids) <= room):
            size += len(units[end].ids)
            end += 1
        yield start, end, first
        first = _next_learned(learned, end)


def _next_learned(learned: Sequence[bool], start: int) -> int:
    """The first turn to learn from `start` on; the number of turns if there is none."""
    return next((n for n in range(start, len(learned)) if learned[n]), len(learned))


def single(units: Sequence[Rendered], learned: Sequence[bool], room: int, context: float) -> Spans:
    """Windows of one message and its reply, without what was said before."""
    for reply in range(1, len(units)):
        if learned[reply] and len(units[reply - 1].ids) < room:
            yield reply - 1, reply + 1, reply


WINDOWS: dict[str, Callable[[Sequence[Rendered], Sequence[bool], int, float], Spans]] = {
    "multi": multi,
    "single": single,
}


def examples(
    turns: Sequence[Turn],
    tokenizer: Encoder,
    learned: Sequence[bool],
    block: int,
    kind: str,
    context: float = TRAIN_CONTEXT,
) -> Iterator[Example]:
    """The examples of one conversation, of which the `learned` turns are to be learned.

    `kind` is one of `WINDOWS`. `context` is the part of a window that may precede the first turn to
    learn. A turn longer than the block is cut at its end.
    """
    units = [render_turn(t, tokenizer, flag) for t, flag in zip(turns, learned, strict=True)]
    for start, end, first in WINDOWS[kind](units, learned, block + 1, context):
        flags = [learned[n] and n >= first for n in range(start, end)]
        if not any(flags):
            continue
        length = len(flags) - flags[::-1].index(True)  # nothing is learned after it
        flags, window = flags[:length], units[start : start + length]
        ids = [i for unit in window for i in unit.ids][: block + 1]
        targets = [
            i if flag and m else IGNORED
            for unit, flag in zip(window, flags, strict=True)
            for i, m in zip(unit.ids, unit.mask, strict=True)
        ][: block + 1]
        x, y = ids[:-1], targets[1:]
        whole = sum(sum(unit.mask) for unit, flag in zip(window, flags, strict=True) if flag)
        share = sum(target != IGNORED for target in y) / whole
        yield Example(list(turns[start : start + length]), flags, x, y, share)


def padded(row: Sequence[int], block: int, side: str) -> list[int]:
    """A row padded with -1 to the length of the block, on its "right" or "left" side."""
    fill = [IGNORED] * (block - len(row))
    return [*row, *fill] if side == "right" else [*fill, *row]
