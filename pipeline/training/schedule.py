"""The learning rate over a run: warm-up, constant, decay.

The constant part is what makes a budget extendable: more steps continue from where the decay began
(Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training durations",
from which the 1 - sqrt decay is taken too).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DECAY_SHARE = 0.5
SHORTEST_DECAY = 0.1
WARMUP_SHARE = 0.02
WARMUP_MOST = 200


@dataclass(frozen=True)
class Schedule:
    """`total` steps, of which those from `decay_from` on bring the rate to zero."""

    total: int
    decay_from: int

    @classmethod
    def of(cls, total: int) -> Schedule:
        """The usual shape for a number of steps."""
        return cls(total, total - math.ceil(total * DECAY_SHARE))

    def cut_short(self, step: int) -> Schedule:
        """Begin the decay now, as long as it would be had the run been planned to end with it."""
        length = math.ceil(step * DECAY_SHARE / (1 - DECAY_SHARE))
        return Schedule(min(self.total, step + max(1, length)), step)

    def of_new_length(self, total: int, step: int) -> Schedule:
        """For another number of steps, of which some are done; the decay begins now at the
        earliest, and is never shorter than a tenth of what came before it."""
        usual = Schedule.of(total)
        if usual.decay_from >= step:
            return usual
        return Schedule(max(total, step + math.ceil(SHORTEST_DECAY * step)), step)

    def rate(self, step: int) -> float:
        """The share of the peak rate at a step."""
        warmup = min(WARMUP_MOST, math.ceil(self.total * WARMUP_SHARE))
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if step < self.decay_from:
            return 1.0
        left = (step - self.decay_from) / max(1, self.total - self.decay_from)
        return 1.0 - math.sqrt(left)
