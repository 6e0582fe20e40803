"""Where a run begins, goes on and goes back to: planned anew, or from a checkpoint.

`resume_or_plan` is called once, before the first step. The others are called by the loop: to get
the number of steps right (`corrected_budget`), and to recover from a loss that diverges or from
memory that runs out.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from pipeline.common.errors import DataError, TrainingDiverged
from pipeline.common.processes import World
from pipeline.common.screen import Screen
from pipeline.training.checkpoints import Checkpoint, Checkpoints, Log
from pipeline.training.hardware import autotune, memory
from pipeline.training.hardware.autotune import Tuned
from pipeline.training.schedule import (
    SLACK,
    Schedule,
    evaluation_interval,
    longer_interval,
    steps_of_epochs,
    steps_of_seconds,
)
from pipeline.training.state import Best, Budget, FitSettings, Parts, TimeSpent, TrainState
from pipeline.training.step import Stepper
from pipeline.training.validation import Loss

MAX_SETBACKS = 6


@dataclass(frozen=True)
class Run:
    """What a training works with. What changes from step to step is in `TrainState`."""

    parts: Parts
    settings: FitSettings
    stepper: Stepper
    checkpoints: Checkpoints
    log: Log
    screen: Screen
    world: World
    started: float  # `time.monotonic()`, from which the minutes count


def resume_or_plan(run: Run) -> TrainState:
    """Where a run of this key stopped, else the beginning of a new one; all is set up for it.

    With a larger budget, a run goes on from before its decay.
    """
    checkpoint = run.checkpoints.last()
    if checkpoint is None:
        return plan_run(run)
    settings, state, screen = run.settings, checkpoint.state, run.screen
    steps = _steps_of_budget(run, state)
    if steps > state.budget.steps:
        stable = run.checkpoints.stable()
        if stable and state.step > stable.state.step:
            best = replace(
                stable.state.best,
                bits_per_byte=state.best.bits_per_byte,
                step=state.best.step,
            )
            checkpoint = Checkpoint(stable.tensors, replace(stable.state, best=best))
        state = checkpoint.state
        state.budget = replace(
            state.budget, steps=steps, minutes=settings.minutes, epochs=settings.epochs
        )
        state.schedule = Schedule.of(steps)
        state.evaluate_every = longer_interval(
            settings.train.evaluate_steps, steps, state.evaluate_every
        )
        state.best.evaluations_since = 0
        screen.note(f"continuing from step {state.step:,} of now {steps:,}")
    elif state.step < state.schedule.total:
        screen.note(f"continuing from step {state.step:,} of {state.schedule.total:,}")
    if state.step < state.schedule.total:
        _adapt_plan(run, state)
    restore(run, Checkpoint(checkpoint.tensors, state))
    return state


def _steps_of_budget(run: Run, state: TrainState) -> int:
    """The steps of the present budget, for a run that was planned with an earlier one."""
    settings, epoch = run.settings, run.parts.data.samples_per_epoch
    if settings.epochs:
        return steps_of_epochs(settings.epochs, state.samples_per_step, epoch)
    budget = state.budget
    if budget.epochs or not budget.minutes:
        return budget.steps
    steps = round(budget.steps * settings.minutes / budget.minutes)
    if settings.max_epochs:
        enough = steps_of_epochs(settings.max_epochs, state.samples_per_step, epoch)
        steps = min(steps, max(budget.steps, enough))
    return steps


def _adapt_plan(run: Run, state: TrainState) -> None:
    """Tune the plan anew on another device; in several processes, to rows that fit."""
    stepper, world = run.stepper, run.world
    device = world.broadcast(memory.device_name(stepper.device))
    if state.device not in ("", device):
        tuned = autotune.autotune(stepper, run.parts.data.samples_per_epoch)
        words = autotune.describe(tuned.plan, stepper.device)
        run.screen.note(
            f"on another machine than before: {words}, {tuned.step_seconds:.3f} s per step"
        )
        state.compute, state.device, state.budget.timed = tuned.plan, device, False
    elif world.size > 1:
        plan = state.compute.for_processes(world.size, state.samples_per_step)
        stepper.apply(plan)
        rows = autotune.fitting_rows(stepper, plan.rows)
        if rows < plan.rows:
            rows = autotune.largest_divisor(state.compute.rows, rows)
            state.compute = replace(state.compute, rows=rows)
        state.compute = replace(state.compute, checkpointing=stepper.plan.checkpointing)


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put a checkpoint into effect: its plan, its tensors, and the log until then."""
    state, stepper = checkpoint.state, run.stepper
    stepper.apply(state.compute.for_processes(run.world.size, state.samples_per_step))
    stepper.reset()
    stepper.restore(checkpoint.tensors)
    if run.world.leads:
        run.log.cut(state.step)


