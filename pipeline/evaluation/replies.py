"""Replies to be measured, and their prompts drawn again for intervals.

Several replies to one prompt are no independent evidence, so whole prompts are drawn (the cluster
bootstrap: Davison and Hinkley, Bootstrap Methods, 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.scores import RESAMPLES, score

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Reply:
    """What was answered to a prompt, with a newline between messages.

    `prompt` is the number of the prompt, one of its own over all kinds; `kind` tells sets of
    prompts apart that must not be mixed.
    """

    text: str
    prompt: int
    kind: str = ""


def by_kind(replies: Sequence[Reply]) -> list[Numbers]:
    """The numbers of the replies of each kind, in order."""
    kinds = dict.fromkeys(reply.kind for reply in replies)
    return [
        np.array([n for n, reply in enumerate(replies) if reply.kind == kind]) for kind in kinds
    ]


def redrawn(replies: Sequence[Reply], seed: int) -> Iterator[list[Numbers]]:
    """`RESAMPLES` times: of each kind as many prompts as there are, with replacement.

    Yields the numbers of all replies to them, for each kind, in the order drawn.
    """
    groups = [_by_prompt(replies, part) for part in by_kind(replies)]
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        draws = [rng.integers(0, len(group), len(group)) for group in groups]
        yield [
            np.concatenate([group[n] for n in draw])
            for group, draw in zip(groups, draws, strict=True)
        ]


def _by_prompt(replies: Sequence[Reply], part: Numbers) -> list[Numbers]:
    found: dict[int, list[int]] = {}
    for n in part.tolist():
        found.setdefault(replies[n].prompt, []).append(n)
    return [np.array(numbers) for numbers in found.values()]


def weights(replies: Sequence[Reply], seed: int) -> NDArray[np.float64]:
    """How often each reply is in each of the `RESAMPLES` draws: (RESAMPLES, replies)."""
    if not replies:
        return np.zeros((RESAMPLES, 0))
    counted = [
        np.bincount(np.concatenate(parts), minlength=len(replies))
        for parts in redrawn(replies, seed)
    ]
    return np.array(counted, dtype=np.float64)


def share(
    replies: Sequence[Reply],
    top: Sequence[float],
    bottom: Sequence[float] | None = None,
    *,
    ceiling: float | None = None,
    seed: int,
    note: str = "",
) -> dict[str, Any]:
    """A score of sum(top) / sum(bottom), with a number for each reply; `bottom` is 1 by default.

    Where none or all were found the interval still has a width: as far as is probable at 2.5 % with
    so many prompts (Clopper and Pearson, 1934).
    """
    under = np.ones(len(replies)) if bottom is None else np.array(bottom, dtype=np.float64)
    over = np.array(top, dtype=np.float64)
    if not under.sum():
        return score(None, note="no replies to count in")
    value = float(over.sum() / under.sum())
    drawn = weights(replies, seed)
    ratios = (drawn @ over) / np.maximum(drawn @ under, 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975]).tolist()
    unseen = 1 - 0.025 ** (1 / len({reply.prompt for reply in replies}))
    low, high = min(low, 1 - unseen), max(high, unseen)
    return score(value, low=low, high=high, ceiling=ceiling, n=len(replies), note=note)
