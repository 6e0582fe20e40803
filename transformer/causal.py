"""Causal attention in bfloat16 on a CPU: matrix products, and little above the diagonal.

PyTorch's fused attention works in blocks that are too small for a processor's bfloat16. Here a
chunk of tokens, with the queries of all heads that share keys, meets these keys in one product, in
half the time (bench/attention.py). The shares are kept for the backward pass, which the short rows
of a chat can afford.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from transformer.linear import multiplies_bfloat16

CHUNK = 64  # tokens together: what lies above the diagonal inside a chunk is computed in vain


def fits(q: Tensor, k: Tensor) -> bool:
    """Whether this is faster: for queries and keys (B, H, T, D) of the same tokens."""
    return (
        not torch.compiler.is_compiling()  # first: the compiler would follow what comes after
        and q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and q.size(2) == k.size(2) > 1
        and multiplies_bfloat16()
    )


def causal(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """softmax(q kᵀ scale) v over the keys not later; q (B, H, T, D), k and v (B, Hkv, T, D)."""
    scale = q.size(3) ** -0.5 if scale is None else scale
    y: Tensor = _Causal.apply(q, k, v, scale)  # type: ignore[no-untyped-call]
    return y


class _Causal(torch.autograd.Function):
    """The same, on rows (B Hkv, T G, D): for each token, the G = H / Hkv queries of a group."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        ctx.shapes, ctx.scale = (q.shape, k.shape), scale
        q, k, v = (_rows(part, ctx.shapes[1]) for part in (q, k, v))
        q = q * scale
        y, shares = torch.empty_like(q), []
        with torch.autocast(q.device.type, enabled=False):
            for asked, seen in _chunks(q, k):
                scores = torch.bmm(q[:, asked], k[:, seen].transpose(1, 2))
                _hide_later(scores, q.size(1) // k.size(1))
                shares.append(torch.softmax(scores, -1))
                y[:, asked] = torch.bmm(shares[-1], v[:, seen])
        ctx.save_for_backward(q, k, v, *shares)
        return _heads(y, ctx.shapes[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *kept = ctx.saved_tensors
        of_q, of_k = ctx.shapes
        dy = _rows(dy, of_k)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        with torch.autocast(q.device.type, enabled=False):
            for (asked, seen), shares in zip(_chunks(q, k), kept, strict=True):
                given = dy[:, asked]
                dv[:, seen] += torch.bmm(shares.transpose(1, 2), given)
                slopes = torch.bmm(given, v[:, seen].transpose(1, 2))
                slopes = torch.ops.aten._softmax_backward_data(slopes, shares, -1, shares.dtype)
                dq[:, asked] = torch.bmm(slopes, k[:, seen])
                dk[:, seen] += torch.bmm(slopes.transpose(1, 2), q[:, asked])
        return _heads(dq.mul_(ctx.scale), of_q), _heads(dk, of_k), _heads(dv, of_k), None


def _chunks(q: Tensor, k: Tensor) -> Iterator[tuple[slice, slice]]:
    """The rows of queries of some tokens, and the keys that they may see."""
    tokens = k.size(1)
    group = q.size(1) // tokens
    for start in range(0, tokens, CHUNK):
        end = min(start + CHUNK, tokens)
        yield slice(start * group, end * group), slice(end)


def _hide_later(scores: Tensor, group: int) -> None:
    """Hide from each of the last tokens, `group` rows of scores each, the keys after it."""
    tokens = scores.size(1) // group
    later = scores.new_full((tokens, tokens), float("-inf")).triu_(1)
    scores.view(len(scores), tokens, group, -1)[..., -tokens:] += later[:, None]


def _rows(x: Tensor, of_keys: torch.Size) -> Tensor:
    """(B, H, T, D) as (B Hkv, T H / Hkv, D)."""
    grouped = torch.unflatten(x, 1, (of_keys[1], -1)).transpose(2, 3)  # (B, Hkv, T, G, D)
    return grouped.flatten(0, 1).flatten(1, 2).contiguous()


def _heads(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_rows`, for a `shape` (B, H, T, D); a token's heads lie together."""
    B, H, T, D = shape
    by_token = rows.view(B, len(rows) // B, T, -1, D).transpose(1, 2)
    return by_token.reshape(B, T, H, D).transpose(1, 2)