# --- a new run ---------------------------------------------------------------------------------


def plan_run(run: Run) -> TrainState:
    """Turn the budget into steps, by measuring when it is in minutes."""
    settings, world = run.settings, run.world
    if world.leads:
        run.log.cut(-1)
    epoch = run.parts.data.samples_per_epoch
    tuned = autotune.autotune(run.stepper, epoch)
    began = time.monotonic()
    before = validate(run)
    evaluation = time.monotonic() - began
    steps, minutes = _plan_budget(run, tuned, evaluation)
    state = TrainState(
        key=settings.key,
        budget=Budget(steps, minutes, settings.epochs, timed=not settings.epochs),
        schedule=Schedule.of(steps),
        evaluate_every=evaluation_interval(
            settings.train.evaluate_steps, steps, tuned.step_seconds, evaluation
        ),
        samples_per_step=tuned.samples_per_step,
        compute=tuned.plan,
        device=memory.device_name(run.stepper.device),
        best=Best(before.bits_per_byte, recent=before.bits_per_byte),
        time=TimeSpent(
            startup_seconds=time.monotonic() - run.started, evaluation_seconds=evaluation
        ),
    )
    state = world.broadcast(state)
    _describe_plan(run, state, tuned, before)
    return state


def _plan_budget(run: Run, tuned: Tuned, evaluation: float) -> tuple[int, float]:
    """The budget as steps, and the minutes that they are worth."""
    settings, epoch = run.settings, run.parts.data.samples_per_epoch
    if settings.epochs:
        return steps_of_epochs(settings.epochs, tuned.samples_per_step, epoch), settings.minutes
    left = settings.minutes * 60 - (time.monotonic() - run.started)
    fitting = steps = steps_of_seconds(left, tuned.step_seconds, evaluation)
    if settings.max_epochs:
        steps = min(steps, steps_of_epochs(settings.max_epochs, tuned.samples_per_step, epoch))
    return steps, settings.minutes * steps / fitting


def _describe_plan(run: Run, state: TrainState, tuned: Tuned, before: Loss) -> None:
    """Say what was chosen, how long it takes, and how much of the data it reaches."""
    steps, stepper = state.budget.steps, run.stepper
    epochs = steps * state.samples_per_step / run.parts.data.samples_per_epoch
    reach = f"{epochs:.1f} epochs" if epochs >= 1 else f"{epochs:.0%} of the data"
    processes = f" in {run.world.size} processes" if run.world.size > 1 else ""
    if stepper.sharded:
        processes += ", each with its share of the model"
    evaluations = math.ceil(steps / state.evaluate_every) * state.time.evaluation_seconds
    minutes = (steps * tuned.step_seconds * SLACK + evaluations) / 60
    run.screen.note(
        f"{autotune.describe(tuned.plan, stepper.device)}{processes}: {steps:,} steps of "
        f"{tuned.step_seconds:.3f} s and {state.samples_per_step} rows, about {minutes:.1f} min, "
        f"{reach}; before training {before.bits_per_byte:.3f} bits/byte"
    )


