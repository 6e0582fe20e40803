"""The loss: cross-entropy of the next token, over targets alone.

Vocabularies are large, so logits would take most of the memory of a small decoder's training. They
are made a chunk of targets at a time, and each chunk is turned into its part of the gradient at
once: no logits are kept for the backward pass, and exponentials are computed once instead of twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from transformer.decoder import Decoder

CHUNK = {"cpu": 1 << 21}  # logits made together: as many as fit into a cache, …
GPU_CHUNK = 1 << 25  # … or as keep all of a GPU's cores busy, …
ROWS = 256  # … but of at least this many targets, since each chunk reads the whole matrix


def summed(model: Decoder, x: Tensor, y: Tensor) -> tuple[Tensor, int]:
    """Summed negative log-likelihood in nats of the targets (y ≥ 0), and their number.

    x and y are ids (B, T). Logits, and all that follows the last attention, are computed only where
    there is a target; in autocast's number format where it is on, but the loss is float32.
    """
    is_target = y >= 0
    targets = y[is_target]
    some = len(targets) < y.numel()
    hidden = model.hidden(x, select=is_target) if some else model.hidden(x).flatten(0, 1)
    weight = model.unembed_weight
    weight = weight if torch.is_grad_enabled() else weight.detach()  # needs no gradient then
    nats: Tensor = _Summed.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    return nats, len(targets)


class Objective(nn.Module):
    """A model with its loss, in one call: the module that is laid out over several processes."""

    def __init__(self, model: Decoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Summed nats of the targets, of which there may be none."""
        return summed(self.model, x, y)[0]


class _Summed(torch.autograd.Function):
    """Summed cross-entropy of hidden (N, C) times weight (V, C) with targets (N,).

    The forward pass computes the gradients too, in `ctx.gradients`; the backward pass only scales
    them, in place, so it can be run only once.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        kind = hidden.device.type
        is_target = ctx.needs_input_grad[:2]
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        with torch.autocast(kind, enabled=False):
            nats, ctx.gradients = _chunked(hidden.to(dtype), weight.to(dtype), targets, is_target)
        ctx.dtypes = hidden.dtype, weight.dtype
        return nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the gradient of this loss was taken before: compute it anew")
        scaled = (
            None if gradient is None else gradient.to(dtype).mul_(scale)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        )
        return *scaled, None


Gradients = tuple[Tensor | None, Tensor | None]


def _chunked(
    hidden: Tensor, weight: Tensor, targets: Tensor, is_target: tuple[bool, bool]
) -> tuple[Tensor, Gradients]:
    """The summed loss, and which are `wanted` of its gradients for hidden states and weight."""
    size = max(CHUNK.get(hidden.device.type, GPU_CHUNK) // len(weight), ROWS)
    of_hidden = torch.empty_like(hidden) if is_target[0] else None
    of_weight = torch.zeros_like(weight, dtype=torch.float32) if is_target[1] else None
    # Buffers that all chunks share, since new memory is slow.
    logit_buffer = hidden.new_empty(min(size, len(targets)), len(weight))
    probability_buffer = torch.empty_like(logit_buffer, dtype=torch.float32)
    nats = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), size):
        states, chosen = hidden[start : start + size], targets[start : start + size, None]
        logits = torch.mm(states, weight.T, out=logit_buffer[: len(states)])
        right, top = logits.gather(1, chosen).float(), logits.amax(dim=1, keepdim=True).float()
        probabilities = probability_buffer[: len(states)]
        torch.softmax(logits, 1, torch.float32, out=probabilities)
        # The largest probability cannot underflow, so the sum of all follows from it exactly.
        nats += (top - probabilities.amax(dim=1, keepdim=True).log() - right).sum()
        if any(is_target):
            probabilities.scatter_add_(1, chosen, probabilities.new_full(chosen.shape, -1))
            slopes = probabilities.to(weight.dtype)
            if of_hidden is not None:
                torch.mm(slopes, weight, out=of_hidden[start : start + size])
            if of_weight is not None:
                _add_product(of_weight, slopes.T, states)
    return nats, (of_hidden, of_weight)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left · right, also where `total` is in a finer number format."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
