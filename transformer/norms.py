"""How the scale of activations is kept as layers add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from transformer.config import ModelConfig


def _layer(config: ModelConfig) -> nn.Module:
    """Mean 0 and variance 1 at each token (Ba et al. 2016, arXiv 1607.06450)."""
    return nn.LayerNorm(config.width, eps=config.norm_eps, bias=config.bias)


class RMSNorm(nn.RMSNorm):
    """Root mean square 1 at each token (Zhang and Sennrich 2019, arXiv 1910.07467).

    PyTorch has no kernel for its gradient on the CPU and puts it together from many small steps;
    there, training takes one that is put together from fewer.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, eps=config.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        learns = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        y: Tensor
        if learns and x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32:
            y = _Scaled.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
        else:
            y = super().forward(x)
        return y


class _Scaled(torch.autograd.Function):
    """x r w with r = (mean of x² + eps)^-½, where the gradient of x is r (g w - x r² mean(g w x)).

    For x (..., C) and w (C,), in float32 whatever autocast says.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        rows = x.reshape(-1, x.size(-1))
        with torch.autocast("cpu", enabled=False):
            mean = torch.linalg.vecdot(rows, rows).div_(rows.size(1))
            scale = mean.add_(eps).rsqrt_().unsqueeze(1)  # (N, 1)
            ctx.save_for_backward(rows, weight, scale)
            y: Tensor = (rows * scale).mul_(weight)
            return y.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, scale = ctx.saved_tensors
        flat = grad.reshape(rows.shape)
        with torch.autocast("cpu", enabled=False):
            product = rows * flat
            of_weight = (scale.T @ product)[0] if ctx.needs_input_grad[1] else None
            share = (product @ weight).unsqueeze(1).div_(-rows.size(1))
            of_rows = torch.mul(flat, weight, out=product).mul_(scale)
            of_rows.addcmul_(rows, share.mul_(scale.pow(3)))
        return of_rows.view(grad.shape), of_weight, None


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
        return F.rms_norm(qk, qk.shape[-1:], eps=self.eps) * self.weights()

    def weights(self) -> Tensor:
        """The weights of each head, (H + Hkv, D)."""
        q, k = self.q_weight.expand(self.heads, -1), self.k_weight.expand(self.kv_heads, -1)
        return torch.cat((q, k))


NORMS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "layer": _layer,
    "rms": RMSNorm,
    "batch": BatchNorm,
}
