"""The one training loop: pretraining, fine-tuning and experiments all call `fit`.

Everything random is a function of the seed and the step, so a run that was stopped (Ctrl-C, a power
cut, kill -9) and started again takes the same steps as one that never was. The folder holds

    last/    where to go on from            stable/  the same, from before the decay
    best/    whatever `keep` writes         log.jsonl  one line per evaluation
"""

from __future__ import annotations

import math
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.common.errors import ran_out
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.training.checkpoints import Checkpoints, Log
from pipeline.training.hardware import distributed
from pipeline.training.live_view import LiveView
from pipeline.training.recovery import Run, recover_from_divergence, train_with_less_memory
from pipeline.training.resume import corrected_budget, resume_or_plan, validate
from pipeline.training.schedule import longer_interval
from pipeline.training.state import ComputePlan, FitSettings, Parts, TrainState
from pipeline.training.step import NonFiniteError, Stepper

SMOOTHING = 0.95  # of the training loss
DIVERGING = (1.3, 0.5)  # above 1.3 × the lowest smoothed loss + 0.5 nats
MIN_CORRECTION = 0.01  # smaller relative corrections of the steps are ignored


def fit(
    parts: Parts,
    settings: FitSettings,
    folder: Path,
    screen: Screen,
    world: World = ALONE,
    started: float | None = None,
) -> TrainState:
    """Train until the budget is spent; returns where the run ended.

    Minutes count from now, or from when the work `started` by `time.monotonic`. Continues from
    `folder` when a run with the same key was stopped there, or ended with a smaller budget. Raises
    KeyboardInterrupt after saving when Ctrl-C was pressed. All processes of the `world` call it
    alike; the first one writes.
    """
    started = time.monotonic() if started is None else started
    with Log(folder, settings.train.tensorboard and world.leads) as log:
        plan = ComputePlan(settings.batch, threads=torch.get_num_threads())
        stepper = Stepper(parts.model, parts.data, settings, parts.device, plan, world)
        checkpoints = Checkpoints(
            folder,
            settings.key,
            screen,
            settings.train.keep_checkpoints,
            world,
            mapped=stepper.sharded,
        )
        run = Run(parts, settings, stepper, checkpoints, log, screen, world, started)
        state = resume_or_plan(run)
        with LiveView(screen, stepper, state) as view, interruptible(screen) as interrupt:
            return train(run, state, view, interrupt)