def validate(run: Run) -> Loss:
    """The loss on the validation text."""
    with run.stepper.autocast:
        return run.parts.evaluate(run.stepper.objective)


# --- while it runs -----------------------------------------------------------------------------


def corrected_budget(run: Run, state: TrainState) -> Budget:
    """The budget by what the steps have taken so far, instead of by the few that were timed first.

    A run that was cut short, or whose budget is no time, keeps its own.
    """
    settings, budget, spent = run.settings, state.budget, state.time
    if settings.epochs or not budget.timed or state.schedule != Schedule.of(budget.steps):
        return budget
    fixed = spent.startup_seconds + spent.evaluation_seconds  # the last evaluation
    evaluations = state.step / state.evaluate_every * spent.evaluation_seconds
    overhead = max(spent.overhead_seconds, evaluations)
    per_step = (spent.step_seconds + overhead) / state.step
    steps = round((settings.minutes * 60 - fixed) / per_step)
    if settings.max_epochs:
        epoch = run.parts.data.samples_per_epoch
        enough = steps_of_epochs(settings.max_epochs, state.samples_per_step, epoch)
        steps = min(steps, enough)
    steps = max(state.step + 1, steps)
    return run.world.broadcast(
        replace(budget, steps=steps, minutes=(fixed + steps * per_step) / 60)
    )


def recover_from_divergence(run: Run, state: TrainState, reason: str) -> TrainState:
    """Back to a good checkpoint, with half the learning rate from there on.

    Every further setback goes back to an older one. Raises TrainingDiverged when that does not
    help.
    """
    recovery = state.recovery
    checkpoint = run.checkpoints.last(skip=recovery.setbacks_in_a_row)
    if checkpoint is None or recovery.setbacks == MAX_SETBACKS:
        raise TrainingDiverged(
            f"At step {state.step:,} {reason}, and a lower rate did not help; set a lower "
            f"{run.settings.name}.learning_rate in workspace.toml (it was "
            f"{run.settings.learning_rate:.2g}) and run the stage again."
        )
    earlier = checkpoint.state.gone_back_from(state)
    earlier.recovery = replace(
        earlier.recovery,
        lr_scale=recovery.lr_scale / 2,
        setbacks=recovery.setbacks + 1,
        setbacks_in_a_row=recovery.setbacks_in_a_row + 1,
    )
    restore(run, Checkpoint(checkpoint.tensors, earlier))
    run.checkpoints.save(run.stepper.tensors(), earlier)
    run.screen.warn(
        f"at step {state.step:,} {reason}: back to step {earlier.step:,}, with "
        f"{earlier.recovery.lr_scale:.3g} times the learning rate"
    )
    return earlier


def train_with_less_memory(run: Run, state: TrainState) -> TrainState:
    """Half the rows in a micro-batch, and more of them; the samples of a step stay the same.

    Where the memory ran out while the weights changed, back to the last checkpoint.
    """
    stepper, model = run.stepper, run.parts.model
    plan = stepper.plan
    if plan.rows == 1 and plan.checkpointing:
        raise DataError(autotune.out_of_memory(model, stepper.device))
    smaller = replace(
        state.compute,
        rows=autotune.largest_divisor(plan.rows, plan.rows // 2),
        checkpointing=plan.checkpointing or plan.rows == 1,
    ).for_processes(run.world.size, state.samples_per_step)
    memory.release(stepper.device)
    if stepper.update_interrupted:
        checkpoint = run.checkpoints.last()
        if checkpoint is None:
            raise DataError(autotune.out_of_memory(model, stepper.device))
        state = replace(checkpoint.state.gone_back_from(state), compute=smaller)
        restore(run, Checkpoint(checkpoint.tensors, state))
    else:
        state.compute = smaller
        stepper.apply(smaller)
    slower = ", with activation checkpointing" if smaller.checkpointing else ""
    run.screen.warn(f"memory ran out; going on with {smaller.rows} rows in a batch{slower}")
    return state
