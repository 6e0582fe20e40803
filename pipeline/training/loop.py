"""The one training loop: pretraining, fine-tuning and experiments all call `fit`.

Everything random is a function of the seed and the step, so a run that was stopped (Ctrl-C, a
power cut, kill -9) and started again takes the same steps as one that never was. The folder holds

    last/    where to go on from            stable/  the same, from before the decay
    best/    whatever `keep` writes         log.jsonl  one line an evaluation
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from pipeline.common.errors import Astray, DataError, ran_out
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.training import compiled, held_up
from pipeline.training.batches import Data
from pipeline.training.hardware import autotune, distributed, memory
from pipeline.training.hardware.device import Machine, peak_flops
from pipeline.training.hardware.flops import per_token
from pipeline.training.held_up import HeldUp
from pipeline.training.live_view import Watch
from pipeline.training.log import Log
from pipeline.training.progress import FitSettings, Progress, corrected, spread
from pipeline.training.resume import Beginning
from pipeline.training.run_checkpoints import Keeping
from pipeline.training.step import Diverged, Samples, Stepper, Taken
from pipeline.training.validation import Loss
from transformer.decoder import Decoder

MOST_SETBACKS = 6
WORTH_CORRECTING = 0.01  # of the steps


@dataclass(frozen=True)
class Parts:
    """What is trained, on what, and what happens at an evaluation."""

    model: Decoder  # on the CPU, or on the device already
    device: torch.device
    data: Data
    evaluate: Callable[[nn.Module], Loss]  # given the model as it is laid out over processes
    keep: Callable[[Decoder], None]  # save the model, whole: it is the best so far
    sample: Callable[[], str]  # a line of the model's own, to watch it learn


def fit(
    parts: Parts,
    settings: FitSettings,
    folder: Path,
    screen: Screen,
    world: World = ALONE,
    began: float | None = None,
) -> Progress:
    """Train until the budget is spent; returns where the run ended.

    Minutes count from now, or from when the work `began` by `time.monotonic`.

    Continues from `folder` when a run with the same key was stopped there, or ended with a smaller
    budget. Raises KeyboardInterrupt after saving when Ctrl-C was pressed. All processes of the
    `world` call it alike; the first one writes.
    """
    began = time.monotonic() if began is None else began
    log = Log(folder, settings.train.tensorboard and world.leads)
    place = world.agreed(memory.place(parts.device))
    here = held_up.Run(settings.key, place, world.size)
    try:
        run = _Run(parts, settings, here, folder, log, screen, world, began)
        run.train()
    except HeldUp as reason:
        if reason.rows == 1 and parts.model.recompute:
            raise DataError(autotune.out_of_memory(parts.model, parts.device)) from reason
        held_up.leave_note(folder, here, world.rank, reason)
        raise
    finally:
        log.close()
    if world.leads:
        held_up.forget(folder)
    return run.at


class _Run:
    """One call of `fit`."""

    def __init__(
        self,
        parts: Parts,
        settings: FitSettings,
        here: held_up.Run,
        folder: Path,
        log: Log,
        screen: Screen,
        world: World,
        began: float,
    ) -> None:
        self.parts, self.settings, self.screen, self.world = parts, settings, screen, world
        epoch = parts.data.epoch
        self.log = log
        self.stopping = False
        plain = Machine.plain(parts.device)
        self.stepper = Stepper(parts.model, parts.data, settings, plain, world)
        self.keeping = Keeping(folder, here, settings, self.stepper, log, screen, world)
        self.at = Beginning(
            settings, self.stepper, self.keeping, epoch, self._measured, screen, world, began
        ).progress()
        peak = peak_flops(self.stepper.machine) * world.size
        self.watch = Watch(screen, parts.device, per_token(parts.model), peak, epoch)

    # --- training ----------------------------------------------------------------------------

    def train(self) -> None:
        """Steps, evaluations and checkpoints until the schedule ends."""
        with self._interruptible(), self.watch:
            if self.at.step == self.at.best_step == 0:
                began = time.monotonic()
                self._keep()  # so that the best is never worse than what training began with
                self._save()
                self.at.start += time.monotonic() - began
            saved = time.monotonic()
            while self.at.step < self.at.schedule.total:
                stop = self._step()
                if stop or self._save_is_due(saved):
                    with self._aside():
                        self._save()
                    saved = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
            self._save()

    def _save_is_due(self, saved: float) -> bool:
        train = self.settings.train
        by_steps = train.save_steps and self.at.step % train.save_steps == 0
        return bool(
            self.world.agreed(by_steps or time.monotonic() - saved > train.save_minutes * 60)
        )

    def _step(self) -> bool:
        """One step and what follows it; whether to stop then."""
        try:
            taken = self._taken()
        except Diverged as reason:
            self._set_back(str(reason))
            return False
        at = self.at
        at.learned(taken.loss)
        if at.astray:
            self._set_back(f"the loss rose to {taken.loss:.2f}")
            return False
        if at.step % at.every == 0 or at.step == at.schedule.total:
            with self._aside():
                self._evaluate(taken.loss)
        if at.step == at.schedule.decay_from:
            self._correct()
        if at.step == at.schedule.decay_from:
            self.keeping.save(self.keeping.stable, at)
        return taken.stop

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Around what takes time, but is no step."""
        began = time.monotonic()
        yield
        self.at.aside += time.monotonic() - began

    def _correct(self) -> None:
        """More or fewer steps, where half of them took another time than a few promised."""
        at = self.at
        found = corrected(self.settings, at, self.parts.data.epoch)
        steps, minutes = self.world.agreed(found)
        if abs(steps / at.planned - 1) < WORTH_CORRECTING:
            return
        at.schedule = at.schedule.of_new_length(steps, at.step)
        at.planned, at.minutes = at.schedule.total, minutes * at.schedule.total / steps
        at.every = spread(self.settings, at.planned, at.every)
        self.screen.note(
            f"a step takes {(at.seconds + at.aside) / at.step:.3f} s, its share of the evaluations "
            f"included: {at.planned:,} steps fit into the time"
        )

    def _taken(self) -> Taken:
        """Take a step; where memory runs out, in smaller passes."""
        began = time.monotonic()
        at, settings = self.at, self.settings
        while True:
            samples, rate = self._samples(), self._rate()
            try:
                taken = self.stepper.take(
                    samples, settings.train.seed + at.step, rate, self.stopping
                )
                break
            except Exception as error:
                if not ran_out(error):
                    raise
            self._take_less_memory()
            at = self.at
        at.step += 1
        at.samples += samples.rows * samples.passes * self.world.size
        at.tokens += taken.tokens
        at.seconds += time.monotonic() - began
        self.watch.took(at, taken.loss, rate)
        return taken

    def _rate(self) -> float:
        at = self.at
        return self.settings.learning_rate * at.share * at.schedule.rate(at.step)

    def _samples(self) -> Samples:
        """What the next update learns from, with the present number of processes."""
        at, size = self.at, self.world.size
        rows = at.rows_in(size)
        return Samples(at.samples, rows, math.ceil(at.update / (rows * size)), at.late)

    def _take_less_memory(self) -> None:
        """At most half the rows in a pass, and more passes; an update stays what it was."""
        at = self.at
        model = self.parts.model
        rows = self._samples().rows
        if rows == 1 and model.recompute:
            raise DataError(autotune.out_of_memory(model, self.parts.device))
        if rows == 1:
            at.way["recompute"] = model.recompute = True
        at.rows = autotune.evenly(rows, rows // 2)
        at.compiled = False  # for other rows
        compiled.turn_off(model)
        memory.settle(self.stepper.machine.device)
        if self.stepper.torn:
            self._mend()
        slower = ", keeping less of each" if model.recompute else ""
        self.screen.warn(f"memory ran out; going on with {at.rows} rows in a pass{slower}")

    def _mend(self) -> None:
        """Back to the last checkpoint, since the weights are half changed."""
        found = self.keeping.found(self.keeping.last)
        if found is None:
            raise DataError(autotune.out_of_memory(self.parts.model, self.parts.device))
        tensors, before = found
        at = self.at
        self.at = replace(before.after(at), rows=at.rows, way=at.way)
        self.keeping.put_back(tensors, self.at)

    def _set_back(self, reason: str) -> None:
        """Back to the last good checkpoint, with half the rate from there on."""
        at = self.at
        found = self.keeping.found(self.keeping.last, skip=at.in_a_row)
        if found is None or at.setbacks == MOST_SETBACKS:
            raise Astray(
                f"At step {at.step:,} {reason}, and a lower rate did not help; set a lower "
                f"{self.settings.name}.learning_rate in workspace.toml (it was "
                f"{self.settings.learning_rate:.2g}) and run the stage again."
            )
        tensors, before = found
        self.at = replace(
            before.after(at),
            share=at.share / 2,
            setbacks=at.setbacks + 1,
            in_a_row=at.in_a_row + 1,
        )
        self.keeping.put_back(tensors, self.at)
        self._save()
        self.screen.warn(
            f"at step {at.step:,} {reason}: back to step {self.at.step:,}, with "
            f"{self.at.share:.3g} times the learning rate"
        )

    # --- evaluating and saving ---------------------------------------------------------------

    def _measured(self) -> Loss:
        with self.stepper.machine.autocast():
            return self.parts.evaluate(self.stepper.objective)

    def _evaluate(self, loss: float) -> None:
        """Log a full validation pass; keep the model when it is the best; decay when it stalls."""
        at, found = self.at, self._measured()
        if found.bits_per_byte < at.recent:
            at.recent = found.bits_per_byte
            at.waiting = at.in_a_row = 0
        else:
            at.waiting += 1
        best = found.bits_per_byte < at.best
        if best:
            at.best, at.best_step = found.bits_per_byte, at.step
            self._keep()
        self._log(loss, found)
        self.watch.evaluated(at, found.per_token, found.bits_per_byte, best)
        if not self.stepper.sharded and self.world.leads:
            self.watch.said(self.parts.sample())
        patience = self.settings.patience
        if patience and at.waiting >= patience:
            self._give_up()

    def _give_up(self) -> None:
        """Validation stalls: begin the decay now, or end when that has not helped either."""
        at = self.at
        at.waiting = 0
        if at.step < at.schedule.decay_from:
            at.schedule = at.schedule.cut_short(at.step)
            self.screen.note(f"no longer improving: decaying until step {at.schedule.total:,}")
        else:
            at.schedule = replace(at.schedule, total=at.step)
            self.screen.note("no longer improving: stopping early")

    def _keep(self) -> None:
        model: Decoder | None = self.parts.model
        if self.stepper.sharded:
            model = distributed.copy_whole(self.parts.model, self.world.leads)
        if self.world.leads and model is not None:
            self.parts.keep(model)

    def _save(self) -> None:
        self.keeping.save(self.keeping.last, self.at)

    def _log(self, loss: float, found: Loss) -> None:
        at = self.at
        row = {
            "step": at.step,
            "tokens": at.tokens,
            "seconds": round(at.seconds, 2),
            "lr": self.stepper.rate,
            "train_loss": round(loss, 5),
            "val_loss": round(found.per_token, 5),
            "val_bits_per_byte": round(found.bits_per_byte, 5),
            "tokens_per_second": round(at.tokens / max(at.seconds, 1e-9)),
        }
        if self.world.leads:
            self.log.add(row)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A Ctrl-C that waits for the end of the step."""

        def stop(*_: object) -> None:
            if self.stopping:
                raise KeyboardInterrupt
            self.stopping = True
            self.screen.note("stopping after this step; press Ctrl-C again to stop at once")

        mine = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, stop) if mine else None
        try:
            yield
        finally:
            if mine:
                signal.signal(signal.SIGINT, before)
