"""One update of the weights: gradients of some rows, pass by pass, and what is made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.training import distributed
from pipeline.training.batches import Batch, Data
from pipeline.training.device import Machine
from pipeline.training.optimizer import optimizers, restore_state, set_rate, state_tensors
from pipeline.training.plan import FitSettings
from pipeline.world import World
from transformer.decoder import Decoder

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
        self.objective = distributed.lay_out(model, world, settings.train.sharding)
        self.use(machine)

    def use(self, machine: Machine) -> None:
        """Compute this way from now on, with optimizers that remember nothing."""
        self.machine = machine
        machine.use()
        settings = self.settings
        self.optimizers = optimizers(self.model, settings.weight_decay, settings.optimizer)
        self.scaler = machine.scaler()
        self._rate = 0.0

    def take(self, samples: Samples, seed: int, rate: float, stop: bool = False) -> Taken:
        """Learn from some samples; raises Diverged and leaves the weights when that cannot be."""
        torch.manual_seed(seed + RANKS_APART * self.world.rank)  # dropout depends on it alone
        taken = self.gradients(samples, stop)
        if not math.isfinite(taken.loss):
            raise Diverged(f"the loss became {taken.loss}")
        if not (math.isfinite(self.clip()) or self.scaler.is_enabled()):
            raise Diverged("the gradients were no longer numbers")
        self.update(rate)
        return taken

    def gradients(self, samples: Samples, stop: bool = False) -> Taken:
        """Accumulate gradients of the mean loss over the targets of some samples."""
        self.model.zero_grad()
        self.objective.train()
        parts = self._own(samples)
        targets = sum(int((y >= 0).sum()) for _, y in parts)
        seen = sum(int((x >= 0).sum()) for x, _ in parts)
        targets, seen, stops = map(int, self.world.total(targets, seen, stop))
        weight = self.world.size / max(1, targets)  # the processes' gradients are averaged
        nats = torch.zeros((), device=self.machine.device)
        for number, batch in enumerate(parts, 1):
            with distributed.without_sync(self.objective, last=number == len(parts)):
                nats += self._pass(batch, weight)
        (nats_in_all,) = self.world.total(nats.item())
        return Taken(nats_in_all / max(1, targets), seen, bool(stops))

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
        torch.autograd.backward(self.scaler.scale(nats * weight))
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
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        learning = [p for _, p in self._learning()]
        return distributed.norm(nn.utils.clip_grad_norm_(learning, self.settings.clip))

    def update(self, rate: float) -> None:
        """Change the weights by the gradients at hand."""
        self._rate = rate
        set_rate(self.optimizers, rate)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        self.model.zero_grad()

    def rehearse(self, rows: int, first: int = 0) -> None:
        """A step of so many rows a process that changes nothing, to see what it takes."""
        before = [(buffer, buffer.clone()) for _, buffer in self._buffers()]
        self.gradients(Samples(first, rows, 1))
        self.clip()
        self.update(0.0)
        for buffer, value in before:
            buffer.copy_(value)

    def state(self) -> dict[str, torch.Tensor]:
        """Weights that learn, running statistics and the optimizers' memory, whole.

        All processes must call it.
        """
        tensors: dict[str, torch.Tensor] = {f"model.{n}": p for n, p in self._kept()}
        tensors |= state_tensors(self.optimizers)
        return {name: distributed.whole(tensor) for name, tensor in tensors.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`, at any number of processes."""
        with torch.no_grad():
            for name, tensor in self._kept():
                tensor.copy_(distributed.like(tensors[f"model.{name}"], tensor))
        restore_state(self.optimizers, tensors)

    def _kept(self) -> list[tuple[str, torch.Tensor]]:
        """What a step changes."""
        return [*self._learning(), *self._buffers()]

    def _buffers(self) -> list[tuple[str, torch.Tensor]]:
        """Running statistics: the buffers that a saved model holds."""
        saved = self.model.state_dict()
        return [(n, b) for n, b in self.model.named_buffers() if n in saved]

    def _learning(self) -> list[tuple[str, nn.Parameter]]:
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
