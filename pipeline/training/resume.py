"""Where a training run starts: from a checkpoint, or from a new plan.

`resume_or_plan` is called once, before the first step; `corrected_budget` half-way, when the steps
are known to take more or less time than planned.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

from pipeline.training.checkpoints import Checkpoint
from pipeline.training.hardware import autotune, memory
from pipeline.training.hardware.autotune import Tuned
from pipeline.training.recovery import Run, restore
from pipeline.training.schedule import (
    SLACK,
    Schedule,
    evaluation_interval,
    longer_interval,
    steps_of_epochs,
    steps_of_seconds,
)
from pipeline.training.state import Best, Budget, TimeSpent, TrainState
from pipeline.training.validation import Loss


def resume_or_plan(run: Run) -> TrainState:
    """The state to start from: this key's last checkpoint, or a new plan.

    Model, optimizers and log are restored to match. With a larger budget, a run continues from
    before its decay.
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
