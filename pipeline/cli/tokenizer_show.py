"""`tokenizer --show TEXT`: the tokens of a text with their ids, and the merges that make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import regex  # type: ignore[import-untyped, unused-ignore]
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

import minbpe
from minbpe.base import Pair, Tokenizer, merge_pair, replace_surrogates
from minbpe.regex import PATTERNS
from pipeline.common.errors import WorkspaceError
from pipeline.common.screen import Screen
from pipeline.common.tokens import visible
from pipeline.common.words import count_words
from pipeline.workspace.stages import TOKENIZER
from pipeline.workspace.workspace import Workspace

COLOURS = ("cyan", "yellow", "green", "magenta")
INDENT = 4


def show(workspace: Workspace, text: str, screen: Screen) -> None:
    """Two blocks: tokens above their ids, then each distinct piece merge by merge."""
    tokenizer = _tokenizer(workspace)
    ids = tokenizer.encode(text)
    size, words = len(replace_surrogates(text).encode()), count_words(text)
    rate = f", {size / len(ids):.2f} bytes per token" if ids else ""
    screen.say(f"{len(ids):,} tokens for {words:,} words and {size:,} bytes{rate}")
    screen.say("")
    for line in _cells(tokenizer, ids, screen.console):
        screen.console.print(line)
    replay = Replay(tokenizer)
    for piece in _pieces(tokenizer, text, ids):
        steps = list(replay.steps(piece))
        if len(steps) > 1:
            _show_steps(tokenizer, steps, screen)


def coloured(tokens: Iterable[str], console: Console, width: int | None = None) -> Text:
    """Tokens side by side, each on its own colour; with bars between where there are none.

    A line that would be wider than `width` is broken between tokens.
    """
    bar = "|" if console.color_system is None else ""
    shown, used = Text(), 0
    for number, token in enumerate(tokens):
        if number:
            shown.append(bar)
        if width is not None and used and used + cell_len(token + bar) > width:
            shown.append("\n")
            used = 0
        shown.append(token, f"black on {COLOURS[number % len(COLOURS)]}")
        used += cell_len(token + bar)
    return shown


class Replay:
    """Repeats the merges of a tokenizer one by one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._merges = tokenizer.merges
        self._order = {pair: rank for rank, pair in enumerate(self._merges)}
        self._parents: dict[int, Pair] = {}
        for pair, joined in self._merges.items():
            self._parents.setdefault(joined, pair)

    def steps(self, ids: Sequence[int]) -> Iterator[tuple[list[int], Pair | None]]:
        """From the bytes (or letters) of some tokens to the tokens: the ids after each merge.

        Yields the ids, and the pair that was joined to get there; None at the beginning.
        """
        current = self._split(ids)
        yield current, None
        while mergeable := [pair for pair in pairwise(current) if pair in self._order]:
            pair = min(mergeable, key=self._order.__getitem__)
            current = merge_pair(current, pair, self._merges[pair])
            yield current, pair

    def _split(self, ids: Sequence[int]) -> list[int]:
        """The ids that no merge made, of which these tokens consist."""
        parts: list[int] = []
        left = list(reversed(ids))
        while left:
            token_id = left.pop()
            if token_id in self._parents:
                left += reversed(self._parents[token_id])
            else:
                parts.append(token_id)
        return parts


def _tokenizer(workspace: Workspace) -> Tokenizer:
    path = workspace.path / TOKENIZER
    if not path.exists():
        raise WorkspaceError(
            f"There is no tokenizer in {workspace.path} yet; make it with `python -m pipeline 1-3`."
        )
    try:
        return minbpe.load(path)
    except minbpe.TokenizerError as error:
        raise WorkspaceError(str(error)) from None


def _pieces(tokenizer: Tokenizer, text: str, ids: Sequence[int]) -> list[list[int]]:
    """The distinct pieces that merges stay within, in order; an imported tokenizer's tokens."""
    if tokenizer.pattern is None:
        pieces = [[token_id] for token_id in ids]
    else:
        split = regex.findall(PATTERNS[tokenizer.pattern], replace_surrogates(text))
        pieces = [tokenizer.encode(piece) for piece in split]
    return [list(piece) for piece in dict.fromkeys(map(tuple, pieces))]


def _cells(tokenizer: Tokenizer, ids: Sequence[int], console: Console) -> Iterator[Text]:
    """Lines of tokens, each followed by a line of their ids, as wide as the screen."""
    above, below = Text(" " * INDENT), Text(" " * INDENT)
    for number, token_id in enumerate(ids):
        token, name = visible(tokenizer.decode_bytes([token_id])), str(token_id)
        width = max(cell_len(token), len(name))
        if number and above.cell_len + 1 + width > console.width:
            yield from (above, below, Text())
            above, below = Text(" " * INDENT), Text(" " * INDENT)
        for line in (above, below):
            line.append(" " * (line.cell_len > INDENT))
        above.append(token, f"black on {COLOURS[number % len(COLOURS)]}")
        below.append(name, "dim")
        for line, used in ((above, cell_len(token)), (below, len(name))):
            line.append(" " * (width - used))
    if ids:
        yield from (above, below)


def _show_steps(
    tokenizer: Tokenizer, steps: Sequence[tuple[list[int], Pair | None]], screen: Screen
) -> None:
    """One line a merge: the piece after it, and which two became which token."""
    first, last = steps[0][0], steps[-1][0]
    screen.say("")
    screen.say(visible(tokenizer.decode_bytes(last)), "bold")
    width = cell_len("|".join(visible(tokenizer.decode_bytes([i])) for i in first))
    for ids, pair in steps:
        shown = [visible(tokenizer.decode_bytes([i])) for i in ids]
        line = Text(" " * INDENT) + coloured(shown, screen.console)
        if pair is not None:
            line.append(" " * (width - cell_len(line.plain) + INDENT + 2))
            left, right = (visible(tokenizer.decode_bytes([i])) for i in pair)
            line.append(f"{left} + {right} → {tokenizer.merges[pair]}", "dim")
        screen.console.print(line)
