"""The primitive layers: matrix products and norms.

A product that is also fast for a single token: decoding multiplies one row with every matrix, so
its speed is the speed at which weights are read. On the CPU the library's matrix-vector product
reads a weight at a quarter of what the memory gives; a batch of smaller ones does far better. (Most
decoders have a still faster path, `fast/single.py`.)

Weights in bfloat16 are read twice as fast, which is what single tokens need. But a prompt is many
rows, and there a processor without bfloat16 instructions is several times slower than with float32:
the matrix is upcast for the time of its product, which takes little beside the product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from transformer.config import ModelConfig

UPCAST_ROWS = 16  # rows from which on upcasting pays
PIECES = 16  # of a matrix-vector product: enough for 16 threads; more gains nothing


class GradContext(Protocol):
    """What a `torch.autograd.Function` keeps between its forward and backward pass."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class Linear(nn.Linear):
    """`nn.Linear`, faster on the CPU for one float32 row, and for many rows in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., in) with weight (out, in): x Wᵀ + bias, (..., out)."""
    one_row = x.numel() == weight.size(1)
    if one_row and x.dtype == torch.float32 and x.device.type == "cpu":
        y = _matrix_vector(x, weight).view(*x.shape[:-1], -1)
        return y if bias is None else y + bias
    if _upcasts(x, weight):
        float_bias = None if bias is None else bias.float()
        return F.linear(x.float(), weight.float(), float_bias).to(x.dtype)
    return F.linear(x, weight, bias)


def _upcasts(x: Tensor, weight: Tensor) -> bool:
    """Whether the product is faster in float32; not in training, which would keep the copy."""
    return (
        x.dtype == weight.dtype == torch.bfloat16
        and x.device.type == "cpu"
        and x.numel() >= UPCAST_ROWS * weight.size(1)
        and not torch.is_grad_enabled()
        and not has_bfloat16_matmul()
    )


@cache
def has_bfloat16_matmul() -> bool:
    """Whether this processor has instructions for products in bfloat16."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _matrix_vector(x: Tensor, weight: Tensor) -> Tensor:
    """The product as a batch of `PIECES` equal ones, and one for the rows left over."""
    rows, columns = weight.shape
    size, left = divmod(rows, PIECES)
    # A column as the transpose of a row: with strides (1, 1) instead, the slow product is chosen.
    x = x.contiguous().as_strided((PIECES, columns, 1), (0, 1, columns))
    if not left:
        return torch.bmm(weight.view(PIECES, size, columns), x)
    y = torch.bmm(weight[:-left].view(PIECES, size, columns), x)
    return torch.cat((y.flatten(), (weight[-left:] @ x[0]).flatten()))


def _layer_norm(config: ModelConfig) -> nn.Module:
    """Mean 0 and variance 1 at each token (Ba et al. 2016, arXiv 1607.06450)."""
    return nn.LayerNorm(config.width, eps=config.norm_eps, bias=config.bias)


class RMSNorm(nn.RMSNorm):
    """Root mean square 1 at each token (Zhang and Sennrich 2019, arXiv 1910.07467).

    PyTorch has no kernel for its gradient on the CPU and composes it from many small steps; there,
    training uses one that is composed from fewer.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, eps=config.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        learns = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        y: Tensor
        if learns and x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32:
            y = _RMSNormOnCPU.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
        else:
            y = super().forward(x)
        return y


class CenteredRMSNorm(nn.RMSNorm):
    """`RMSNorm` whose weight is kept as its distance from 1, as in Gemma: weight decay pulls it
    towards 1, and bfloat16 is finer around 0. Computed in float32."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, eps=config.norm_eps)
        nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        weight = 1 + self.weight.float()
        return F.rms_norm(x.float(), self.normalized_shape, weight, self.eps).to(x.dtype)


class _RMSNormOnCPU(torch.autograd.Function):
    """x r w with r = (mean of x² + eps)^-½, where the gradient of x is r (g w - x r² mean(g w x)).

    For x (..., C) and w (C,), in float32 whatever autocast says.
    """

    @staticmethod
    def forward(ctx: GradContext, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        rows = x.reshape(-1, x.size(-1))
        with torch.autocast("cpu", enabled=False):
            mean = torch.linalg.vecdot(rows, rows).div_(rows.size(1))
            scale = mean.add_(eps).rsqrt_().unsqueeze(1)  # (N, 1)
            ctx.save_for_backward(rows, weight, scale)
            y: Tensor = (rows * scale).mul_(weight)
            return y.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: GradContext, dy: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, scale = ctx.saved_tensors
        flat = dy.reshape(rows.shape)
        with torch.autocast("cpu", enabled=False):
            product = rows * flat
            d_weight = (scale.T @ product)[0] if ctx.needs_input_grad[1] else None
            mean = (product @ weight).unsqueeze(1).div_(-rows.size(1))
            d_rows = torch.mul(flat, weight, out=product).mul_(scale)
            d_rows.addcmul_(rows, mean.mul_(scale.pow(3)))
        return d_rows.view(dy.shape), d_weight, None


class BatchNorm(nn.BatchNorm1d):
    """Mean 0 and variance 1 of each channel over all tokens.

    Ioffe and Szegedy 2015, arXiv 1502.03167; for the laboratory. In training the statistics are
    those of the B T tokens of the pass, so each token sees all others; in evaluation they are
    running means, saved with the weights, and nothing leaks. A norm sees nothing but activations,
    so padding counts as tokens do.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, eps=config.norm_eps, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)


class QKNorm(nn.Module):
    """Root mean square 1 in each head of queries and keys, so that scores cannot run away.

    As in Qwen3 (arXiv 2505.09388, section 2); after Henry et al. 2020, arXiv 2010.04245.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.eps = config.heads, config.kv_heads, config.norm_eps
        self.centered = config.norm == "rms_centered"
        initial = torch.zeros if self.centered else torch.ones
        self.q_weight = nn.Parameter(initial(config.head_size))
        self.k_weight = nn.Parameter(initial(config.head_size))

    def forward(self, qk: Tensor) -> Tensor:
        """Heads of queries and then of keys, (B, T, H + Hkv, D)."""
        return F.rms_norm(qk, qk.shape[-1:], eps=self.eps) * self.weights()

    def weights(self) -> Tensor:
        """The weights of each head, (H + Hkv, D)."""
        q, k = self.q_weight.expand(self.heads, -1), self.k_weight.expand(self.kv_heads, -1)
        weights = torch.cat((q, k))
        return 1 + weights if self.centered else weights


NORMS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "layer": _layer_norm,
    "rms": RMSNorm,
    "rms_centered": CenteredRMSNorm,
    "batch": BatchNorm,
}
