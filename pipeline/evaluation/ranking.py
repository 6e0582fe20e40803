"""Does the model know the right reply among others? Ranks, from log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.scores import ratio_interval, score

Matrix = NDArray[np.float64]


def ranking(chances: Matrix, seed: int) -> dict[str, dict[str, Any]]:
    """`mean_reciprocal_rank` and `ranked_first` of the right reply, with an interval over rows.

    `chances` has shape (prompts, candidates): log-probabilities, the right reply's in column 0. The
    floor is chance. A tie counts as the mean over the orders it leaves open, so that two that tie
    for the first place are half right, and a model that tells nothing apart is at chance.
    """
    names = ("mean_reciprocal_rank", "ranked_first")
    rows, candidates = chances.shape
    if rows < 2 or candidates < 2:
        return {name: score(None, note="too few replies to rank") for name in names}
    harmonic = np.cumsum(np.concatenate([[0.0], 1 / np.arange(1, candidates + 1)]))
    better, ties = _placed(chances)
    reciprocal = (harmonic[better + ties + 1] - harmonic[better]) / (ties + 1)
    first = (better == 0) / (ties + 1)
    chance = harmonic[-1] / candidates, 1 / candidates
    note = f"among {candidates} replies; floor: chance"
    return {
        name: _mean(row, float(floor), note, seed)
        for name, row, floor in zip(names, (reciprocal, first), chance, strict=True)
    }


def _placed(chances: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many candidates are better than the right one, and how many as good; NaN is worst."""
    known = np.where(np.isnan(chances), -np.inf, chances)
    right, others = known[:, :1], known[:, 1:]
    return (others > right).sum(axis=1), (others == right).sum(axis=1)


def _mean(row: Matrix, floor: float, note: str, seed: int) -> dict[str, Any]:
    low, high = ratio_interval(row, np.ones(len(row)), seed)
    return score(
        float(row.mean()), low=low, high=high, floor=floor, ceiling=1.0, n=len(row), note=note
    )
