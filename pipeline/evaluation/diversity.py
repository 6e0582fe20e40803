"""Whether replies repeat themselves: distinct words and runs of words, equal replies, loops.

Distinct-n is the share of different n-grams among all (Li et al., "A diversity-promoting objective
function for neural conversation models", 2016, section 5). It falls with the amount of text, so
that two sets are only compared on equally many words; and several replies to one prompt are alike
for a good reason, so one of them is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.words import words
from pipeline.evaluation.replies import Reply, share
from pipeline.evaluation.scores import score

ORDERS = 10  # random orders that are averaged
GROUPS = 20  # of prompts, each left out once for the interval
LOOP, TIMES = 3, 3  # so many words at least, so many times in a row

Figures = NDArray[np.float64]
_NAMES = ("distinct_1", "distinct_2", "distinct_3", "same_replies")


@dataclass(frozen=True)
class _Size:
    """How much is compared."""

    replies: int
    words: int


def diversity(real: Sequence[Reply], made: Sequence[Reply], seed: int) -> dict[str, dict[str, Any]]:
    """`distinct_1` to `distinct_3`, `same_replies` and `loops`, with the real ones as ceiling.

    Words count, in scripts without spaces characters. Intervals are the grouped jackknife's over
    prompts (drawing prompts again would double words, and so lower the figures).
    """
    sets = _Told.of(real), _Told.of(made)
    size = _Size(min(len(told.prompts) for told in sets), min(told.least for told in sets))
    scores = {"loops": _loops(real, made, seed)}
    if size.replies < 2 or not size.words:
        return scores | {name: score(None, note="too few words to compare") for name in _NAMES}
    ceilings, values = (told.figures(size, seed) for told in sets)
    reach = 1.96 * sets[1].errors(size, seed)
    lows, highs = np.maximum(0, values - reach), np.minimum(1, values + reach)
    note = f"on {size.words:,} words; same_replies on {size.replies:,} replies"
    for n, name in enumerate(_NAMES):
        value, low, high, limit = map(float, (values[n], lows[n], highs[n], ceilings[n]))
        scores[name] = score(value, low=low, high=high, ceiling=limit, n=len(made), note=note)
    return scores


def _loops(real: Sequence[Reply], made: Sequence[Reply], seed: int) -> dict[str, Any]:
    theirs, ours = ([loops(words(r.text)) for r in replies] for replies in (real, made))
    return share(made, ours, ceiling=float(np.mean(theirs)) if theirs else None, seed=seed)


class _Told:
    """The replies to each prompt, as their folded text and their words."""

    def __init__(self, prompts: list[list[tuple[str, list[str]]]]) -> None:
        self.prompts = prompts

    @classmethod
    def of(cls, replies: Sequence[Reply]) -> _Told:
        found: dict[int, list[tuple[str, list[str]]]] = {}
        for reply in replies:
            folded = " ".join(reply.text.casefold().split())
            found.setdefault(reply.prompt, []).append((folded, words(reply.text)))
        return cls(list(found.values()))

    @property
    def least(self) -> int:
        """Words that there are whichever reply to each prompt is taken."""
        return sum(min(len(said) for _, said in replies) for replies in self.prompts)

    def figures(self, size: _Size, seed: int, without: slice | None = None) -> Figures:
        """One reply a prompt in random orders, the mean of the figures of each.

        Those `without` are left out of orders that are otherwise the same.
        """
        rng = np.random.default_rng(seed)
        left_out = set(range(len(self.prompts))[without]) if without else set()
        found = []
        for _ in range(ORDERS):
            order, picks = rng.permutation(len(self.prompts)), rng.random(len(self.prompts))
            chosen = [
                self.prompts[n][int(picks[n] * len(self.prompts[n]))]
                for n in order
                if n not in left_out
            ]
            found.append(_once(chosen, size))
        return np.asarray(np.mean(found, axis=0))

    def errors(self, size: _Size, seed: int) -> Figures:
        """Standard errors of the figures: Davison and Hinkley, 1997, section 2.7.3, by groups."""
        count = min(GROUPS, len(self.prompts))
        groups = [slice(n, None, count) for n in range(count)]
        words_left = min(self._without(group).least for group in groups)
        smaller = _Size(size.replies - -(-size.replies // count), min(size.words, words_left))
        found = [self.figures(smaller, seed, group) for group in groups]
        return np.asarray(np.sqrt((count - 1) * np.var(found, axis=0)))

    def _without(self, group: slice) -> _Told:
        left_out = set(range(len(self.prompts))[group])
        return _Told([replies for n, replies in enumerate(self.prompts) if n not in left_out])


def _once(chosen: list[tuple[str, list[str]]], size: _Size) -> list[float]:
    texts = [text for text, _ in chosen[: size.replies]]
    said = _first([tokens for _, tokens in chosen], size.words)
    return [*(distinct(said, n) for n in (1, 2, 3)), same(texts)]


def _first(replies: list[list[str]], count: int) -> list[list[str]]:
    """The first so many words, still reply by reply."""
    found = []
    for tokens in replies:
        found.append(tokens[:count])
        count -= len(found[-1])
    return found


def distinct(replies: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams among all; none spans two replies."""
    grams = [tuple(r[at : at + n]) for r in replies for at in range(len(r) - n + 1)]
    return len(set(grams)) / max(1, len(grams))


def same(texts: Sequence[str]) -> float:
    """The share of texts that equal another one."""
    counts = Counter(texts)
    return sum(count for count in counts.values() if count > 1) / max(1, len(texts))


def loops(tokens: Sequence[str]) -> bool:
    """Whether a run of three words or more stands three times in a row."""
    return any(_repeats(tokens, period) for period in range(LOOP, len(tokens) // TIMES + 1))


def _repeats(tokens: Sequence[str], period: int) -> bool:
    """Whether so many words stand three times in a row: 2 x period words equal to those after."""
    run = 0
    for one, other in zip(tokens, tokens[period:], strict=False):
        run = run + 1 if one == other else 0
        if run == (TIMES - 1) * period:
            return True
    return False
