"""One update of the weights: gradients of some samples, a micro-batch at a time, and a step."""

from __future__ import annotations

import math
from contextlib import nullcontext, suppress
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.common.processes import World
from pipeline.training.batches import Batch, Data
from pipeline.training.hardware import distributed
from pipeline.training.hardware.device import Machine
from pipeline.training.loss import Objective
from pipeline.training.optimizer import optimizers, restore_state, set_rate, state_tensors
from pipeline.training.state import ComputePlan, FitSettings
from transformer.decoder import Decoder

LOSS_SCALE = "loss_scale"  # in a checkpoint
SEED_STRIDE = 1_000_003  # between the seeds of processes, so that none draws another's dropout


class NonFiniteError(ArithmeticError):
    """The loss or its gradients are no longer finite numbers."""


@dataclass(frozen=True)
class StepResult:
    """What came of a step, over all processes."""

    loss: float  # nats per target
    samples: int
    tokens: int
    stop: bool  # whether any process was asked to stop


class Stepper:
    """A model with its optimizers, laid out over all processes and computed as a plan says."""

    def __init__(
        self,
        model: Decoder,
        data: Data,
        settings: FitSettings,
        device: torch.device,
        plan: ComputePlan,
        world: World,
    ) -> None:
        self.model, self.data, self.settings, self.world = model, data, settings, world
        self.device = device
        self.objective = Objective(model)
        sharding = settings.train.sharding
        self.replica = distributed.lay_out(self.objective, device, world, sharding)
        self.sharded = distributed.is_sharded(model)
        self.apply(plan)
        self.reset()

    def apply(self, plan: ComputePlan) -> None:
        """Compute by this plan from now on."""
        self.plan = plan
        self.model.recompute = plan.checkpointing
        machine = Machine(self.device, plan.dtype, plan.threads)
        machine.use()
        self.autocast = machine.autocast()

    def reset(self) -> None:
        """Begin with new optimizers."""
        self.learning = [p for p in self.model.parameters() if p.requires_grad]
        settings = self.settings
        self.optimizers = optimizers(self.model, settings.weight_decay, settings.optimizer)
        # Small gradients vanish in float16, unless the loss is scaled (Micikevicius et al. 2018,
        # "Mixed precision training", arXiv 1710.03740).
        float16 = self.plan.dtype == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=float16)
        self.update_interrupted = False

    def step(
        self, first: int, seed: int, learning_rate: float, late: bool = False, stop: bool = False
    ) -> StepResult:
        """Learn from the samples from `first` on; `late`: while the learning rate decays.

        Raises NonFiniteError, and leaves the weights, when the loss or the gradients are not
        finite. An error while the weights change leaves `update_interrupted` set.
        """
        torch.manual_seed(seed + SEED_STRIDE * self.world.rank)  # dropout depends on it alone
        result = self.gradients(first, late, stop)
        if not math.isfinite(result.loss):
            raise NonFiniteError(f"the loss became {result.loss}")
        self.update(learning_rate)
        return result

    def gradients(self, first: int, late: bool = False, stop: bool = False) -> StepResult:
        """Accumulate the gradients of the mean loss over the targets of a step's samples."""
        plan, world = self.plan, self.world
        self.model.zero_grad()
        self.objective.train()
        batches = [
            self.data.batch(first + (n * world.size + world.rank) * plan.rows, plan.rows, late)
            for n in range(plan.micro_batches)
        ]
        targets, tokens, stops = world.all_reduce_sum(
            sum(int((y >= 0).sum()) for _, y in batches),
            sum(int((x >= 0).sum()) for x, _ in batches),
            stop,
        )
        weight = world.size / max(1, targets)  # DDP and FSDP2 average gradients over processes
        nats = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches, 1):
            nats += self.backward(batch, weight, sync=number == plan.micro_batches)
        (total,) = world.all_reduce_sum(nats.item())
        samples = plan.rows * plan.micro_batches * world.size
        return StepResult(total / max(1, targets), samples, int(tokens), bool(stops))

    def backward(self, batch: Batch, weight: float, sync: bool = True) -> torch.Tensor:
        """Add the gradients of a micro-batch; returns its summed loss in nats.

        Without `sync`, copies of a model in several processes do not average gradients yet.
        """
        x, y = batch
        if self.device.type == "cuda":
            x = x.pin_memory().to(self.device, non_blocking=True)
            y = y.pin_memory().to(self.device, non_blocking=True)
        else:
            x, y = x.to(self.device), y.to(self.device)
        replica = self.replica
        waiting = replica if isinstance(replica, DistributedDataParallel) and not sync else None
        with waiting.no_sync() if waiting else nullcontext(), self.autocast:
            nats: torch.Tensor = replica(x, y)
        torch.autograd.backward(self.scaler.scale(nats * weight))
        return nats.detach()

    def update(self, learning_rate: float) -> None:
        """Clip the gradients and change the weights by them."""
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.learning, self.settings.clip)
        if self.sharded:
            norm = distributed.whole(norm)
        # An overflow in any gradient makes the norm of all infinite, and no optimizer steps.
        finite = math.isfinite(norm)
        if finite:
            self.update_interrupted = True
            set_rate(self.optimizers, learning_rate)
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
            self.update_interrupted = False
        scale = self.scaler.get_scale()
        self.scaler.update()
        self.model.zero_grad()
        if not finite and not 1 <= self.scaler.get_scale() < scale:
            raise NonFiniteError("the gradients were no longer numbers")

    def dry_run(self, rows: int, first: int = 0, sync: bool = True) -> None:
        """A step of one micro-batch that changes no weight, to see what it takes.

        Without `sync`, each copy of a model may fail by itself.
        """
        buffers = [(buffer, buffer.clone()) for _, buffer in self._saved_buffers()]
        try:
            self.model.zero_grad()
            self.objective.train()
            batch = self.data.batch(first, rows)
            self.backward(batch, 1 / batch[1].numel(), sync)
            with suppress(NonFiniteError):
                self.update(0.0)
        finally:
            self.model.zero_grad()
            for buffer, value in buffers:
                buffer.copy_(value)

    def tensors(self) -> dict[str, torch.Tensor]:
        """For a checkpoint: the weights that learn, running statistics and optimizer states.

        All processes must call it; the first one gets them, whole.
        """
        named = {f"model.{name}": tensor for name, tensor in self._changing()}
        named |= state_tensors(self.optimizers)
        if self.scaler.is_enabled():
            scaler = self.scaler.state_dict()
            values = [scaler["scale"], scaler["_growth_tracker"]]
            named[LOSS_SCALE] = torch.tensor(values, dtype=torch.float64)
        gathered = {}
        for name, tensor in named.items():
            if self.sharded:
                tensor = distributed.whole(tensor)
            if self.world.leads:
                gathered[name] = tensor.detach().cpu()
        return gathered

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`, in any number of processes."""
        with torch.no_grad():
            for name, tensor in self._changing():
                tensor.copy_(distributed.like(tensors[f"model.{name}"], tensor))
        restore_state(self.optimizers, tensors)
        if self.scaler.is_enabled() and LOSS_SCALE in tensors:
            scale, steps = tensors[LOSS_SCALE].tolist()
            saved = {"scale": scale, "_growth_tracker": int(steps)}
            self.scaler.load_state_dict({**self.scaler.state_dict(), **saved})

    def _changing(self) -> list[tuple[str, torch.Tensor]]:
        """What a step changes, by name."""
        learning = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        return [*learning, *self._saved_buffers()]

    def _saved_buffers(self) -> list[tuple[str, torch.Tensor]]:
        """Running statistics: the buffers that a saved model holds."""
        saved = self.model.state_dict()
        return [(n, b) for n, b in self.model.named_buffers() if n in saved]
