"""What the runs of a family found, and which differences are larger than chance.

The spread of a group is the standard deviation over seeds, pooled over all its variants with
several runs. Two means differ significantly if their difference exceeds Student's t (95 %,
two-sided) times its standard error, so a variant with one run needs a larger difference than one
with three. Nothing corrects for the number of comparisons, or for the best variants having been
chosen by a run that is among theirs: a difference just above the threshold is weak evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, variance

from pipeline.experiments.trial import CurveRow, Record
from pipeline.experiments.variants import Family, Variant

# Student's t at 95 %, two-sided, by degrees of freedom; beyond the last about the same.
T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True)
class Spread:
    """A standard deviation over seeds, and its degrees of freedom."""

    deviation: float
    freedom: int

    @classmethod
    def of(cls, groups: Sequence[Sequence[float]]) -> Spread | None:
        """Pooled over variants; None where none has several runs."""
        several = [values for values in groups if len(values) > 1]
        freedom = sum(len(values) - 1 for values in several)
        if not freedom:
            return None
        squares = sum(variance(values) * (len(values) - 1) for values in several)
        return cls(math.sqrt(squares / freedom), freedom)

    def threshold(self, runs: int, other_runs: int) -> float:
        """The smallest significant difference between the means of two variants."""
        t = T95[min(self.freedom, len(T95)) - 1]
        return t * self.deviation * math.sqrt(1 / runs + 1 / other_runs)


@dataclass(frozen=True)
class Difference:
    """How much lower one mean loss is than another, and from where that is significant."""

    gain: float
    threshold: float

    @classmethod
    def between(
        cls, one: Sequence[float], other: Sequence[float], spread: Spread | None
    ) -> Difference:
        """Of the losses of two variants; positive where the first is better."""
        threshold = spread.threshold(len(one), len(other)) if spread else math.inf
        return cls(fmean(other) - fmean(one), threshold)

    @property
    def word(self) -> str:
        """better, worse or same."""
        if abs(self.gain) <= self.threshold:
            return "same"
        return "better" if self.gain > 0 else "worse"

    @property
    def added_loss(self) -> str:
        """What is added to the other's loss, with its sign."""
        return f"{round(-self.gain, 3) + 0.0:+.3f}"

    @property
    def note(self) -> str:
        """The threshold in brackets; nothing where no seeds were compared."""
        known = math.isfinite(self.threshold)
        return f" (significant from {self.threshold:.3f})" if known else ""


@dataclass
class Outcome:
    """The records of a variant, one per seed."""

    variant: Variant
    records: list[Record] = field(default_factory=list)

    def values(self, name: str) -> list[float]:
        """A figure of all runs that have it."""
        values = (record.get(name) for record in self.records)
        return [value for value in values if isinstance(value, int | float)]

    def mean(self, name: str) -> float | None:
        """The mean of a figure over the runs; None where there is none."""
        values = self.values(name)
        return fmean(values) if values else None

    @property
    def first(self) -> Record:
        """The record of the first seed, the only one with some of the measurements."""
        return self.records[0] if self.records else {}

    @property
    def losses(self) -> list[float]:
        """Validation loss in nats per token, by which variants are compared."""
        return self.values("val_loss")

    @property
    def failed(self) -> str | None:
        """Why a run did not finish."""
        return next((r["failed"] for r in self.records if "failed" in r), None)

    @property
    def speed(self) -> float | None:
        """Training tokens per second between the two evaluations where it was highest: what other
        programs on the machine disturb least."""
        rates = [rate for record in self.records for rate in _rates(record.get("curve") or [])]
        return max(rates, default=None)

    def longer(self, times: int) -> dict[str, float] | str | None:
        """Mean loss and bits per byte at `times` the training length, or why it is impossible."""
        rows = [r["longer"][str(times)] for r in self.records if r.get("longer")]
        if not rows:
            return None
        if "refused" in rows[0]:
            return str(rows[0]["refused"])
        return {name: fmean(float(row[name]) for row in rows) for name in rows[0]}


def _rates(curve: Sequence[CurveRow]) -> list[float]:
    """Tokens per second between the rows of a curve, starting from zero."""
    points = [(0.0, 0.0), *((row["tokens"], row["seconds"]) for row in curve)]
    return [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(points) if b[1] > a[1]]


@dataclass
class Results:
    """The outcomes of a family."""

    family: Family
    outcomes: dict[str, Outcome]

    def __getitem__(self, variant: Variant) -> Outcome:
        return self.outcomes[variant.label]

    def spread(self, group: str) -> Spread | None:
        """Over the seeds of a group's variants."""
        return Spread.of([self[v].losses for v in self.family.groups[group]])

    def difference(self, one: Variant, other: Variant) -> Difference | None:
        """How much better the first is; None where a run of either did not finish."""
        losses = self[one].losses, self[other].losses
        if not all(losses):
            return None
        return Difference.between(*losses, self.spread(one.group))

    def difference_to_baseline(self, variant: Variant) -> Difference | None:
        """How much better a variant is than its baseline.

        None for the baseline itself, and for pooled variants: they are smaller and trained longer.
        """
        baseline = self.family.baseline(variant)
        incomparable = variant is baseline or variant.pooled_from
        return None if incomparable else self.difference(variant, baseline)
