"""Fine-tuning examples: windows of a conversation that fit the block, padded with -1.

x is the ids, y the same moved by one; y is -1 wherever nothing is to be learned: in padding, in
the turns of others, and in turns that an earlier window taught already. So every turn to learn is
a target exactly once, and has up to a quarter of a block of context before it, or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.dialogue.template import Encoder, Rendered, render_turn
from pipeline.dialogue.turns import Turn

IGNORED = -1
BEFORE = 0.25  # of a window may be turns before the first that is learned, …
MEASURED = 0.5  # … and before the first that is only predicted: more context, as in a chat


@dataclass(frozen=True)
class Example:
    """One row of the fine-tuning set: the turns in it, which are learned, and x and y.

    `share` of what is learned is in it: less than 1 where a turn was cut.
    """

    turns: list[Turn]
    learned: list[bool]
    x: list[int]
    y: list[int]
    share: float = 1.0

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text to learn."""
        whole = sum(t.bytes for t, new in zip(self.turns, self.learned, strict=True) if new)
        return round(self.share * whole)


Spans = Iterator[tuple[int, int, int]]  # first turn, end, first turn to learn


def multi(units: Sequence[Rendered], learned: Sequence[bool], room: int, before: float) -> Spans:
    """As many turns as fit, of which the first to learn comes after a few others: its context.

    What is read and teaches nothing costs as much as what does, so a window begins as late as that
    context allows, and none is spent on turns between two that are learned far apart.
    """
    first = _next(learned, 0)
    while first < len(units):
        start, left = first, min(int(before * room), room - len(units[first].ids))
        while start > 0 and len(units[start - 1].ids) <= left:
            start -= 1
            left -= len(units[start].ids)
        end, size = start, 0
        while end < len(units) and (end <= first or size + len(units[end].ids) <= room):
            size += len(units[end].ids)
            end += 1
        yield start, end, first
        first = _next(learned, end)


def _next(learned: Sequence[bool], start: int) -> int:
    """The next turn to learn; the number of turns if there is none."""
    return next((n for n in range(start, len(learned)) if learned[n]), len(learned))


def single(units: Sequence[Rendered], learned: Sequence[bool], room: int, before: float) -> Spans:
    """One message and its reply, without what was said before."""
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
    wanted: Sequence[bool],
    block: int,
    kind: str,
    before: float = BEFORE,
) -> Iterator[Example]:
    """The examples of one conversation, of whose turns the `wanted` are learned.

    `before` is the share of a window that others' turns may take up before the first of them. A
    turn longer than the block is cut at its end.
    """
    units = [render_turn(t, tokenizer, w) for t, w in zip(turns, wanted, strict=True)]
    for start, end, taught in WINDOWS[kind](units, wanted, block + 1, before):
        fresh = [wanted[n] and n >= taught for n in range(start, end)]
        if any(fresh):
            end = start + len(fresh) - fresh[::-1].index(True)  # nothing is learned after it
            fresh = fresh[: end - start]
            x, y = _row(units[start:end], fresh, block)
            whole = sum(sum(units[n].mask) for n in range(start, end) if fresh[n - start])
            share = sum(target != IGNORED for target in y) / whole
            yield Example(list(turns[start:end]), fresh, x, y, share)


def _row(
    units: Sequence[Rendered], fresh: Sequence[bool], block: int
) -> tuple[list[int], list[int]]:
    ids = [i for unit in units for i in unit.ids][: block + 1]
    targets = [
        i if new and m else IGNORED
        for unit, new in zip(units, fresh, strict=True)
        for i, m in zip(unit.ids, unit.mask, strict=True)
    ][: block + 1]
    return ids[:-1], targets[1:]


def padded(row: Sequence[int], block: int, side: str) -> list[int]:
    """A row filled up with -1 to the length of the block."""
    fill = [IGNORED] * (block - len(row))
    return [*row, *fill] if side == "right" else [*fill, *row]
