"""Whether replies repeat themselves: distinct words and n-grams, equal replies, loops.

Distinct-n is the share of different n-grams among all (Li et al., "A diversity-promoting objective
function for neural conversation models", 2016, section 5). It falls with the amount of text, so
two sets are compared on equally many words only; and several replies to one prompt are alike for a
good reason, so one of them is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.common.words import words
from pipeline.evaluation.intervals import Floats, Score, Scores, score, share_score
from pipeline.evaluation.moments import Reply

ORDERS = 10  # random orders that are averaged
GROUPS = 20  # of prompts, each left out once for the interval
LOOP_WORDS, LOOP_TIMES = 3, 3  # a loop: at least this many words, this many times in a row

METRICS = ("distinct_1", "distinct_2", "distinct_3", "same_replies")


@dataclass(frozen=True)
class _Size:
    """How much is compared."""

    replies: int
    words: int


def diversity(real: Sequence[Reply], generated: Sequence[Reply], seed: int) -> Scores:
    """`distinct_1` to `distinct_3`, `same_replies` and `loops`, with the real ones as ceiling.

    Words are counted, in scripts without spaces characters. Intervals are the grouped jackknife's
    over prompts (resampling prompts would duplicate words, and so lower the figures).
    """
    theirs, ours = _ReplySet(real), _ReplySet(generated)
    size = _Size(min(len(s.prompts) for s in (theirs, ours)), min(theirs.words, ours.words))
    scores = {"loops": _loop_score(real, generated, seed)}
    if size.replies < 2 or not size.words:
        return scores | {name: score(None, note="too few words to compare") for name in METRICS}
    ceilings, values = theirs.figures(size, seed), ours.figures(size, seed)
    reach = 1.96 * ours.errors(size, seed)
    lows, highs = np.maximum(0, values - reach), np.minimum(1, values + reach)
    note = f"on {size.words:,} words; same_replies on {size.replies:,} replies"
    for n, name in enumerate(METRICS):
        value, low, high, limit = map(float, (values[n], lows[n], highs[n], ceilings[n]))
        scores[name] = score(value, low=low, high=high, ceiling=limit, n=len(generated), note=note)
    return scores


def _loop_score(real: Sequence[Reply], generated: Sequence[Reply], seed: int) -> Score:
    theirs, ours = ([loops(words(r.text)) for r in replies] for replies in (real, generated))
    return share_score(
        generated, ours, ceiling=float(np.mean(theirs)) if theirs else None, seed=seed
    )


class _ReplySet:
    """The replies to each prompt, as their folded text and their words."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        by_prompt: dict[int, list[tuple[str, list[str]]]] = {}
        for reply in replies:
            folded = " ".join(reply.text.casefold().split())
            by_prompt.setdefault(reply.prompt, []).append((folded, words(reply.text)))
        self.prompts = list(by_prompt.values())
        # The fewest words of a reply to each prompt: what there is whichever reply is picked.
        self.fewest = [min(len(said) for _, said in replies) for replies in self.prompts]

    @property
    def words(self) -> int:
        """Words that there are whichever reply to each prompt is picked."""
        return sum(self.fewest)

    def figures(self, size: _Size, seed: int, without: slice | None = None) -> Floats:
        """The `METRICS` of one reply to each prompt in random orders, averaged.

        The prompts in `without` are left out of orders that are otherwise the same.
        """
        rng = np.random.default_rng(seed)
        left_out = set(range(len(self.prompts))[without]) if without else set()
        figures = []
        for _ in range(ORDERS):
            order, picks = rng.permutation(len(self.prompts)), rng.random(len(self.prompts))
            chosen = [
                self.prompts[n][int(picks[n] * len(self.prompts[n]))]
                for n in order
                if n not in left_out
            ]
            texts = [text for text, _ in chosen[: size.replies]]
            said = _first_words([tokens for _, tokens in chosen], size.words)
            figures.append([*(distinct(said, n) for n in (1, 2, 3)), same(texts)])
        return np.asarray(np.mean(figures, axis=0))

    def errors(self, size: _Size, seed: int) -> Floats:
        """Standard errors of the figures: Davison and Hinkley, 1997, section 2.7.3, by groups."""
        count = min(GROUPS, len(self.prompts))
        groups = [slice(n, None, count) for n in range(count)]
        words_left = min(self.words - sum(self.fewest[group]) for group in groups)
        smaller = _Size(size.replies - -(-size.replies // count), min(size.words, words_left))
        figures = [self.figures(smaller, seed, group) for group in groups]
        return np.asarray(np.sqrt((count - 1) * np.var(figures, axis=0)))


def _first_words(replies: list[list[str]], count: int) -> list[list[str]]:
    """The first `count` words, still reply by reply."""
    first = []
    for tokens in replies:
        first.append(tokens[:count])
        count -= len(first[-1])
    return first


def distinct(replies: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams among all; none spans two replies."""
    grams = [tuple(r[i : i + n]) for r in replies for i in range(len(r) - n + 1)]
    return len(set(grams)) / max(1, len(grams))


def same(texts: Sequence[str]) -> float:
    """The share of texts that equal another one."""
    counts = Counter(texts)
    return sum(count for count in counts.values() if count > 1) / max(1, len(texts))


def loops(tokens: Sequence[str]) -> bool:
    """Whether a run of three words or more stands three times in a row."""
    return any(
        _repeats(tokens, period) for period in range(LOOP_WORDS, len(tokens) // LOOP_TIMES + 1)
    )


def _repeats(tokens: Sequence[str], period: int) -> bool:
    """Whether `period` words stand three times in a row: 2 x period words equal those after."""
    run = 0
    for one, other in zip(tokens, tokens[period:], strict=False):
        run = run + 1 if one == other else 0
        if run == (LOOP_TIMES - 1) * period:
            return True
    return False
