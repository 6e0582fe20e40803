"""What a training is given, how it computes, and where it stands: the values behind `fit`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from torch import nn

from pipeline.training.batches import Data
from pipeline.training.schedule import Schedule
from pipeline.training.validation import Loss
from pipeline.workspace.settings import Train
from transformer.decoder import Decoder

T = TypeVar("T")
Saved = Mapping[str, Any]  # as JSON


@dataclass(frozen=True)
class Parts:
    """What is trained, on what, and what happens at an evaluation."""

    model: Decoder  # on the CPU, or already on the device
    device: torch.device
    data: Data
    evaluate: Callable[[nn.Module], Loss]  # given the objective, as it is laid out over processes
    keep: Callable[[Decoder], None]  # saves the whole model: it is the best so far
    sample: Callable[[], str]  # a line the model writes, to watch it learn


@dataclass(frozen=True)
class FitSettings:
    """How to train. `minutes` or `epochs` is the budget: how much, not what.

    `key` names everything else that shapes the result; a checkpoint of another key is not resumed.
    """

    name: str  # the settings' section, for messages
    key: str
    minutes: float
    epochs: float  # 0: the budget is in minutes
    batch: int  # rows of one micro-batch
    accumulation: int
    learning_rate: float
    weight_decay: float
    patience: int  # evaluations without improvement before the decay begins; 0: never
    train: Train
    max_epochs: float = 0.0  # more are of no use, whatever the minutes; 0: no limit
    batch_may_grow: bool = False  # where larger batches train faster
    clip: float = 1.0
    optimizer: str = "muon"  # or a name in `optimizer.SINGLE`


@dataclass(frozen=True)
class ComputePlan:
    """How a step is computed in one process: the one description of it, saved in checkpoints.

    `Stepper.apply` puts it into effect, and nothing else does.
    """

    rows: int  # of one micro-batch
    micro_batches: int = 1
    dtype: str = "float32"  # of matrix products
    threads: int = 1  # of the CPU
    checkpointing: bool = False  # activation checkpointing

    def for_processes(self, count: int, samples_per_step: int) -> ComputePlan:
        """The plan of each of `count` processes that share the samples of a step."""
        rows = min(self.rows, math.ceil(samples_per_step / count))
        return replace(self, rows=rows, micro_batches=math.ceil(samples_per_step / (rows * count)))


@dataclass
class Budget:
    """How long the run was planned to be."""

    steps: int  # before validation ended it early
    minutes: float  # that these steps are worth
    epochs: float = 0.0
    timed: bool = False  # whether a step was timed on this machine to plan them


@dataclass
class Best:
    """The best model by validation, in bits per byte."""

    bits_per_byte: float = math.inf  # of the model that is kept
    step: int = 0
    recent: float = math.inf  # the best since the run last went back to a checkpoint
    evaluations_since: int = 0  # without improving on `recent`


@dataclass
class Recovery:
    """What the run knows of its own divergence."""

    lr_scale: float = 1.0  # of the learning rate, halved at each setback
    setbacks: int = 0
    setbacks_in_a_row: int = 0  # without a better evaluation between them
    smoothed_loss: float = math.nan  # of training
    lowest_smoothed_loss: float = math.inf


@dataclass
class TimeSpent:
    """Where the seconds of the budget went."""

    step_seconds: float = 0.0
    startup_seconds: float = 0.0  # before the first step, and in steps that were gone back from
    evaluation_seconds: float = 0.0  # of the first evaluation, for planning
    overhead_seconds: float = 0.0  # between the steps: evaluations, samples, checkpoints

    def with_lost_time(self, later: TimeSpent) -> TimeSpent:
        """The time at an earlier checkpoint, with what was spent since then."""
        lost = later.step_seconds + later.overhead_seconds
        lost -= self.step_seconds + self.overhead_seconds
        return replace(self, startup_seconds=later.startup_seconds + lost)


@dataclass
class TrainState:
    """Where a run stands: the part of a checkpoint that is not tensors."""

    key: str
    budget: Budget
    schedule: Schedule
    evaluate_every: int  # steps
    samples_per_step: int  # over all processes
    compute: ComputePlan
    device: str = ""  # what `compute` was measured on
    step: int = 0
    samples: int = 0
    tokens: int = 0
    best: Best = field(default_factory=Best)
    recovery: Recovery = field(default_factory=Recovery)
    time: TimeSpent = field(default_factory=TimeSpent)

    def to_dict(self) -> Saved:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Saved) -> TrainState:
        """The inverse of `to_dict`; also reads what older versions wrote."""
        if "way" in saved:
            saved = _from_first_format(saved)
        groups = {
            "budget": _filled(Budget, saved["budget"]),
            "schedule": _filled(Schedule, saved["schedule"]),
            "compute": _filled(ComputePlan, saved["compute"]),
            "best": _filled(Best, saved["best"]),
            "recovery": _filled(Recovery, saved["recovery"]),
            "time": _filled(TimeSpent, saved["time"]),
        }
        return _filled(cls, {**saved, **groups})

    def gone_back_from(self, later: TrainState) -> TrainState:
        """This earlier state, which the run goes back to from a `later` one.

        The best model stays the best, and the time is spent.
        """
        best = replace(self.best, bits_per_byte=later.best.bits_per_byte, step=later.best.step)
        return replace(self, best=best, time=self.time.with_lost_time(later.time))


def _filled(kind: type[T], values: Saved) -> T:
    """A dataclass with those of the values that it knows: another version may have had more."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in known})


def _from_first_format(old: Saved) -> Saved:
    """The state of a checkpoint as versions before 2 wrote it: flat, under other names."""
    rows, samples_per_step = old["rows"], old["update"]
    return {
        "key": old["key"],
        "budget": {
            "steps": old["planned"],
            "minutes": old["minutes"],
            "epochs": old["epochs"],
            "timed": old.get("timed", False),
        },
        "schedule": old["schedule"],
        "evaluate_every": old["every"],
        "samples_per_step": samples_per_step,
        "compute": {
            "rows": rows,
            "micro_batches": math.ceil(samples_per_step / rows),
            "dtype": old["way"]["precision"],
            "threads": old["way"]["threads"],
            "checkpointing": old["way"]["recompute"],
        },
        "device": old.get("place", ""),
        "step": old["step"],
        "samples": old["samples"],
        "tokens": old["tokens"],
        "best": {
            "bits_per_byte": old["best"],
            "step": old["best_step"],
            "recent": old["recent"],
            "evaluations_since": old["waiting"],
        },
        "recovery": {
            "lr_scale": old["share"],
            "setbacks": old["setbacks"],
            "setbacks_in_a_row": old["in_a_row"],
            "smoothed_loss": old["smooth"],
            "lowest_smoothed_loss": old["lowest"],
        },
        "time": {
            "step_seconds": old["seconds"],
            "startup_seconds": old["start"],
            "evaluation_seconds": old["evaluation"],
            "overhead_seconds": old["aside"],
        },
    }
