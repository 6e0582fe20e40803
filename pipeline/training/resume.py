"""Where a run begins: anew, with its budget turned into steps, or where it stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.common.processes import World
from pipeline.common.screen import Screen
from pipeline.training.hardware import autotune
from pipeline.training.hardware.device import Machine
from pipeline.training.progress import (
    SLACK,
    FitSettings,
    Progress,
    grown,
    pace,
    spread,
    steps_of_epochs,
    steps_of_minutes,
)
from pipeline.training.run_checkpoints import Keeping
from pipeline.training.schedule import Schedule
from pipeline.training.step import Stepper
from pipeline.training.validation import Loss

NO_LIMIT = 1 << 62  # rows of a pass


@dataclass(frozen=True)
class Beginning:
    """What is needed to begin; `epoch`: samples of a pass, `began`: when time began to count."""

    settings: FitSettings
    stepper: Stepper
    keeping: Keeping
    epoch: int
    measure: Callable[[], Loss]
    screen: Screen
    world: World
    began: float

    def progress(self) -> Progress:
        """Where the run stands, with all that computes set up for it."""
        return self._resumed() or self._planned()

    @property
    def _place(self) -> str:
        return self.keeping.here.place

    # --- where it stopped --------------------------------------------------------------------

    def _resumed(self) -> Progress | None:
        """Where a run of this key stopped; with a larger budget, where it was before its decay."""
        found = self.keeping.found(self.keeping.last)
        if found is None:
            return None
        tensors, at = found
        steps = grown(self.settings, at, self.epoch)
        if steps > at.planned:
            before = self.keeping.found(self.keeping.stable)
            if before and at.step > before[1].step:
                tensors, at = before[0], before[1].with_best_of(at)
            at = replace(
                at,
                minutes=self.settings.minutes,
                epochs=self.settings.epochs,
                planned=steps,
                schedule=Schedule.of(steps),
                every=spread(self.settings, steps, at.every),
                waiting=0,
            )
            self.screen.note(f"continuing from step {at.step:,} of now {steps:,}")
        elif at.step < at.schedule.total:
            self.screen.note(f"continuing from step {at.step:,} of {at.schedule.total:,}")
        if at.step < at.schedule.total:
            at = self._fitted(at)
        self.keeping.put_back(tensors, at)
        return at

    def _fitted(self, at: Progress) -> Progress:
        """On another machine, computed as suits that; in several processes, with rows that fit."""
        stepper, model = self.stepper, self.stepper.model
        if at.place not in ("", self._place):
            size = self._sized_up()
            self.screen.note(f"on another machine than before: {size}, {size.seconds:.3f} s a step")
            at = replace(at, place=self._place, rows=size.rows, compiled=False, timed=False)
            way = size.machine.way
        elif self.world.size > 1:
            way = {name: value for name, value in at.way.items() if name != "recompute"}
            model.recompute = at.way["recompute"]
            stepper.use(Machine(stepper.machine.device, **way))
            rows = at.rows_in(self.world.size)
            fits = autotune.fitting(stepper, rows, self.keeping.most(rows))
            if fits < rows:
                at = replace(at, rows=autotune.evenly(at.rows, fits))
        else:
            return at
        return replace(at, way={**way, "recompute": model.recompute})

    # --- anew --------------------------------------------------------------------------------

    def _planned(self) -> Progress:
        """Turn the budget into steps, by measuring when it is given in minutes."""
        if self.world.leads:
            self.keeping.log.cut(-1)
        settings, stepper = self.settings, self.stepper
        size = self._sized_up()
        began = time.monotonic()
        first = self.measure()
        evaluation = time.monotonic() - began
        total, minutes = self._budget(size, evaluation)
        size = autotune.compile_if_it_pays(stepper, size, total * size.seconds)
        total, minutes = self._budget(size, evaluation)
        at: Progress = self.world.agreed(
            Progress(
                settings.key,
                minutes,
                settings.epochs,
                planned=total,
                schedule=Schedule.of(total),
                every=pace(settings, total, size.seconds, evaluation),
                way={**size.machine.way, "recompute": stepper.model.recompute},
                place=self._place,
                compiled=size.compiled,
                update=size.update,
                rows=size.rows,
                best=first.bits_per_byte,
                recent=first.bits_per_byte,
                timed=not settings.epochs,
                start=time.monotonic() - self.began,
                evaluation=evaluation,
            )
        )
        self._tell(at, size, first, evaluation)
        return at

    def _sized_up(self) -> autotune.Size:
        return autotune.size_up(self.stepper, self.epoch, self.keeping.most(NO_LIMIT))

    def _budget(self, size: autotune.Size, evaluation: float) -> tuple[int, float]:
        """The budget as steps, and the minutes they are worth."""
        settings = self.settings
        if settings.epochs:
            return steps_of_epochs(settings.epochs, size.update, self.epoch), settings.minutes
        left = settings.minutes * 60 - (time.monotonic() - self.began)
        steps = total = steps_of_minutes(left, size.seconds, evaluation)
        if settings.passes:
            total = min(steps, steps_of_epochs(settings.passes, size.update, self.epoch))
        return total, settings.minutes * total / steps

    def _tell(self, at: Progress, size: autotune.Size, first: Loss, evaluation: float) -> None:
        """What was chosen, how long it takes, and how much of the data it reaches."""
        passes = at.planned * at.update / self.epoch
        reach = f"{passes:.1f} passes over the data" if passes >= 1 else f"{passes:.0%} of the data"
        several = f" in {self.world.size} processes" if self.world.size > 1 else ""
        if self.stepper.sharded:
            several += ", each with its share of the model"
        evaluations = math.ceil(at.planned / at.every) * evaluation
        minutes = (at.planned * size.seconds * SLACK + evaluations) / 60
        self.screen.note(
            f"{size}{several}: {at.planned:,} steps of {size.seconds:.3f} s and "
            f"{at.update} rows, about {minutes:.1f} min, {reach}; "
            f"before training {first.bits_per_byte:.3f} bits/byte"
        )
