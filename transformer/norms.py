"""How the scale of activations is kept as layers add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from transformer.config import ModelConfig


def _layer(config: ModelConfig) -> nn.Module:
    """Mean 0 and variance 1 at each token (Ba et al. 2016, arXiv 1607.06450)."""
    return nn.LayerNorm(config.width, eps=config.norm_eps, bias=config.bias)


def _rms(config: ModelConfig) -> nn.Module:
    """Root mean square 1 at each token (Zhang and Sennrich 2019, arXiv 1910.07467)."""
    return nn.RMSNorm(config.width, eps=config.norm_eps)


NORMS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {"layer": _layer, "rms": _rms}
