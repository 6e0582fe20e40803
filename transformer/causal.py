"""Causal attention in bfloat16 on a CPU: matrix products, and little above the diagonal.

PyTorch's fused attention works in blocks that are too small for a processor's bfloat16. Here a
chunk of queries meets all its keys in one product, in half the time (bench/attention.py).
The shares are kept for the backward pass, which the short rows of a chat can afford.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transformer.linear import multiplies_bfloat16

CHUNK = 128  # queries together: what lies above the diagonal inside a chunk is computed in vain


def fits(q: Tensor, k: Tensor) -> bool:
    """Whether this is faster: for queries and keys (B, H, T, D) of the same tokens."""
    return (
        q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and q.size(2) == k.size(2) > 1
        and multiplies_bfloat16()
        and not torch.compiler.is_compiling()
    )


def causal(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """softmax(q kᵀ scale) v over the keys not later; q (B, H, T, D), k and v (B, Hkv, T, D)."""
    scale = q.size(3) ** -0.5 if scale is None else scale
    groups = q.size(1) // k.size(1)
    if groups > 1:
        k, v = (part.repeat_interleave(groups, dim=1) for part in (k, v))
    rows = (part.flatten(0, 1) for part in (q * scale, k, v))  # (B H, T, D)
    y: Tensor = _Causal.apply(*rows)  # type: ignore[no-untyped-call]
    return y.view(*q.shape[:3], -1)


class _Causal(torch.autograd.Function):
    """The same for rows (N, T, D) with the scale in the queries."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y, kept = v.new_empty(*q.shape[:2], v.size(2)), []
        with torch.autocast(q.device.type, enabled=False):
            for start in range(0, q.size(1), CHUNK):
                asked = q[:, start : start + CHUNK]
                end = start + asked.size(1)
                scores = torch.bmm(asked, k[:, :end].transpose(1, 2))
                later = scores.new_full((end - start, end - start), float("-inf")).triu_(1)
                scores[:, :, start:] += later
                kept.append(torch.softmax(scores, -1))
                y[:, start:end] = torch.bmm(kept[-1], v[:, :end])
        ctx.save_for_backward(q, k, v, *kept)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, *kept = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        with torch.autocast(q.device.type, enabled=False):
            for number, shares in enumerate(kept):
                start, end = number * CHUNK, number * CHUNK + shares.size(1)
                given = dy[:, start:end]
                dv[:, :end] += torch.bmm(shares.transpose(1, 2), given)
                slopes = torch.bmm(given, v[:, :end].transpose(1, 2))
                slopes = torch.ops.aten._softmax_backward_data(slopes, shares, -1, shares.dtype)
                dq[:, start:end] = torch.bmm(slopes, k[:, :end])
                dk[:, :end] += torch.bmm(slopes.transpose(1, 2), q[:, start:end])
        return dq, dk, dv
