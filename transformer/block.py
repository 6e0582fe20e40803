"""One layer: two branches, a mixer (attention) and a feed-forward, each added to what came in.

A mixer moves information between tokens, a feed-forward works at each token alone: widen, bend,
narrow. Where the norms stand is the only difference between the placements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling
from torch.utils.checkpoint import checkpoint

from transformer.attention import GroupedQueryAttention
from transformer.attention_plan import AttentionPlan
from transformer.cache import LayerKVCache
from transformer.config import ModelConfig
from transformer.latent import LatentAttention
from transformer.layers import NORMS, GradContext, Linear
from transformer.recurrent import LinearAttention, ShortConvolution

Activation = Callable[[Tensor], Tensor]
Mixer = GroupedQueryAttention | LatentAttention | ShortConvolution
MIXERS: Mapping[str, Callable[[ModelConfig], Mixer]] = {
    "grouped": GroupedQueryAttention,
    "linear": LinearAttention,
    "latent": LatentAttention,
    "short_conv": ShortConvolution,
}


class PreNorm(nn.Module):
    """x + branch(norm(x)): the residual path stays clear (Xiong et al. 2020, arXiv 2002.04745)."""

    attention: Mixer

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = NORMS[config.norm](config)
        self.attention = MIXERS[config.attention](config)
        self.feedforward_norm = NORMS[config.norm](config)
        self.feedforward = FEEDFORWARDS[config.feedforward](config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        plan: AttentionPlan,
        cache: LayerKVCache | None = None,
        select: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, C) a layer later; only the tokens `select` (B, T) marks, (N, C), if given."""
        x = x + self.dropout(self.attention(self.attention_norm(x), plan, cache))
        x = x if select is None else x[select]
        added: Tensor = self.dropout(self.feedforward(self.feedforward_norm(x)))
        return x + added

    @staticmethod
    def last_norm(config: ModelConfig) -> nn.Module:
        """What follows the last layer."""
        return NORMS[config.norm](config)


class PostNorm(PreNorm):
    """norm(x + branch(x)), as in the first transformer; nothing is left to norm at the end."""

    def forward(
        self,
        x: Tensor,
        plan: AttentionPlan,
        cache: LayerKVCache | None = None,
        select: Tensor | None = None,
    ) -> Tensor:
        """As `PreNorm.forward`."""
        x = x + self.dropout(self.attention(x, plan, cache))
        x = self.attention_norm(x if select is None else x[select])
        y: Tensor = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return y

    @staticmethod
    def last_norm(config: ModelConfig) -> nn.Module:
        return nn.Identity()


class SandwichNorm(PreNorm):
    """x + norm(branch(norm(x))), as in Gemma 2 (arXiv 2408.00118, section 2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.attention_out_norm = NORMS[config.norm](config)
        self.feedforward_out_norm = NORMS[config.norm](config)

    def forward(
        self,
        x: Tensor,
        plan: AttentionPlan,
        cache: LayerKVCache | None = None,
        select: Tensor | None = None,
    ) -> Tensor:
        """As `PreNorm.forward`."""
        y = self.attention(self.attention_norm(x), plan, cache)
        x = x + self.dropout(self.attention_out_norm(y))
        x = x if select is None else x[select]
        y = self.feedforward_out_norm(self.feedforward(self.feedforward_norm(x)))
        added: Tensor = self.dropout(y)
        return x + added


PLACEMENTS: Mapping[str, type[PreNorm]] = {
    "pre": PreNorm,
    "post": PostNorm,
    "sandwich": SandwichNorm,
}


class FeedForward(nn.Module):
    """down(f(up(x))), as in the first transformer."""

    def __init__(self, activation: Activation, config: ModelConfig) -> None:
        super().__init__()
        self.activation = activation
        self.up = Linear(config.width, config.hidden, bias=config.bias)
        self.down = Linear(config.hidden, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.up(x)
        if self.activation is F.relu:  # its gradient keeps what it made
            return self._project_down(hidden)
        return checkpointed(self._project_down, self.down, hidden)

    def _project_down(self, hidden: Tensor) -> Tensor:
        y: Tensor = self.down(self.activation(hidden))
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
        return checkpointed(self._project_down, self.down, self.gate(x), self.up(x))

    def _project_down(self, gate: Tensor, up: Tensor) -> Tensor:
        if self.activation is F.silu and torch.is_grad_enabled() and not is_compiling():
            y: Tensor = self.down(_SwiGLU.apply(gate, up))  # type: ignore[no-untyped-call]
        else:
            y = self.down(self.activation(gate) * up)
        return y


class _SwiGLU(torch.autograd.Function):
    """silu(gate) · up, whose gradient recomputes the first factor instead of keeping it."""

    @staticmethod
    def forward(ctx: GradContext, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: GradContext, dy: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        d_gate: Tensor = torch.ops.aten.silu_backward(dy * up, gate)
        return d_gate, F.silu(gate).mul_(dy)


def checkpointed(work: Callable[..., Tensor], last: nn.Module, *inputs: Tensor) -> Tensor:
    """work(*inputs), whose gradient on a CPU needs nothing kept but `inputs`.

    What `work` passes to its `last` layer is recomputed, the layer's product is not; a frozen layer
    keeps nothing anyway, and adapters would compute theirs twice. (On a GPU, saving the state of
    its random numbers would make it wait, and a compiler does the same by itself.)
    """
    learns = type(last) is Linear and last.weight.requires_grad and torch.is_grad_enabled()
    if not learns or inputs[0].device.type != "cpu" or is_compiling():
        return work(*inputs)
    y: Tensor = checkpoint(work, *inputs, use_reentrant=False)
    return y


FEEDFORWARDS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "relu": partial(FeedForward, F.relu),
    "leaky_relu": partial(FeedForward, F.leaky_relu),
    "silu": partial(FeedForward, F.silu),
    "gelu": partial(FeedForward, F.gelu),
    "gelu_tanh": partial(FeedForward, partial(F.gelu, approximate="tanh")),
    "swiglu": partial(GatedFeedForward, F.silu),
    "geglu_tanh": partial(GatedFeedForward, partial(F.gelu, approximate="tanh")),
}
