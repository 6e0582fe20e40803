"""How much to train: the budget as a number of steps, and where a run stands on its way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pipeline.config import Train
from pipeline.training.schedule import Schedule

EVALUATION_SHARE = 0.1  # of the time, at most
EVALUATIONS = 20  # in a run, at most
SLACK = 1.1  # a long run is slower than a few seconds of timing: heat, other programs


@dataclass(frozen=True)
class FitSettings:
    """How to train. `minutes` or `epochs` is the budget: how much, not what.

    `key` names everything else that shapes the result; a checkpoint of another key is not resumed.
    """

    key: str
    minutes: float
    epochs: float
    batch: int
    accumulation: int
    learning_rate: float
    weight_decay: float
    patience: int
    train: Train
    clip: float = 1.0


@dataclass
class Progress:
    """Where a run stands; the part of a checkpoint that is not tensors."""

    key: str
    minutes: float
    epochs: float
    planned: int  # steps of the budget, before any early decay
    schedule: Schedule
    every: int  # steps between evaluations
    dtype: str  # of the matrix products
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float = math.inf  # bits per byte
    best_step: int = 0
    waiting: int = 0  # evaluations since the best

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        return cls(**{**state, "schedule": Schedule(**state["schedule"])})


def steps_of_epochs(settings: FitSettings, epoch: int) -> int:
    """The steps of a budget in passes over `epoch` samples."""
    per_step = settings.batch * settings.accumulation
    return max(1, math.ceil(settings.epochs * epoch / per_step))


def steps_of_minutes(seconds: float, step: float, evaluation: float) -> int:
    """The steps that fit into some seconds, evaluations included."""
    spent = min(EVALUATION_SHARE * seconds, EVALUATIONS * evaluation)
    return max(1, int((seconds - spent) / (step * SLACK)))


def pace(settings: FitSettings, total: int, step: float, evaluation: float) -> int:
    """Steps between evaluations: at most 20 in a run, and at most a tenth of its time."""
    if settings.train.evaluate_every != "auto":
        return min(settings.train.evaluate_every, total)
    every = max(math.ceil(total / EVALUATIONS), round(evaluation / (EVALUATION_SHARE * step)))
    return max(1, min(every, total))


def grown(settings: FitSettings, at: Progress, epoch: int) -> int:
    """The steps of the present budget, for a run that was planned with an earlier one."""
    if settings.epochs:
        return steps_of_epochs(settings, epoch)
    if at.epochs or not at.minutes:
        return at.planned
    return round(at.planned * settings.minutes / at.minutes)
