"""A matrix product that is also fast for a single token.

Decoding one token at a time multiplies one row with every matrix, so its speed is the speed at
which weights are read. On the CPU the library's matrix-vector product reads a weight at a quarter
of what the memory gives; a batch of smaller ones does far better. (The usual decoder has a still
faster road, `single.py`.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PIECES = 16  # enough for 16 threads; more gains nothing


class Linear(nn.Linear):
    """`nn.Linear`, with a faster road for one float32 row on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., in) with weight (out, in): x Wᵀ + bias, (..., out)."""
    one_row = x.numel() == weight.size(1)
    if one_row and x.dtype == torch.float32 and x.device.type == "cpu":
        y = _row(x, weight).view(*x.shape[:-1], -1)
        return y if bias is None else y + bias
    return F.linear(x, weight, bias)


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
