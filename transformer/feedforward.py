"""What is computed at each token alone: widen, bend, narrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling
from torch.utils.checkpoint import checkpoint

from transformer.config import ModelConfig
from transformer.linear import Linear

Activation = Callable[[Tensor], Tensor]


class FeedForward(nn.Module):
    """down(f(up(x))), as in the first transformer."""

    def __init__(self, activation: Activation, config: ModelConfig) -> None:
        super().__init__()
        self.activation = activation
        self.up = Linear(config.width, config.hidden, bias=config.bias)
        self.down = Linear(config.hidden, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.up(x)
        if self.activation is F.relu:  # its gradient keeps what it made
            return self._narrowed(wide)
        return lean(self._narrowed, self.down, wide)

    def _narrowed(self, wide: Tensor) -> Tensor:
        y: Tensor = self.down(self.activation(wide))
        return y


class GatedFeedForward(nn.Module):
    """down(f(gate(x)) · up(x)) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, activation: Activation, config: ModelConfig) -> None:
        super().__init__()
        self.activation = activation
        self.gate = Linear(config.width, config.hidden, bias=config.bias)
        self.up = Linear(config.width, config.hidden, bias=config.bias)
        self.down = Linear(config.hidden, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return lean(self._narrowed, self.down, self.gate(x), self.up(x))

    def _narrowed(self, gate: Tensor, up: Tensor) -> Tensor:
        if self.activation is F.silu and torch.is_grad_enabled() and not is_compiling():
            y: Tensor = self.down(_Gated.apply(gate, up))  # type: ignore[no-untyped-call]
        else:
            y = self.down(self.activation(gate) * up)
        return y


class _Gated(torch.autograd.Function):
    """silu(gate) · up, of which the gradient takes the first factor anew instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        d_gate: Tensor = torch.ops.aten.silu_backward(dy * up, gate)
        return d_gate, F.silu(gate).mul_(dy)


def lean(work: Callable[..., Tensor], last: nn.Module, *of: Tensor) -> Tensor:
    """work(*of), of which a gradient on a CPU needs nothing kept but `of`.

    What `work` gives its `last` layer is made anew, the layer's product is not; one that is frozen
    keeps nothing anyway, and adapters would make theirs twice. (On a GPU, keeping the state of its
    random numbers would have it wait, and a compiler does the same by itself.)
    """
    learns = type(last) is Linear and last.weight.requires_grad and torch.is_grad_enabled()
    if not learns or of[0].device.type != "cpu" or is_compiling():
        return work(*of)
    y: Tensor = checkpoint(work, *of, use_reentrant=False)
    return y


FEEDFORWARDS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "relu": partial(FeedForward, F.relu),
    "leaky_relu": partial(FeedForward, F.leaky_relu),
    "silu": partial(FeedForward, F.silu),
    "gelu": partial(FeedForward, F.gelu),
    "gelu_tanh": partial(FeedForward, partial(F.gelu, approximate="tanh")),
    "swiglu": partial(GatedFeedForward, F.silu),
}
