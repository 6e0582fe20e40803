"""How a run is computed on this machine, all of it measured: rows, number format, threads."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import torch

from pipeline.common.errors import DataError
from pipeline.training import compiled
from pipeline.training.hardware import memory
from pipeline.training.hardware.device import (
    PROBE_SECONDS,
    Machine,
    candidates,
    peak_flops,
    seconds,
)
from pipeline.training.step import Stepper
from transformer.decoder import Decoder

WORTH = 1.6  # times the tokens a second that a doubled pass must come near: 2 is perfect
UPDATES = 1000  # in a pass over the data, that a larger batch leaves at least
LOOKED_AT = 64  # batches, to know how long they are
WORTH_COMPILING = 60 * compiled.TYPICAL_SECONDS  # of training, before it is even tried


@dataclass(frozen=True)
class Size:
    """What was found: how to compute, rows of a pass, samples of an update, seconds of one."""

    machine: Machine
    rows: int
    update: int
    seconds: float
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.machine}{', compiled' if self.compiled else ''}"


def size_up(stepper: Stepper, epoch: int, most: int) -> Size:
    """Measure what is fastest and fits, with at `most` so many rows of a pass.

    The weights stay, the optimizers' memory goes.
    """
    settings, world = stepper.settings, stepper.world
    rows = fitting(stepper, settings.batch, most)
    device = stepper.machine.device
    machines = sorted(candidates(settings.train, device), key=peak_flops, reverse=True)
    taken: dict[Machine, float] = {}
    for precision, threads in world.agreed([(m.precision, m.threads) for m in machines]):
        if min(taken.values(), default=0.0) > PROBE_SECONDS:
            break  # a step that long is all products, and these are the fastest
        machine = Machine(device, precision, threads)
        taken[machine] = _timed(stepper, machine, rows)
    machine = min(taken, key=lambda m: taken[m])
    update = settings.batch * settings.accumulation * world.size
    size = Size(machine, rows, update, taken[machine] * math.ceil(update / (rows * world.size)))
    if settings.grows and machine.device.type != "cpu":
        size = _grown(stepper, size, epoch, most)
    stepper.use(size.machine)
    return size


def fitting(stepper: Stepper, wanted: int, most: int) -> int:
    """The rows of a pass that fit into 90 % of the memory, at most `most`, of which several make up
    all those `wanted`.

    At most none is one that keeps less.
    """
    if most < 1:
        stepper.model.recompute, most = True, 1
    most = min(wanted, most)
    rows = _largest(stepper, most)
    if not rows and not stepper.model.recompute:
        stepper.model.recompute = True  # slower, but keeps far less
        rows = _largest(stepper, most)
    if not rows:
        raise DataError(out_of_memory(stepper.model, stepper.machine.device))
    return evenly(wanted, rows)


def evenly(rows: int, most: int) -> int:
    """The largest part of some rows, of at most so many, that goes into them without a rest."""
    return next(part for part in range(max(1, most), 0, -1) if rows % part == 0)


def _largest(stepper: Stepper, most: int) -> int:
    return memory.largest(stepper.rehearse, most, stepper.machine.device, stepper.world)


def compile_if_it_pays(stepper: Stepper, size: Size, left: float) -> Size:
    """Compile the blocks where enough seconds are left to try it, and steps become shorter."""
    if not stepper.settings.compiles or stepper.world.agreed(left < WORTH_COMPILING):
        return size
    if stepper.model.recompute or not _able(stepper):
        return size
    block, world = stepper.model.config.block, stepper.world
    step = partial(stepper.rehearse, size.rows)
    trial = compiled.tried(stepper.model, size.rows, block, step, world)
    stepper.use(size.machine)
    if trial is None or not world.agreed(trial.pays):
        compiled.turn_off(stepper.model)
        return size
    return replace(size, seconds=size.seconds * trial.compiled / trial.plain, compiled=True)


def compile_again(stepper: Stepper, rows: int) -> None:
    """Compile the blocks of a run that was compiled before it stopped, where they are not."""
    world = stepper.world
    if world.total(compiled.is_on(stepper.model)) == [world.size] or not _able(stepper):
        return
    block = stepper.model.config.block
    compiled.turn_on(stepper.model, rows, block, partial(stepper.rehearse, rows), world)
    stepper.use(stepper.machine)


def _able(stepper: Stepper) -> bool:
    """Whether all processes can compile."""
    able = not stepper.sharded and compiled.obstacle(stepper.model) is None
    return stepper.world.total(able)[0] == stepper.world.size


def out_of_memory(model: Decoder, device: torch.device) -> str:
    """What to do when not even one row fits."""
    held = memory.total(device) / (1 << 30)
    return (
        f"Not even one row of {model.config.block} tokens fits into the memory "
        f"({held:.1f} GiB); set a smaller model.block or model.size, or close other programs."
    )


def _timed(stepper: Stepper, machine: Machine, rows: int) -> float:
    stepper.use(machine)
    first = _typical(stepper, rows)
    return seconds(lambda: stepper.rehearse(rows, first), stepper.world)


def _typical(stepper: Stepper, rows: int) -> int:
    """The first sample of a batch that is as long as batches are on the average."""
    data = stepper.data
    firsts = range(0, max(data.epoch, 1), max(rows, data.epoch // LOOKED_AT // rows * rows))
    sizes = {first: data.batch(first, rows)[0].numel() for first in firsts}
    mean = sum(sizes.values()) / len(sizes)
    return min(sizes, key=lambda first: abs(sizes[first] - mean))


def _grown(stepper: Stepper, size: Size, epoch: int, most: int) -> Size:
    """Double the rows while that trains faster, fits, and leaves enough updates a pass."""
    world = stepper.world
    stepper.use(size.machine)
    taken = _timed(stepper, size.machine, size.rows)
    while 2 * size.update * UPDATES <= epoch and 2 * size.rows <= most:
        rows = 2 * size.rows
        if _largest(stepper, rows) < rows:
            break
        doubled = _timed(stepper, size.machine, rows)
        if world.agreed(2 * taken / doubled < WORTH):
            break
        update = max(size.update, rows * world.size)
        passes = math.ceil(update / (rows * world.size))
        size = replace(size, rows=rows, update=update, seconds=doubled * passes)
        taken = doubled
    return size
