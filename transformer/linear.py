"""A matrix product that is also fast for a single token.

Decoding one token at a time multiplies one row with every matrix, so its speed is the speed at
which weights are read. On the CPU the library's matrix-vector product reads a weight at a quarter
of what the memory gives; a batch of smaller ones does far better. (The usual decoder has a still
faster road, `single.py`.)

Weights in bfloat16 are read twice as fast, which is what single tokens need. But a prompt is many
rows, and there a processor without instructions for bfloat16 is several times slower than with
float32: it gets a matrix widened for the time of its product, which is little beside the product.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDENED = 16  # rows from which on widening pays
PIECES = 16  # enough for 16 threads; more gains nothing


class Linear(nn.Linear):
    """`nn.Linear`, with faster roads on the CPU: for one float32 row, and for many in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., in) with weight (out, in): x Wᵀ + bias, (..., out)."""
    one_row = x.numel() == weight.size(1)
    if one_row and x.dtype == torch.float32 and x.device.type == "cpu":
        y = _row(x, weight).view(*x.shape[:-1], -1)
        return y if bias is None else y + bias
    if _widens(x, weight):
        wide = None if bias is None else bias.float()
        return F.linear(x.float(), weight.float(), wide).to(x.dtype)
    return F.linear(x, weight, bias)


def _widens(x: Tensor, weight: Tensor) -> bool:
    """Whether the product is better made in float32; not in training, which would keep the copy."""
    return (
        x.dtype == weight.dtype == torch.bfloat16
        and x.device.type == "cpu"
        and x.numel() >= WIDENED * weight.size(1)
        and not torch.is_grad_enabled()
        and not multiplies_bfloat16()
    )


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for it."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _row(x: Tensor, weight: Tensor) -> Tensor:
    """The product as a batch of `PIECES` equal ones, and one for the rows left over."""
    rows, columns = weight.shape
    size, left = divmod(rows, PIECES)
    # A column as the transpose of a row: with strides (1, 1) instead, the slow product is chosen.
    x = x.contiguous().as_strided((PIECES, columns, 1), (0, 1, columns))
    if not left:
        return torch.bmm(weight.view(PIECES, size, columns), x)
    y = torch.bmm(weight[:-left].view(PIECES, size, columns), x)
    return torch.cat((y.flatten(), (weight[-left:] @ x[0]).flatten()))
