"""What the runs of a family found, in the order of its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Any

from pipeline.experiments.families import Family, Variant
from pipeline.experiments.ranking import Difference, Spread


@dataclass
class Outcome:
    """The records of a variant, a seed each."""

    variant: Variant
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Those whose process did its work, failed trainings included."""
        return [record for record in self.records if "machine" in record]

    def values(self, name: str) -> list[float]:
        """One figure of all runs that came to an end."""
        return [r[name] for r in self.records if r.get(name) is not None]

    def mean(self, name: str) -> float | None:
        """The same, on the average; None where there is none."""
        found = self.values(name)
        return fmean(found) if found else None

    def first(self, name: str) -> Any:
        """A figure that is measured with the first seed alone."""
        return self.records[0].get(name) if self.records else None

    @property
    def losses(self) -> list[float]:
        """Validation loss in nats a token, by which variants are compared."""
        return self.values("val_loss")

    @property
    def failed(self) -> str | None:
        """Why a run came to no end."""
        return next((str(r["failed"]) for r in self.records if "failed" in r), None)

    @property
    def setbacks(self) -> int:
        """How often its runs went astray and went back, with half the rate from there on."""
        return int(sum(self.values("setbacks")))

    @property
    def speed(self) -> float | None:
        """Training tokens a second in the fastest stretch between two evaluations of any run: what
        another program on the machine disturbs least."""
        found = [rate for record in self.records for rate in _rates(record.get("curve") or [])]
        return max(found, default=None)

    def longer(self, times: int) -> dict[str, Any] | None:
        """At so many times the training length: mean loss and bits per byte, or the refusal."""
        found = [r["longer"][str(times)] for r in self.records if r.get("longer")]
        if not found or "refused" in found[0]:
            return found[0] if found else None
        return {name: fmean(row[name] for row in found) for name in found[0]}


def _rates(curve: list[dict[str, float]]) -> list[float]:
    """Tokens a second between the rows of a curve, which begins at nothing."""
    at = [(0.0, 0.0), *((row["tokens"], row["seconds"]) for row in curve)]
    return [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(at) if b[1] > a[1]]


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
        """How much better the first is; None where a run of either came to no end."""
        losses = self[one].losses, self[other].losses
        if not all(losses):
            return None
        return Difference.between(*losses, self.spread(one.group))

    def difference_to_baseline(self, variant: Variant) -> Difference | None:
        """How much better a variant is than its group's baseline.

        None for that itself, and for what began from another: it is smaller and learned for longer.
        """
        baseline = self.family.groups[variant.group][0]
        apart = variant is baseline or variant.start
        return None if apart else self.difference(variant, baseline)
