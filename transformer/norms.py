"""How the scale of activations is kept as layers add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig


def _layer(config: ModelConfig) -> nn.Module:
    """Mean 0 and variance 1 at each token (Ba et al. 2016, arXiv 1607.06450)."""
    return nn.LayerNorm(config.width, eps=config.norm_eps, bias=config.bias)


def _rms(config: ModelConfig) -> nn.Module:
    """Root mean square 1 at each token (Zhang and Sennrich 2019, arXiv 1910.07467)."""
    return nn.RMSNorm(config.width, eps=config.norm_eps)


class BatchNorm(nn.BatchNorm1d):
    """Mean 0 and variance 1 of each channel over all tokens.

    Ioffe and Szegedy 2015, arXiv 1502.03167; for the laboratory. In training the statistics are
    those of the B T tokens of the pass, so each token sees all others; in evaluation they are
    running means, saved with the weights, and nothing leaks. A norm is told nothing but
    activations, so padding counts as tokens do.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, eps=config.norm_eps, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)


class HeadNorm(nn.Module):
    """Root mean square 1 in each head of queries and keys, so that scores cannot run away.

    As in Qwen3 (arXiv 2505.09388, section 2); after Henry et al. 2020, arXiv 2010.04245.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.eps = config.heads, config.kv_heads, config.norm_eps
        self.q_weight = nn.Parameter(torch.ones(config.head_size))
        self.k_weight = nn.Parameter(torch.ones(config.head_size))

    def forward(self, qk: Tensor) -> Tensor:
        """Heads of queries and then of keys, (B, T, H + Hkv, D)."""
        weights = (self.q_weight.expand(self.heads, -1), self.k_weight.expand(self.kv_heads, -1))
        return F.rms_norm(qk, qk.shape[-1:], eps=self.eps) * torch.cat(weights)


NORMS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "layer": _layer,
    "rms": _rms,
    "batch": BatchNorm,
}
