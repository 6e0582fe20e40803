"""How a run is computed on this machine, measured: rows of a batch, number format, threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch

from pipeline.common.errors import DataError
from pipeline.training.hardware import memory
from pipeline.training.hardware.device import (
    PROBE_SECONDS,
    Machine,
    candidates,
    peak_flops,
    seconds,
    timed,
)
from pipeline.training.state import ComputePlan
from pipeline.training.step import Stepper
from transformer.decoder import Decoder

MIN_SPEEDUP = 1.6  # of twice the rows in tokens per second, where 2 is perfect
MIN_STEPS_PER_EPOCH = 1000  # that a larger batch leaves
MAX_ROWS = 1 << 20


@dataclass(frozen=True)
class Tuned:
    """What was measured to be best, and the seconds of a step computed so."""

    plan: ComputePlan
    samples_per_step: int
    step_seconds: float


def autotune(stepper: Stepper, samples_per_epoch: int) -> Tuned:
    """Measure what is fastest and fits, and apply it.

    The weights stay as they are; the optimizers begin anew.
    """
    settings, world, device = stepper.settings, stepper.world, stepper.device
    rows = fitting_rows(stepper, settings.batch)
    machines = candidates(settings.train, device)
    if len(machines) > 1:
        machines.sort(key=peak_flops, reverse=True)
    plans = [replace(stepper.plan, dtype=m.precision, threads=m.threads) for m in machines]
    matters = len(plans) > 1 or not settings.epochs or settings.train.evaluate_steps == "auto"
    durations: dict[ComputePlan, float] = {}
    for plan in world.broadcast(plans):
        if min(durations.values(), default=0.0) > PROBE_SECONDS:
            break  # a step that long is all matrix products, and the first plans' are fastest
        stepper.apply(plan)
        stepper.reset()
        durations[plan] = _step_seconds(stepper, rows, precisely=matters)
    plan = min(durations, key=lambda plan: durations[plan])
    samples = settings.batch * settings.accumulation * world.size
    tuned = _tuned(plan, rows, samples, durations[plan], world.size)
    if settings.batch_may_grow and device.type != "cpu":
        stepper.apply(tuned.plan)
        stepper.reset()
        tuned = _grown(stepper, tuned, samples_per_epoch)
    stepper.apply(tuned.plan)
    stepper.reset()
    return tuned


def _tuned(
    plan: ComputePlan, rows: int, samples: int, micro_batch_seconds: float, processes: int
) -> Tuned:
    plan = replace(plan, rows=rows).for_processes(processes, samples)
    return Tuned(plan, samples, micro_batch_seconds * plan.micro_batches)


def fitting_rows(stepper: Stepper, rows_asked: int) -> int:
    """The rows of a micro-batch that fit into the memory, a divisor of `rows_asked`.

    Turns on activation checkpointing where not even one row fits without.
    """
    rows = _largest_batch(stepper, rows_asked)
    if not rows and not stepper.plan.checkpointing:
        stepper.apply(replace(stepper.plan, checkpointing=True))
        rows = _largest_batch(stepper, rows_asked)
    if not rows:
        raise DataError(out_of_memory(stepper.model, stepper.device))
    return largest_divisor(rows_asked, rows)


def largest_divisor(rows: int, limit: int) -> int:
    """The largest divisor of a number of rows that is at most `limit`."""
    return next(part for part in range(max(1, limit), 0, -1) if rows % part == 0)


def _largest_batch(stepper: Stepper, max_rows: int) -> int:
    return memory.largest_batch(
        lambda rows: stepper.dry_run(rows, sync=False),
        max_rows,
        stepper.device,
        stepper.world,
        fails_alone=not stepper.sharded,
    )


def out_of_memory(model: Decoder, device: torch.device) -> str:
    """What to do when not even one row fits."""
    gib = memory.total(device) / (1 << 30)
    return (
        f"Not even one row of {model.config.block} tokens fits into the memory "
        f"({gib:.1f} GiB); set a smaller model.block or model.size, or close other programs."
    )


def _step_seconds(stepper: Stepper, rows: int, precisely: bool = True) -> float:
    """The seconds of a micro-batch of typical length, the update included."""
    first = stepper.data.typical(rows)
    step = partial(stepper.dry_run, rows, first)
    return seconds(step, stepper.world) if precisely else stepper.world.broadcast(timed(step))


def _grown(stepper: Stepper, tuned: Tuned, samples_per_epoch: int) -> Tuned:
    """Double the rows while that trains faster, fits, and leaves enough updates in an epoch."""
    world = stepper.world
    before = _step_seconds(stepper, tuned.plan.rows)
    while 2 * tuned.samples_per_step * MIN_STEPS_PER_EPOCH <= samples_per_epoch:
        rows = 2 * tuned.plan.rows
        if rows > MAX_ROWS or _largest_batch(stepper, rows) < rows:
            break
        doubled = _step_seconds(stepper, rows)
        if world.broadcast(2 * before / doubled < MIN_SPEEDUP):
            break
        samples = max(tuned.samples_per_step, rows * world.size)
        tuned = _tuned(tuned.plan, rows, samples, doubled, world.size)
        before = doubled
    return tuned


def describe(plan: ComputePlan, device: torch.device) -> str:
    """The plan in words."""
    return str(Machine(device, plan.dtype, plan.threads))
