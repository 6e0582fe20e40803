"""The learning rate over a run, and how many steps fit into a budget.

Warm-up, constant, decay. The constant part is what makes a budget extendable: more steps continue
from where the decay began (Hägele et al. 2024, "Scaling laws and compute-optimal training beyond
fixed training durations", from which the 1 - sqrt decay is taken too).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DECAY_SHARE = 0.5  # of the steps
SHORTEST_DECAY = 0.1  # of the steps before it
WARMUP_SHARE = 0.02
MAX_WARMUP = 200  # steps

EVALUATION_SHARE = 0.1  # of the time, at most
MAX_EVALUATIONS = 20  # in a run
SLACK = 1.1  # a long run is slower than a few seconds of timing: heat, other programs


@dataclass(frozen=True)
class Schedule:
    """`total` steps, of which those from `decay_from` on bring the rate to zero."""

    total: int
    decay_from: int

    @classmethod
    def of(cls, total: int) -> Schedule:
        """The usual shape for a number of steps."""
        return cls(total, total - math.ceil(total * DECAY_SHARE))

    def decay_now(self, step: int) -> Schedule:
        """Begin the decay at this step, as long as if the run had been planned to end with it."""
        length = math.ceil(step * DECAY_SHARE / (1 - DECAY_SHARE))
        return Schedule(min(self.total, step + max(1, length)), step)

    def with_total(self, total: int, step: int) -> Schedule:
        """The schedule for another number of steps, of which `step` are done.

        The decay begins now at the earliest, and lasts at least a tenth of the steps before it.
        """
        usual = Schedule.of(total)
        if usual.decay_from >= step:
            return usual
        return Schedule(max(total, step + math.ceil(SHORTEST_DECAY * step)), step)

    def rate(self, step: int) -> float:
        """The learning rate at a step, as a share of the peak."""
        warmup = min(MAX_WARMUP, math.ceil(self.total * WARMUP_SHARE))
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if step < self.decay_from:
            return 1.0
        progress = (step - self.decay_from) / max(1, self.total - self.decay_from)
        return 1.0 - math.sqrt(progress)


def steps_of_epochs(epochs: float, samples_per_step: int, samples_per_epoch: int) -> int:
    """The steps of a budget in epochs."""
    return max(1, math.ceil(epochs * samples_per_epoch / samples_per_step))


def steps_of_seconds(seconds: float, step_seconds: float, evaluation_seconds: float) -> int:
    """The steps that fit into some seconds, evaluations included."""
    evaluations = min(EVALUATION_SHARE * seconds, MAX_EVALUATIONS * evaluation_seconds)
    return max(1, int((seconds - evaluations) / (step_seconds * SLACK)))


def evaluation_interval(
    setting: int | str, steps: int, step_seconds: float, evaluation_seconds: float
) -> int:
    """Steps between evaluations; `auto`: at most 20 in a run, and at most a tenth of its time."""
    if setting != "auto":
        return min(int(setting), steps)
    by_time = round(evaluation_seconds / (EVALUATION_SHARE * step_seconds))
    return max(1, min(max(math.ceil(steps / MAX_EVALUATIONS), by_time), steps))


def longer_interval(setting: int | str, steps: int, interval: int) -> int:
    """Steps between evaluations in a run that has become longer."""
    if setting != "auto":
        return interval
    return max(interval, math.ceil(steps / MAX_EVALUATIONS))
