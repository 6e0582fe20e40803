"""Scores with intervals, in the shape that `scores.json` promises for every metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
FEW = 20


def score(
    value: float | None,
    *,
    low: float | None = None,
    high: float | None = None,
    floor: float | None = None,
    ceiling: float | None = None,
    n: int = 0,
    note: str = "",
) -> dict[str, Any]:
    """One metric. `value` is None where it could not be measured; `note` then says why."""
    numbers = {"value": value, "low": low, "high": high, "floor": floor, "ceiling": ceiling}
    rounded = {k: None if v is None else round(v, 4) for k, v in numbers.items()}
    return {**rounded, "n": n, "note": note}


def ratio_interval(
    top: NDArray[np.float64], bottom: NDArray[np.float64], seed: int
) -> tuple[float, float]:
    """95 % bootstrap interval of sum(top) / sum(bottom) over rows drawn again with replacement."""
    draws = np.random.default_rng(seed).integers(0, len(top), size=(RESAMPLES, len(top)))
    ratios = top[draws].sum(axis=1) / np.maximum(bottom[draws].sum(axis=1), 1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def way(value: float, floor: float, ceiling: float) -> float:
    """How far `value` has got from `floor` (0) to `ceiling` (1)."""
    return (value - floor) / (ceiling - floor) if ceiling != floor else float("nan")
