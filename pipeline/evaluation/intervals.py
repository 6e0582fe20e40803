"""Scores in the shape that `scores.json` promises, and their bootstrap intervals.

Several replies to one prompt are not independent evidence, so for replies whole prompts are drawn
again (the cluster bootstrap: Davison and Hinkley, Bootstrap Methods, 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.moments import Reply

RESAMPLES = 2000
FEW = 20  # observations below which a score is called rough

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


class Score(TypedDict):
    """One metric: its value with a 95 % interval, and the floor and ceiling it lies between."""

    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    ceiling: float | None
    n: int
    note: str


Scores = dict[str, Score]


def score(
    value: float | None,
    *,
    low: float | None = None,
    high: float | None = None,
    floor: float | None = None,
    ceiling: float | None = None,
    n: int = 0,
    note: str = "",
) -> Score:
    """A score, rounded. `value` is None where it could not be measured; `note` then says why."""

    def rounded(number: float | None) -> float | None:
        return None if number is None else round(number, 4)

    return {
        "value": rounded(value),
        "low": rounded(low),
        "high": rounded(high),
        "floor": rounded(floor),
        "ceiling": rounded(ceiling),
        "n": n,
        "note": note,
    }


def progress(value: float, floor: float, ceiling: float) -> float:
    """How far `value` has come from `floor` (0) to `ceiling` (1)."""
    return (value - floor) / (ceiling - floor) if ceiling != floor else float("nan")


def ratio_interval(top: Floats, bottom: Floats, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of sum(top) / sum(bottom), over rows drawn with replacement."""
    draws = np.random.default_rng(seed).integers(0, len(top), size=(RESAMPLES, len(top)))
    ratios = top[draws].sum(axis=1) / np.maximum(bottom[draws].sum(axis=1), 1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def share_score(
    replies: Sequence[Reply],
    top: Sequence[float],
    bottom: Sequence[float] | None = None,
    *,
    ceiling: float | None = None,
    seed: int,
    note: str = "",
) -> Score:
    """The score of sum(top) / sum(bottom), with a number for each reply; `bottom` defaults to 1.

    The interval has a width even where the share is 0 or 1: it reaches as far as has a probability
    of 2.5 % with this many prompts (Clopper and Pearson, 1934).
    """
    under = np.ones(len(replies)) if bottom is None else np.array(bottom, dtype=np.float64)
    over = np.array(top, dtype=np.float64)
    if not under.sum():
        return score(None, note="no replies to count in")
    value = float(over.sum() / under.sum())
    counts = resample_counts(replies, seed)
    ratios = (counts @ over) / np.maximum(counts @ under, 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975]).tolist()
    unseen = 1 - 0.025 ** (1 / len({reply.prompt for reply in replies}))
    low, high = min(low, 1 - unseen), max(high, unseen)
    return score(value, low=low, high=high, ceiling=ceiling, n=len(replies), note=note)


# --- drawing prompts again -----------------------------------------------------------------------


def resample_counts(replies: Sequence[Reply], seed: int) -> Floats:
    """How often each reply is in each of the `RESAMPLES` draws: (RESAMPLES, replies)."""
    if not replies:
        return np.zeros((RESAMPLES, 0))
    counts = [
        np.bincount(np.concatenate(parts), minlength=len(replies))
        for parts in resampled(replies, seed)
    ]
    return np.array(counts, dtype=np.float64)


def resampled(replies: Sequence[Reply], seed: int) -> Iterator[list[Indices]]:
    """`RESAMPLES` draws of as many prompts of each kind as there are, with replacement.

    Each is, kind by kind, the indices of all replies to the prompts drawn, in the order drawn.
    """
    groups = [_by_prompt(replies, part) for part in by_kind(replies)]
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        draws = [rng.integers(0, len(group), len(group)) for group in groups]
        yield [
            np.concatenate([group[n] for n in draw])
            for group, draw in zip(groups, draws, strict=True)
        ]


def by_kind(replies: Sequence[Reply]) -> list[Indices]:
    """The indices of the replies of each kind, in order."""
    kinds = dict.fromkeys(reply.kind for reply in replies)
    return [
        np.array([n for n, reply in enumerate(replies) if reply.kind == kind]) for kind in kinds
    ]


def _by_prompt(replies: Sequence[Reply], part: Indices) -> list[Indices]:
    groups: dict[int, list[int]] = {}
    for n in part.tolist():
        groups.setdefault(replies[n].prompt, []).append(n)
    return [np.array(indices) for indices in groups.values()]
