"""The one training loop: pretraining, fine-tuning and experiments all call `fit`.

Everything random is a function of the seed and the step, so a run that was stopped (Ctrl-C, a
power cut, kill -9) and started again takes the same steps as one that never was. The folder holds

    last/    where to go on from            stable/  the same, from before the decay
    best/    whatever `keep` writes         log.jsonl  one line an evaluation
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import DataError
from pipeline.evaluation.bits import Loss
from pipeline.files import atomic
from pipeline.screen import Bar, Screen
from pipeline.training import checkpoint
from pipeline.training.batches import Data
from pipeline.training.device import Machine, candidates, seconds
from pipeline.training.loss import summed
from pipeline.training.optimizer import optimizers, restore_state, set_rate, state_tensors
from pipeline.training.plan import (
    SLACK,
    FitSettings,
    Progress,
    grown,
    pace,
    steps_of_epochs,
    steps_of_minutes,
)
from pipeline.training.schedule import Schedule
from transformer.decoder import Decoder


@dataclass(frozen=True)
class Parts:
    """What is trained, on what, and what happens at an evaluation."""

    model: Decoder
    data: Data
    evaluate: Callable[[], Loss]
    keep: Callable[[], None]  # save the model: it is the best so far
    sample: Callable[[], str]  # a line of the model's own, to watch it learn


def fit(parts: Parts, settings: FitSettings, folder: Path, screen: Screen) -> Progress:
    """Train until the budget is spent; returns where the run ended.

    Continues from `folder` when a run with the same key was stopped there, or ended with a smaller
    budget. Raises KeyboardInterrupt after saving when Ctrl-C was pressed.
    """
    run = _Run(parts, settings, folder, screen)
    with run.session() as bar:
        run.train(bar)
    return run.at


class _Run:
    """One call of `fit`."""

    def __init__(self, parts: Parts, settings: FitSettings, folder: Path, screen: Screen) -> None:
        self.parts, self.settings, self.folder, self.screen = parts, settings, folder, screen
        self.began = time.monotonic()
        self.optimizers = optimizers(parts.model, settings.weight_decay)
        self.device = next(parts.model.parameters()).device
        self.machine = Machine(self.device)
        self.stopping = False
        self.at = self._resume() or self._plan()

    # --- where to begin ----------------------------------------------------------------------

    def _resume(self) -> Progress | None:
        """Where a run of this key stopped; with a larger budget, where it was before its decay."""
        found = self._found("last")
        if found is None:
            return None
        tensors, at = found
        steps = grown(self.settings, at, self.parts.data.epoch)
        if steps > at.planned:
            schedule = Schedule.of(steps)
            stable = self._found("stable")
            if stable and at.step > stable[1].step:
                tensors, at = stable
            at = replace(
                at,
                minutes=self.settings.minutes,
                epochs=self.settings.epochs,
                planned=steps,
                schedule=schedule,
                waiting=0,
            )
            self.screen.note(f"continuing from step {at.step:,} of now {steps:,}")
        elif at.step < at.schedule.total:
            self.screen.note(f"continuing from step {at.step:,} of {at.schedule.total:,}")
        self.machine = Machine(self.device, getattr(torch, at.dtype))
        self._load(tensors)
        self._cut_log(at.step)
        return at

    def _found(self, name: str) -> tuple[checkpoint.Tensors, Progress] | None:
        """A checkpoint of this run, or None when there is none or it is another run's."""
        if not (self.folder / name / checkpoint.NAME).exists():
            return None
        tensors, state = checkpoint.read(self.folder / name)
        at = Progress.from_state(state)
        return (tensors, at) if at.key == self.settings.key else None

    def _plan(self) -> Progress:
        """A new run: turn the budget into steps, by measuring when it is given in minutes."""
        self._cut_log(-1)
        step_time, self.machine = min(
            ((self._step_time(m), m) for m in candidates(self.settings.train, self.device)),
            key=lambda timed: timed[0],
        )
        began = time.monotonic()
        first = self._measured()
        evaluation = time.monotonic() - began
        if self.settings.epochs:
            total = steps_of_epochs(self.settings, self.parts.data.epoch)
        else:
            left = self.settings.minutes * 60 - (time.monotonic() - self.began)
            total = steps_of_minutes(left, step_time, evaluation)
        at = Progress(
            self.settings.key,
            self.settings.minutes,
            self.settings.epochs,
            planned=total,
            schedule=Schedule.of(total),
            every=pace(self.settings, total, step_time, evaluation),
            dtype=str(self.machine.dtype).removeprefix("torch."),
            best=first.bits_per_byte,
        )
        share = total * self.settings.batch * self.settings.accumulation / self.parts.data.epoch
        self.screen.note(
            f"{self.machine}: {total:,} steps of {step_time:.3f} s, about "
            f"{total * step_time * SLACK / 60:.1f} min, {share:.1f} passes over the data; "
            f"before training {first.bits_per_byte:.3f} bits/byte"
        )
        return at

    def _load(self, tensors: checkpoint.Tensors) -> None:
        own = {n: p for n, p in self.parts.model.named_parameters() if p.requires_grad}
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[f"model.{name}"])
        restore_state(self.optimizers, tensors)

    # --- training ----------------------------------------------------------------------------

    def train(self, bar: Bar) -> None:
        """Steps, evaluations and checkpoints until the schedule ends."""
        if self.at.step == 0:
            self.parts.keep()  # so that the best is never worse than what training began with
            self.save("last")
        saved = time.monotonic()
        loss = math.nan
        while self.at.step < self.at.schedule.total:
            loss = self.step()
            at = self.at
            self._show(bar, loss)
            if at.step % at.every == 0 or at.step == at.schedule.total:
                self.evaluate(loss)
            if at.step == at.schedule.decay_from:
                self.save("stable")
            if self.stopping or self._save_is_due(saved):
                self.save("last")
                saved = time.monotonic()
            if self.stopping:
                raise KeyboardInterrupt
        self.save("last")

    def _save_is_due(self, saved: float) -> bool:
        train = self.settings.train
        by_steps = train.save_steps and self.at.step % train.save_steps == 0
        return bool(by_steps) or time.monotonic() - saved > train.save_every * 60

    def step(self) -> float:
        """One update; returns the mean loss of its targets in nats."""
        began = time.monotonic()
        at, settings = self.at, self.settings
        torch.manual_seed(settings.train.seed + at.step)  # dropout depends on the step alone
        loss, seen = self._gradients(at.step)
        if not math.isfinite(loss):
            raise DataError(
                f"The loss became {loss} at step {at.step}; set a lower learning_rate "
                "(`--set pretrain.learning_rate=…`) and run the stage again."
            )
        self._update(settings.learning_rate * at.schedule.rate(at.step))
        at.step += 1
        at.tokens += seen
        at.seconds += time.monotonic() - began
        return loss

    def _step_time(self, machine: Machine) -> float:
        """Seconds of a step in one number format, tried at a rate of zero and forgotten again."""
        self.machine = machine

        def work() -> None:
            self._gradients(0)
            self._update(0.0)

        taken = seconds(work)
        self.optimizers = optimizers(self.parts.model, self.settings.weight_decay)
        return taken

    def _gradients(self, step: int) -> tuple[float, int]:
        """Accumulate gradients of the mean loss over a step's targets; mean loss, tokens seen."""
        settings = self.settings
        first = step * settings.batch * settings.accumulation
        parts = [
            self.parts.data.batch(first + k * settings.batch, settings.batch)
            for k in range(settings.accumulation)
        ]
        targets = max(1, sum(int((y >= 0).sum()) for _, y in parts))
        total, seen = 0.0, 0
        self.parts.model.train()
        for x, y in parts:
            with self.machine.autocast():
                nats, _ = summed(self.parts.model, x.to(self.device), y.to(self.device))
            torch.autograd.backward(nats / targets)
            total += nats.item()
            seen += int((x >= 0).sum())
        return total / targets, seen

    def _update(self, rate: float) -> None:
        """Change the weights by the gradients at hand."""
        set_rate(self.optimizers, rate)
        nn.utils.clip_grad_norm_(self.parts.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.parts.model.zero_grad()

    # --- evaluating and saving ---------------------------------------------------------------

    def _measured(self) -> Loss:
        with self.machine.autocast():
            return self.parts.evaluate()

    def evaluate(self, loss: float) -> None:
        """Log a full validation pass; keep the model when it is the best; decay when it stalls."""
        at, found = self.at, self._measured()
        better = found.bits_per_byte < at.best
        if better:
            at.best, at.best_step, at.waiting = found.bits_per_byte, at.step, 0
            self.parts.keep()
        else:
            at.waiting += 1
        self._log(loss, found)
        mark = "*" if better else " "
        self.screen.say(
            f"    step {at.step:>6,}/{at.schedule.total:,}  loss {loss:6.3f}  "
            f"val {found.per_token:6.3f}  {found.bits_per_byte:.3f} bits/byte {mark}  "
            f"{at.tokens / max(at.seconds, 1e-9):,.0f} tokens/s"
        )
        sample = " ⏎ ".join(self.parts.sample().split("\n"))
        self.screen.note(f"“{sample[:100]}”")
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

    def save(self, name: str) -> None:
        """Write the checkpoint `last` or `stable`."""
        model = {f"model.{n}": p for n, p in self.parts.model.named_parameters() if p.requires_grad}
        tensors = {**model, **state_tensors(self.optimizers)}
        checkpoint.write(self.folder / name, tensors, asdict(self.at))

    def _log(self, loss: float, found: Loss) -> None:
        at = self.at
        row = {
            "step": at.step,
            "tokens": at.tokens,
            "seconds": round(at.seconds, 2),
            "lr": self.optimizers[0].param_groups[0]["lr"],
            "train_loss": round(loss, 5),
            "val_loss": round(found.per_token, 5),
            "val_bits_per_byte": round(found.bits_per_byte, 5),
            "tokens_per_second": round(at.tokens / max(at.seconds, 1e-9)),
        }
        with (self.folder / "log.jsonl").open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(row) + "\n")

    def _cut_log(self, step: int) -> None:
        """Drop log lines of steps that will be taken again, and a line that was cut off."""
        path = self.folder / "log.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        with atomic(path) as file:
            file.writelines(f"{line}\n" for line in lines if _step_of(line) <= step)

    # --- the screen --------------------------------------------------------------------------

    @contextmanager
    def session(self) -> Iterator[Bar]:
        """The progress bar, and a Ctrl-C that waits for the end of the step."""

        def stop(*_: object) -> None:
            if self.stopping:
                raise KeyboardInterrupt
            self.stopping = True
            self.screen.note("stopping after this step; press Ctrl-C again to stop at once")

        mine = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, stop) if mine else None
        try:
            with self.screen.bar("training", self.at.schedule.total) as bar:
                yield bar
        finally:
            if mine:
                signal.signal(signal.SIGINT, before)

    def _show(self, bar: Bar, loss: float) -> None:
        at, settings = self.at, self.settings
        per_epoch = math.ceil(self.parts.data.epoch / (settings.batch * settings.accumulation))
        epoch, batch = divmod(at.step - 1, per_epoch)
        bar.to(
            at.step,
            at.schedule.total,
            f"loss {loss:.3f} · {at.tokens / max(at.seconds, 1e-9):,.0f} tokens/s · "
            f"epoch {epoch + 1}, batch {batch + 1:,}/{per_epoch:,}",
        )


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError):
        return math.inf
