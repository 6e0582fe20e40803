"""What is computed at each token alone: widen, bend, narrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

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
        y: Tensor = self.down(self.activation(self.up(x)))
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
        y: Tensor = self.down(self.activation(self.gate(x)) * self.up(x))
        return y


FEEDFORWARDS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "relu": partial(FeedForward, F.relu),
    "leaky_relu": partial(FeedForward, F.leaky_relu),
    "silu": partial(FeedForward, F.silu),
    "gelu": partial(FeedForward, F.gelu),
    "gelu_tanh": partial(FeedForward, partial(F.gelu, approximate="tanh")),
    "swiglu": partial(GatedFeedForward, F.silu),
}
