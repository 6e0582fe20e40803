"""Going back and going on: after a loss that diverged, and after memory ran out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.common.errors import DataError, TrainingDiverged
from pipeline.common.processes import World
from pipeline.common.screen import Screen
from pipeline.training.checkpoints import Checkpoint, Checkpoints, Log
from pipeline.training.hardware import autotune, memory
from pipeline.training.state import FitSettings, Parts, TrainState
from pipeline.training.step import Stepper

MAX_SETBACKS = 6


@dataclass(frozen=True)
class Run:
    """What a training run works with. What changes from step to step is in `TrainState`."""

    parts: Parts
    settings: FitSettings
    stepper: Stepper
    checkpoints: Checkpoints
    log: Log
    screen: Screen
    world: World
    started: float  # `time.monotonic()`, from which the minutes count


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put a checkpoint into effect: its plan, its tensors, and the log until then."""
    state, stepper = checkpoint.state, run.stepper
    stepper.apply(state.compute.for_processes(run.world.size, state.samples_per_step))
    stepper.reset()
    stepper.restore(checkpoint.tensors)
    if run.world.leads:
        run.log.cut(state.step)


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
    """Use smaller micro-batches, and more of them; the samples of a step stay the same.

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
