"""How much to train: the budget as a number of steps, and where a run stands on its way."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from pipeline.training.schedule import Schedule
from pipeline.workspace.settings import Train

EVALUATION_SHARE = 0.1  # of the time, at most
EVALUATIONS = 20  # in a run, at most
SLACK = 1.1  # a long run is slower than a few seconds of timing: heat, other programs
SMOOTHING = 0.95  # of the training loss, by which a run that goes astray is recognized
ASTRAY = (1.3, 0.5)  # times the lowest smoothed loss, and so many nats more


@dataclass(frozen=True)
class FitSettings:
    """How to train. `minutes` or `epochs` is the budget: how much, not what.

    `key` names everything else that shapes the result; a checkpoint of another key is not resumed.
    `passes` over the data are enough, whatever the minutes (0: never enough).
    """

    name: str  # the settings' section, for messages
    key: str
    minutes: float
    epochs: float
    batch: int  # rows of one pass
    accumulation: int
    learning_rate: float
    weight_decay: float
    patience: int
    train: Train
    passes: float = 0.0
    grows: bool = False  # whether the batch may become larger where that trains faster
    compiles: bool = False  # whether all batches have one shape, so that blocks may be compiled
    clip: float = 1.0
    optimizer: str = "muon"  # or a row of `optimizer.ALONE`


@dataclass
class Progress:
    """Where a run stands; the part of a checkpoint that is not tensors."""

    key: str
    minutes: float
    epochs: float
    planned: int  # steps of the budget, before any early decay
    schedule: Schedule
    every: int  # steps between evaluations
    way: dict[str, Any]  # how it is computed: what gives the same numbers again
    compiled: bool  # whether the blocks are
    update: int  # samples of one update, over all processes
    rows: int  # of one pass in one process
    step: int = 0
    timed: bool = False  # whether the steps were planned by what one took here
    samples: int = 0
    tokens: int = 0
    seconds: float = 0.0  # of steps, …
    start: float = 0.0  # … before them, and of those that were gone back from, …
    evaluation: float = 0.0  # … an evaluation when it was first timed, …
    aside: float = 0.0  # … and between them: evaluations, samples, checkpoints
    place: str = ""  # the machine that `way` and `rows` were measured on
    best: float = math.inf  # bits per byte of the model that is kept, …
    best_step: int = 0  # … and when it was measured, also where the run went back since
    recent: float = math.inf  # the best of this way, without what was gone back from
    waiting: int = 0  # evaluations since then
    share: float = 1.0  # of the learning rate, after setbacks
    setbacks: int = 0
    in_a_row: int = 0  # setbacks since the last better evaluation
    smooth: float = math.nan  # training loss
    lowest: float = math.inf

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        known = {field.name for field in fields(cls)}  # an older version's may be gone
        own = {name: value for name, value in state.items() if name in known}
        return cls(**{**own, "schedule": Schedule(**state["schedule"])})

    def with_best_of(self, later: Progress) -> Progress:
        """This checkpoint, gone on from; what was kept since is kept."""
        return replace(self, best=later.best, best_step=later.best_step)

    def after(self, later: Progress) -> Progress:
        """This checkpoint, gone back to; what was kept since is kept, and its time was spent."""
        lost = later.seconds + later.aside - self.seconds - self.aside
        return replace(self.with_best_of(later), start=later.start + lost)

    @property
    def late(self) -> bool:
        """Whether the rate is in its final decay."""
        return self.step >= self.schedule.decay_from

    def rows_in(self, processes: int) -> int:
        """The rows of a pass where so many processes share an update."""
        return min(self.rows, math.ceil(self.update / processes))

    def learned(self, loss: float) -> None:
        """Take in the loss of a step."""
        began = math.isnan(self.smooth) or self.step == self.schedule.decay_from
        self.smooth = loss if began else SMOOTHING * self.smooth + (1 - SMOOTHING) * loss
        self.lowest = self.smooth if began else min(self.lowest, self.smooth)

    @property
    def astray(self) -> bool:
        """Whether the training loss rises far above where it has been."""
        return self.smooth > ASTRAY[0] * self.lowest + ASTRAY[1]


def steps_of_epochs(epochs: float, update: int, epoch: int) -> int:
    """The steps of a budget in passes over `epoch` samples."""
    return max(1, math.ceil(epochs * epoch / update))


def steps_of_minutes(seconds: float, step: float, evaluation: float) -> int:
    """The steps that fit into some seconds, evaluations included."""
    spent = min(EVALUATION_SHARE * seconds, EVALUATIONS * evaluation)
    return max(1, int((seconds - spent) / (step * SLACK)))


def corrected(settings: FitSettings, at: Progress, epoch: int) -> tuple[int, float]:
    """The steps of the budget by what they have taken so far, with all that lies between them,
    instead of by the few timed first, and the minutes they are worth.

    A run that was cut short, or whose budget is no time, stays as it is.
    """
    if settings.epochs or not at.timed or at.schedule != Schedule.of(at.planned):
        return at.planned, at.minutes
    fixed = at.start + at.evaluation  # the last one
    aside = max(at.aside, at.step / at.every * at.evaluation)
    each = (at.seconds + aside) / at.step
    fitting = (settings.minutes * 60 - fixed) / each
    steps = round(fitting)
    if settings.passes:
        steps = min(steps, steps_of_epochs(settings.passes, at.update, epoch))
    steps = max(at.step + 1, steps)
    return steps, (fixed + steps * each) / 60


def pace(settings: FitSettings, total: int, step: float, evaluation: float) -> int:
    """Steps between evaluations: at most 20 in a run, and at most a tenth of its time."""
    if settings.train.evaluate_steps != "auto":
        return min(settings.train.evaluate_steps, total)
    every = max(math.ceil(total / EVALUATIONS), round(evaluation / (EVALUATION_SHARE * step)))
    return max(1, min(every, total))


def spread(settings: FitSettings, total: int, every: int) -> int:
    """Steps between evaluations in a run that has become longer."""
    if settings.train.evaluate_steps != "auto":
        return every
    return max(every, math.ceil(total / EVALUATIONS))


def grown(settings: FitSettings, at: Progress, epoch: int) -> int:
    """The steps of the present budget, for a run that was planned with an earlier one."""
    if settings.epochs:
        return steps_of_epochs(settings.epochs, at.update, epoch)
    if at.epochs or not at.minutes:
        return at.planned
    steps = round(at.planned * settings.minutes / at.minutes)
    if settings.passes:
        steps = min(steps, max(at.planned, steps_of_epochs(settings.passes, at.update, epoch)))
    return steps