def train(run: Run, state: TrainState, view: LiveView, interrupt: Interrupt) -> TrainState:
    """Steps, evaluations and checkpoints until the schedule ends."""
    settings, stepper, checkpoints, world = run.settings, run.stepper, run.checkpoints, run.world

    if state.step == state.best.step == 0:
        # The best model is never worse than the one that training began with.
        began = time.monotonic()
        keep_best(run)
        checkpoints.save(stepper.tensors(), state)
        state.time.startup_seconds += time.monotonic() - began

    saved = began = time.monotonic()
    while state.step < state.schedule.total:
        # Batch and learning rate: both follow from the step alone.
        late = state.step >= state.schedule.decay_from
        scale = state.recovery.lr_scale * state.schedule.rate(state.step)
        learning_rate = settings.learning_rate * scale

        # Step: gradients, clipping, update.
        try:
            seed = settings.train.seed + state.step
            result = stepper.step(state.samples, seed, learning_rate, late, interrupt.requested)
        except NonFiniteError as error:
            view.state = state = recover_from_divergence(run, state, str(error))
            continue
        except Exception as error:
            if world.size > 1 or not ran_out(error):
                raise
            traceback.clear_frames(error.__traceback__)  # they hold what the step has made
            view.state = state = train_with_less_memory(run, state)
            continue
        now = time.monotonic()
        state.step += 1
        state.samples += result.samples
        state.tokens += result.tokens
        state.time.step_seconds += now - began
        began = now

        # Log the training loss, smoothed anew from the decay on; where it rises far, go back.
        view.loss, view.learning_rate = result.loss, learning_rate
        recovery = state.recovery
        lowest, smoothed = recovery.lowest_smoothed_loss, recovery.smoothed_loss
        if math.isnan(smoothed) or state.step == state.schedule.decay_from:
            lowest = smoothed = result.loss
        else:
            smoothed = SMOOTHING * smoothed + (1 - SMOOTHING) * result.loss
            lowest = min(lowest, smoothed)
        recovery.lowest_smoothed_loss, recovery.smoothed_loss = lowest, smoothed
        if smoothed > DIVERGING[0] * lowest + DIVERGING[1]:
            reason = f"the loss rose to {result.loss:.2f}"
            view.state = state = recover_from_divergence(run, state, reason)
            continue

        # Evaluate, and keep the best model.
        if state.step % state.evaluate_every == 0 or state.step == state.schedule.total:
            validation, best = validate(run), state.best
            if validation.bits_per_byte < best.recent:
                best.recent = validation.bits_per_byte
                best.evaluations_since = recovery.setbacks_in_a_row = 0
            else:
                best.evaluations_since += 1
            is_best = validation.bits_per_byte < best.bits_per_byte
            if is_best:
                best.bits_per_byte, best.step = validation.bits_per_byte, state.step
                keep_best(run)
            if world.leads:
                run.log.add(state, learning_rate, result.loss, validation)
            view.evaluated(result.loss, validation, is_best)
            if world.leads and not stepper.sharded:
                view.wrote(run.parts.sample())
            if settings.patience and best.evaluations_since >= settings.patience:
                decay_or_stop(run, state)
            began = spend_overhead(state, began)

        # Checkpoint: before the decay, every few minutes or steps, and to stop.
        if state.step == state.schedule.decay_from:
            correct_steps(run, state)
        if state.step == state.schedule.decay_from:
            checkpoints.save_stable(stepper.tensors(), state)
        due = time.monotonic() - saved > 60 * settings.train.save_minutes
        due |= bool(settings.train.save_steps) and state.step % settings.train.save_steps == 0
        if world.broadcast(due) or result.stop:
            checkpoints.save(stepper.tensors(), state)
            saved = began = spend_overhead(state, began)

        # Stop.
        if result.stop:
            raise KeyboardInterrupt

    checkpoints.save(stepper.tensors(), state)
    return state


def spend_overhead(state: TrainState, began: float) -> float:
    """Count the time since `began` as overhead; returns the time now."""
    now = time.monotonic()
    state.time.overhead_seconds += now - began
    return now


def keep_best(run: Run) -> None:
    """Save the model, whole: it is the best so far."""
    model = run.parts.model
    if run.stepper.sharded:
        model = distributed.copy_whole(model, run.world)
    if run.world.leads:
        run.parts.keep(model)


def decay_or_stop(run: Run, state: TrainState) -> None:
    """Validation stalls: begin the decay now, or end when that has not helped either."""
    state.best.evaluations_since = 0
    if state.step < state.schedule.decay_from:
        state.schedule = state.schedule.decay_now(state.step)
        run.screen.note(f"no longer improving: decaying until step {state.schedule.total:,}")
    else:
        state.schedule = replace(state.schedule, total=state.step)
        run.screen.note("no longer improving: stopping early")


def correct_steps(run: Run, state: TrainState) -> None:
    """More or fewer steps, where those until now took another time than the first ones promised."""
    budget = corrected_budget(run, state)
    if abs(budget.steps / state.budget.steps - 1) < MIN_CORRECTION:
        return
    state.schedule = state.schedule.with_total(budget.steps, state.step)
    steps = state.schedule.total
    minutes = budget.minutes * steps / budget.steps
    state.budget = replace(budget, steps=steps, minutes=minutes)
    state.evaluate_every = longer_interval(
        run.settings.train.evaluate_steps, steps, state.evaluate_every
    )
    per_step = (state.time.step_seconds + state.time.overhead_seconds) / state.step
    run.screen.note(
        f"a step takes {per_step:.3f} s, its share of the evaluations included: {steps:,} steps "
        "fit into the time"
    )


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed."""

    requested: bool = False


@contextmanager
def interruptible(screen: Screen) -> Iterator[Interrupt]:
    """Ctrl-C waits for the end of the step; pressed again, it stops at once."""
    interrupt = Interrupt()

    def on_interrupt(*_: object) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True
        screen.note("stopping after this step; press Ctrl-C again to stop at once")

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, on_interrupt) if in_main_thread else None
    try:
        yield interrupt
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, before)
