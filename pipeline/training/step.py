"""One update of the weights: gradients of some rows, pass by pass, and what is made of them.

What fails in one of several processes is an error in all of them, so that all can go on alike; but
where the others can only wait for it, it ends.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.common.errors import DataError, ran_out
from pipeline.common.processes import World
from pipeline.training.batches import Batch, Data
from pipeline.training.exchange import Exchange
from pipeline.training.hardware import distributed
from pipeline.training.hardware.device import Machine
from pipeline.training.held_up import HeldUp
from pipeline.training.loss import Objective
from pipeline.training.loss_scale import LossScale
from pipeline.training.optimizer import optimizers, restore_state, set_rate, state_tensors
from pipeline.training.progress import FitSettings
from transformer.decoder import Decoder

SCALE = "loss_scale"  # in a checkpoint
RANKS_APART = 1_000_003  # between the seeds of processes, so that none draws another's dropout


class Diverged(ArithmeticError):
    """The loss or its gradients are no longer numbers."""


@dataclass(frozen=True)
class Taken:
    """What a step came to, over all processes."""

    loss: float  # nats a target
    tokens: int
    stop: bool  # whether any process was asked to stop


@dataclass(frozen=True)
class Samples:
    """Which samples an update learns from: `passes` of `rows` each in every process."""

    first: int
    rows: int
    passes: int
    late: bool = False  # in the final decay


class Stepper:
    """A model on a machine, laid out over all processes, with its optimizers."""

    def __init__(
        self, model: Decoder, data: Data, settings: FitSettings, machine: Machine, world: World
    ) -> None:
        self.model, self.data, self.settings, self.world = model, data, settings, world
        self.objective = Objective(model)
        distributed.lay_out(self.objective, machine.device, world, settings.train.sharding)
        self.sharded = distributed.is_sharded(model)
        self.exchange = None if world.size == 1 or self.sharded else Exchange(model)
        self.use(machine)

    def use(self, machine: Machine) -> None:
        """Compute this way from now on, with optimizers that remember nothing."""
        self.machine = machine
        machine.use()
        settings = self.settings
        self.optimizers = optimizers(self.model, settings.weight_decay, settings.optimizer)
        self.scale = LossScale.of(machine.dtype)
        self._rate = 0.0
        self.torn = False

    def take(self, samples: Samples, seed: int, rate: float, stop: bool = False) -> Taken:
        """Learn from some samples; raises Diverged and leaves the weights when that cannot be."""
        torch.manual_seed(seed + RANKS_APART * self.world.rank)  # dropout depends on it alone
        taken = self.gradients(samples, stop)
        if not math.isfinite(taken.loss):
            raise Diverged(f"the loss became {taken.loss}")
        if not self._learn(samples.rows, rate) and not self.scale.overflowed():
            raise Diverged("the gradients were no longer numbers")
        return taken

    def gradients(self, samples: Samples, stop: bool = False) -> Taken:
        """Accumulate gradients of the mean loss over the targets of some samples.

        Memory that runs out where the others can only wait is `HeldUp`: in a model that is cut up,
        and within the exchange.
        """
        self.model.zero_grad()
        self.objective.train()
        parts: list[Batch] = []
        counts = 0, 0
        with self._caught(samples.rows) as failed:
            parts = self._own(samples)
            counts = _counted(y for _, y in parts), _counted(x for x, _ in parts)
        targets, seen, stops = map(int, self._agreed(failed, *counts, stop))
        weight = (self.world.size if self.sharded else 1) / max(1, targets)  # FSDP2 averages
        nats = 0.0
        with self._caught(samples.rows) as failed:
            nats = self._passes(parts, weight)
        if self.exchange:
            try:
                self.exchange.end()
            except Exception as error:
                if ran_out(error):
                    raise HeldUp(samples.rows) from error
                raise
        (nats_in_all,) = self._agreed(failed, nats)
        return Taken(nats_in_all / max(1, targets), seen, bool(stops))

    @contextmanager
    def _caught(self, rows: int) -> Iterator[list[Exception]]:
        """Around work that may fail in this process alone: what failed, to be agreed upon.

        Where the model is cut up, the others wait within the work already.
        """
        failed: list[Exception] = []
        try:
            yield failed
        except Exception as error:
            if self.sharded and ran_out(error):
                raise HeldUp(rows) from error
            if self.sharded:
                raise
            traceback.clear_frames(error.__traceback__)  # which hold what the pass has made
            failed.append(error)

    def _agreed(self, failed: list[Exception], *values: float) -> list[float]:
        """The sums of values over all processes; an error in all where one failed."""
        short = sum(map(ran_out, failed))
        *sums, failures, shortages = self.world.total(*values, len(failed), short)
        if failures > shortages and len(failed) == short:
            raise DataError("Another of the processes failed; its own line says why.")
        if failed:
            raise failed[0]
        if shortages:
            raise MemoryError("memory ran out in another process")
        return sums

    def _passes(self, parts: list[Batch], weight: float) -> float:
        """Add up gradients of the parts, and their loss in nats."""
        nats = torch.zeros((), device=self.machine.device)
        for number, batch in enumerate(parts, 1):
            if self.exchange and number == len(parts):
                self.exchange.begin()
            nats += self._pass(batch, weight)
        return nats.item()

    def _own(self, samples: Samples) -> list[Batch]:
        """The batches of this process: all processes' together are the update's samples."""
        each, size = samples.rows, self.world.size
        starts = [
            samples.first + (k * size + self.world.rank) * each for k in range(samples.passes)
        ]
        return [self.data.batch(start, each, samples.late) for start in starts]

    def _pass(self, batch: Batch, weight: float) -> torch.Tensor:
        x, y = (self._moved(half) for half in batch)
        with self.machine.autocast():
            nats: torch.Tensor = self.objective(x, y)
        torch.autograd.backward(nats * (weight * self.scale.factor))
        return nats.detach()

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.machine.device.type == "cuda":
            return tensor.pin_memory().to(self.machine.device, non_blocking=True)
        return tensor.to(self.machine.device)

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return self._rate

    def clip(self) -> float:
        """Shorten the gradients at hand if need be; returns how long they were."""
        learning = [p for _, p in self._learning()]
        if self.scale.factor != 1:
            grads = [p.grad for p in learning if p.grad is not None]
            torch._foreach_mul_(grads, 1 / self.scale.factor)
        return distributed.norm(nn.utils.clip_grad_norm_(learning, self.settings.clip))

    def _learn(self, rows: int, rate: float) -> bool:
        """Change the weights by the gradients at hand, unless these are no numbers.

        Where that fails in one process, the weights of all count as `torn`.
        """
        self.torn = True
        with self._caught(rows) as failed:
            numbers = math.isfinite(self.clip())
            if numbers:
                self._update(rate)
        self._agreed(failed)
        self.torn = False
        return numbers

    def _update(self, rate: float) -> None:
        self._rate = rate
        set_rate(self.optimizers, rate)
        for optimizer in self.optimizers:
            optimizer.step()
        self.scale.fitted()
        self.model.zero_grad()

    def rehearse(self, rows: int, first: int = 0) -> None:
        """A step of so many rows a process that changes nothing, to see what it takes."""
        before = [(buffer, buffer.clone()) for _, buffer in self._buffers()]
        try:
            self.gradients(Samples(first, rows, 1))
            if not self._learn(rows, 0.0):
                self.scale.overflowed()  # so that the next one takes all of a step
        finally:
            self.model.zero_grad()
            for buffer, value in before:
                buffer.copy_(value)

    def state(self) -> dict[str, torch.Tensor]:
        """Weights that learn, running statistics and the optimizers' memory, whole.

        All processes must call it; the one that leads gets it.
        """
        tensors: dict[str, torch.Tensor] = {f"model.{n}": p for n, p in self._kept()}
        tensors |= state_tensors(self.optimizers)
        if self.scale.moves:
            tensors[SCALE] = self.scale.state()
        leads = self.world.leads
        found = ((name, distributed.whole(tensor, leads)) for name, tensor in tensors.items())
        return {name: tensor for name, tensor in found if tensor is not None}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`, at any number of processes."""
        with torch.no_grad():
            for name, tensor in self._kept():
                tensor.copy_(distributed.like(tensors[f"model.{name}"], tensor))
        restore_state(self.optimizers, tensors)
        if self.scale.moves and SCALE in tensors:
            self.scale.restore(tensors[SCALE])

    def _kept(self) -> list[tuple[str, torch.Tensor]]:
        """What a step changes."""
        return [*self._learning(), *self._buffers()]

    def _buffers(self) -> list[tuple[str, torch.Tensor]]:
        """Running statistics: the buffers that a saved model holds."""
        saved = self.model.state_dict()
        return [(n, b) for n, b in self.model.named_buffers() if n in saved]

    def _learning(self) -> list[tuple[str, nn.Parameter]]:
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]


def _counted(ids: Iterable[torch.Tensor]) -> int:
    """How many are no padding."""
    return sum(int((some >= 0).sum()) for some in ids)
