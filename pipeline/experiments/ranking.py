"""What may be said: a difference counts when it is larger than the seeds' own.

The spread of a group is the standard deviation over seeds, pooled over all its variants that have
several runs. Two means differ when they lie further apart than Student's t (95 %, two-sided) times
the standard error of their difference; so a variant with one run needs a larger difference than one
with three. Nothing corrects for the number of pairs, or for the best having been chosen by a run
that counts among theirs: a difference just beyond what counts is weak evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

# Student's t at 95 %, two-sided, by degrees of freedom; beyond the last about as there.
T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True)
class Spread:
    """A standard deviation over seeds, and the degrees of freedom that it was found with."""

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

    def least(self, one: int, other: int) -> float:
        """The least difference that counts between the means of so many runs each."""
        t = T95[min(self.freedom, len(T95)) - 1]
        return t * self.deviation * math.sqrt(1 / one + 1 / other)


@dataclass(frozen=True)
class Difference:
    """How much lower one mean loss is than another, and from where on that counts."""

    gain: float
    least: float

    @classmethod
    def between(
        cls, one: Sequence[float], other: Sequence[float], spread: Spread | None
    ) -> Difference:
        """Of the losses of two variants; positive where the first is better."""
        least = spread.least(len(one), len(other)) if spread else math.inf
        return cls(fmean(other) - fmean(one), least)

    @property
    def counts(self) -> bool:
        """Whether it is large enough to be more than luck."""
        return abs(self.gain) > self.least

    @property
    def threshold(self) -> str:
        """From where on it counts, in brackets; nothing where no seeds were compared."""
        return f" (counts from {self.least:.3f} on)" if math.isfinite(self.least) else ""

    @property
    def signed(self) -> str:
        """What is added to the other's loss."""
        return f"{round(-self.gain, 3) + 0.0:+.3f}"

    @property
    def word(self) -> str:
        """better, worse or same."""
        if not self.counts:
            return "same"
        return "better" if self.gain > 0 else "worse"
