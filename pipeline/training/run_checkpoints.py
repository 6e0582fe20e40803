"""A run's checkpoints: written as it goes, found again, and put back into what computes.

Two kinds lie in the run's folder: `last/`, from where it goes on, and `stable/`, the same from
before the decay, from where it goes on with a larger budget.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pipeline.common.errors import DataError
from pipeline.common.processes import World
from pipeline.common.screen import Screen
from pipeline.training import checkpoint, held_up
from pipeline.training.hardware import autotune
from pipeline.training.hardware.device import Machine
from pipeline.training.log import Log
from pipeline.training.progress import FitSettings, Progress
from pipeline.training.step import Stepper

Found = tuple[checkpoint.Tensors, Progress]


class Keeping:
    """The checkpoints of one run, and what they are of."""

    def __init__(
        self,
        folder: Path,
        here: held_up.Run,
        settings: FitSettings,
        stepper: Stepper,
        log: Log,
        screen: Screen,
        world: World,
    ) -> None:
        self.last = checkpoint.Folder(folder / "last", settings.train.keep_checkpoints)
        self.stable = checkpoint.Folder(folder / "stable")
        self.folder, self.here, self.log = folder, here, log
        self.settings, self.stepper = settings, stepper
        self.screen, self.world = screen, world

    def found(self, folder: checkpoint.Folder, skip: int = 0) -> Found | None:
        """A checkpoint of this run, or None when there is none or it is another run's."""
        saved = folder.read(self.screen.warn, skip, mapped=self.stepper.sharded)
        step = 1 + saved[1]["step"] if saved else 0
        if self.world.total(step) != [self.world.size * step]:  # all have read before one writes
            raise DataError("The processes read different checkpoints; run the same command again.")
        if saved is None or saved[1].get("key") != self.settings.key:
            return None
        return saved[0], Progress.from_state(saved[1])

    def most(self, rows: int) -> int:
        """At most so many rows of a pass, fewer where an earlier start found that too many."""
        return int(self.world.agreed(held_up.most(self.folder, self.here, rows)))

    def put_back(self, tensors: checkpoint.Tensors, at: Progress) -> None:
        """Compute as it was computed then, from where it was."""
        stepper = self.stepper
        way = dict(at.way)
        stepper.model.recompute = way.pop("recompute")
        stepper.use(Machine(stepper.machine.device, **way))
        if at.compiled and at.step < at.schedule.total:
            autotune.compile_again(stepper, at.rows_in(self.world.size))
        stepper.restore(tensors)
        if self.world.leads:
            self.log.cut(at.step)

    def save(self, folder: checkpoint.Folder, at: Progress) -> None:
        """Write a checkpoint; all processes must call it where the model is cut up."""
        if self.world.leads or self.stepper.sharded:
            tensors = self.stepper.state()
            if self.world.leads:
                folder.write(at.step, tensors, asdict(at))
