"""softmax(q kᵀ / √D) v, in the cheapest way that the shapes allow; all ways give the same.

A way is a callable `attend(q, k, v, scale)` over q (B, H, T, D), k and v (B, Hkv, S, D) that gives
(B, H, T, D). What it needs besides is worked out once for a pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from transformer.causal import causal, fits
from transformer.kept import taken
from transformer.patterns import Reach

TOGETHER = 1 << 21  # numbers that are copied together

Mask = Callable[[Tensor, Tensor], Tensor]  # of the positions of queries and of keys


class Dense(NamedTuple):
    """Every query with every key, where a mask or causality does not hide it.

    The mask is boolean (True: may see) and the same for all heads, or added to the scores.
    """

    mask: Tensor | None
    causal: bool

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
        B, H, T, _ = q.shape
        heads = k.size(1)
        plain = self.mask is None or self.mask.dtype == torch.bool
        if T == 1 and heads != H and plain:
            # The queries that share keys as queries of one head: reads the keys once.
            q = q.reshape(B, heads, H // heads, -1)
            y = F.scaled_dot_product_attention(q, k, v, self.mask, scale=scale)
            return y.reshape(B, H, 1, -1)
        if self.causal and self.mask is None and fits(q, k):
            return causal(q, k, v, scale)
        if heads != H and _repeats(q.device, self.mask):
            k, v = (part.repeat_interleave(H // heads, dim=1) for part in (k, v))
        return F.scaled_dot_product_attention(
            q, k, v, self.mask, is_causal=self.causal, scale=scale, enable_gqa=k.size(1) != H
        )


def _repeats(device: torch.device, mask: Tensor | None) -> bool:
    """Whether only a slow kernel knows that queries share keys, and others want them repeated.

    On a card, fused kernels but FlashAttention do not, and that takes no mask and an Ampere card.
    """
    if device.type != "cuda":
        return False
    return mask is not None or torch.cuda.get_device_capability(device) < (8, 0)


class Blocks(NamedTuple):
    """Queries in blocks, each block with only the keys that it can reach.

    Time is T · (keys of a block) instead of T · S. The keys of a block are copied together, which
    fused attention over everything need not do; so only some blocks are worked on at a time.
    """

    queries: Tensor  # (blocks · b,), where each query is taken from
    keys: Tensor  # (blocks · n,), where each key is taken from
    mask: Tensor  # (blocks, 1 or H, b, n), as for `Dense`
    back: Tensor  # (T,), where each query's result is

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
        keys_each = self.keys.numel() // self.mask.size(0)
        together = max(TOGETHER // (k.size(0) * k.size(1) * k.size(3) * keys_each), 1)
        queries, keys = (at.view(self.mask.size(0), -1) for at in (self.queries, self.keys))
        parts = (torch.split(x, together) for x in (queries, keys, self.mask))
        found = [
            _of_blocks(q, k, v, asked, seen, mask, scale)
            for asked, seen, mask in zip(*parts, strict=True)
        ]
        return taken(torch.cat(found, dim=2), self.back)

    @classmethod
    def of(cls, reach: Reach, start: int, where: Tensor, mask: Mask) -> Blocks:
        """For the queries from `start` on; `where` (end,) says where the key of a position is."""
        device, end = where.device, len(where)
        q_at, k_at = (positions.to(device) for positions in reach)
        k_at = k_at.where(k_at < end, -1)
        asked = q_at.clamp(start, end - 1)
        back = ((q_at >= start) & (q_at < end)).flatten().nonzero().flatten()
        back = back[q_at.flatten()[back].argsort()]
        keys = where[k_at.clamp(min=0)].flatten()
        return cls((asked - start).flatten(), keys, mask(asked, k_at), back)


def _of_blocks(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: Tensor,
    keys: Tensor,
    mask: Tensor,
    scale: float | None,
) -> Tensor:
    """What the `queries` (blocks, b) find, (B, H, blocks · b, D), among the `keys` (blocks, n)."""
    rows = (q.size(0), len(queries))
    q, k, v = (
        torch.unflatten(taken(x, at.flatten()), 2, at.shape).transpose(1, 2).flatten(0, 1)
        for x, at in ((q, queries), (k, keys), (v, keys))
    )  # (B blocks, heads, b or n, D)
    mask = mask.expand(rows[0], *mask.shape).flatten(0, 1)
    y = F.scaled_dot_product_attention(
        q, k, v, mask, scale=scale, enable_gqa=q.size(1) != k.size(1)
    )
    return torch.unflatten(y, 0, rows).transpose(1, 2).flatten(2, 3)


Attend = Dense | Blocks
