"""Softmax attention: softmax(q kᵀ · scale) v, in the cheapest way that the shapes allow.

Each way is a callable `attend(q, k, v, scale)` over q (B, H, T, D), k and v (B, Hkv, S, D) that
returns (B, H, T, D); `scale` None is 1 / √D. All ways give the same. What a way needs besides is
worked out once for a pass (attention_plan.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from transformer.cache import gather_slots
from transformer.layers import GradContext, has_bfloat16_matmul
from transformer.patterns import BlockKeys

COPY_NUMBERS = 1 << 21  # numbers of keys or values that are copied at a time
CHUNK = 64  # tokens together: what lies above the diagonal inside a chunk is computed in vain

MakeMask = Callable[[Tensor, Tensor], Tensor]  # of the positions of queries and of keys


class DenseAttention(NamedTuple):
    """Every query with every key, where a mask or causality does not hide it.

    The mask is boolean (True: may see) and the same for all heads, or added to the scores.
    """

    mask: Tensor | None
    causal: bool

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
        B, H, T, _ = q.shape
        heads = k.size(1)
        no_bias = self.mask is None or self.mask.dtype == torch.bool
        if T == 1 and heads != H and no_bias:
            # The queries that share keys as queries of one head: reads the keys once.
            q = q.reshape(B, heads, H // heads, -1)
            y = F.scaled_dot_product_attention(q, k, v, self.mask, scale=scale)
            return y.reshape(B, H, 1, -1)
        if self.causal and self.mask is None and uses_bfloat16_chunks(q, k):
            return causal_attention(q, k, v, scale)
        if heads != H and _repeats_keys(q.device, self.mask):
            k, v = (part.repeat_interleave(H // heads, dim=1) for part in (k, v))
        return F.scaled_dot_product_attention(
            q, k, v, self.mask, is_causal=self.causal, scale=scale, enable_gqa=k.size(1) != H
        )


def _repeats_keys(device: torch.device, mask: Tensor | None) -> bool:
    """Whether fused kernels need shared keys repeated for each query head.

    On CUDA only FlashAttention shares them, and it takes no mask and needs an Ampere card.
    """
    if device.type != "cuda":
        return False
    return mask is not None or torch.cuda.get_device_capability(device) < (8, 0)


class BlockSparseAttention(NamedTuple):
    """Queries in blocks, each block with only the keys that it can reach.

    Time is T · (keys of a block) instead of T · S. The keys of a block are copied together, which
    fused attention over everything need not do; so only some blocks are worked on at a time.
    """

    queries: Tensor  # (blocks · b,), where each query is taken from
    keys: Tensor  # (blocks · n,), where each key is taken from
    mask: Tensor  # (blocks, 1 or H, b, n), as for `DenseAttention`
    back: Tensor  # (T,), where each query's result is

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
        keys_each = self.keys.numel() // self.mask.size(0)
        together = max(COPY_NUMBERS // (k.size(0) * k.size(1) * k.size(3) * keys_each), 1)
        queries, keys = (index.view(self.mask.size(0), -1) for index in (self.queries, self.keys))
        parts = (torch.split(x, together) for x in (queries, keys, self.mask))
        results = [
            _attend_blocks(q, k, v, query_index, key_index, mask, scale)
            for query_index, key_index, mask in zip(*parts, strict=True)
        ]
        return gather_slots(torch.cat(results, dim=2), self.back)

    @classmethod
    def of(
        cls, blocks: BlockKeys, start: int, where: Tensor, make_mask: MakeMask
    ) -> BlockSparseAttention:
        """For the queries from `start` on; `where` (end,) says where the key of a position is."""
        device, end = where.device, len(where)
        q_pos, k_pos = (positions.to(device) for positions in blocks)
        k_pos = k_pos.where(k_pos < end, -1)
        queries = q_pos.clamp(start, end - 1)
        back = ((q_pos >= start) & (q_pos < end)).flatten().nonzero().flatten()
        back = back[q_pos.flatten()[back].argsort()]
        keys = where[k_pos.clamp(min=0)].flatten()
        return cls((queries - start).flatten(), keys, make_mask(queries, k_pos), back)


Attend = DenseAttention | BlockSparseAttention


def _attend_blocks(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: Tensor,
    keys: Tensor,
    mask: Tensor,
    scale: float | None,
) -> Tensor:
    """Attention of `queries` (blocks, b) to `keys` (blocks, n): (B, H, blocks · b, D)."""
    rows = (q.size(0), len(queries))
    q, k, v = (
        torch.unflatten(gather_slots(x, index.flatten()), 2, index.shape)
        .transpose(1, 2)
        .flatten(0, 1)
        for x, index in ((q, queries), (k, keys), (v, keys))
    )  # (B blocks, heads, b or n, D)
    mask = mask.expand(rows[0], *mask.shape).flatten(0, 1)
    y = F.scaled_dot_product_attention(
        q, k, v, mask, scale=scale, enable_gqa=q.size(1) != k.size(1)
    )
    return torch.unflatten(y, 0, rows).transpose(1, 2).flatten(2, 3)


def uses_bfloat16_chunks(q: Tensor, k: Tensor) -> bool:
    """Whether `causal_attention` is faster, for queries and keys (B, H, T, D) of the same tokens.

    PyTorch's fused attention works in blocks that are too small for a processor's bfloat16.
    """
    return (
        not torch.compiler.is_compiling()  # first: the compiler would follow what comes after
        and q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and q.size(2) == k.size(2) > 1
        and has_bfloat16_matmul()
    )


def causal_attention(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """Causal attention as plain matrix products, with little work above the diagonal.

    A chunk of tokens, with the queries of all heads that share keys, meets these keys in one
    product, in half the time of the fused kernel (bench/attention.py). The attention weights are
    kept for the backward pass, which the short rows of a chat can afford.
    """
    scale = q.size(3) ** -0.5 if scale is None else scale
    y: Tensor = _ChunkedCausal.apply(q, k, v, scale)  # type: ignore[no-untyped-call]
    return y


class _CausalContext(GradContext, Protocol):
    shapes: tuple[torch.Size, torch.Size]  # of queries and of keys
    scale: float


class _ChunkedCausal(torch.autograd.Function):
    """`causal_attention` on rows (B Hkv, T G, D): for each token, the G = H / Hkv queries."""

    @staticmethod
    def forward(ctx: _CausalContext, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        ctx.shapes, ctx.scale = (q.shape, k.shape), scale
        q, k, v = (_to_rows(part, ctx.shapes[1]) for part in (q, k, v))
        q = q * scale
        y, weights = torch.empty_like(q), []
        with torch.autocast(q.device.type, enabled=False):
            for queries, keys in _chunks(q, k):
                scores = torch.bmm(q[:, queries], k[:, keys].transpose(1, 2))
                _mask_later_keys(scores, q.size(1) // k.size(1))
                weights.append(torch.softmax(scores, -1))
                y[:, queries] = torch.bmm(weights[-1], v[:, keys])
        ctx.save_for_backward(q, k, v, *weights)
        return _to_heads(y, ctx.shapes[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: _CausalContext, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *weights = ctx.saved_tensors
        q_shape, k_shape = ctx.shapes
        dy = _to_rows(dy, k_shape)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        with torch.autocast(q.device.type, enabled=False):
            for (queries, keys), weight in zip(_chunks(q, k), weights, strict=True):
                dy_chunk = dy[:, queries]
                dv[:, keys] += torch.bmm(weight.transpose(1, 2), dy_chunk)
                d_scores = torch.bmm(dy_chunk, v[:, keys].transpose(1, 2))
                d_scores = torch.ops.aten._softmax_backward_data(d_scores, weight, -1, weight.dtype)
                dq[:, queries] = torch.bmm(d_scores, k[:, keys])
                dk[:, keys] += torch.bmm(d_scores.transpose(1, 2), q[:, queries])
        dq = _to_heads(dq.mul_(ctx.scale), q_shape)
        return dq, _to_heads(dk, k_shape), _to_heads(dv, k_shape), None


def _chunks(q: Tensor, k: Tensor) -> Iterator[tuple[slice, slice]]:
    """The rows of queries of some tokens, and the keys that they may see."""
    tokens = k.size(1)
    group = q.size(1) // tokens
    for start in range(0, tokens, CHUNK):
        end = min(start + CHUNK, tokens)
        yield slice(start * group, end * group), slice(end)


def _mask_later_keys(scores: Tensor, group: int) -> None:
    """Hide from each of the last tokens, `group` rows of scores each, the keys after it."""
    tokens = scores.size(1) // group
    later = scores.new_full((tokens, tokens), float("-inf")).triu_(1)
    scores.view(len(scores), tokens, group, -1)[..., -tokens:] += later[:, None]


def _to_rows(x: Tensor, k_shape: torch.Size) -> Tensor:
    """(B, H, T, D) as (B Hkv, T H / Hkv, D)."""
    grouped = torch.unflatten(x, 1, (k_shape[1], -1)).transpose(2, 3)  # (B, Hkv, T, G, D)
    return grouped.flatten(0, 1).flatten(1, 2).contiguous()


def _to_heads(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_to_rows`, for a `shape` (B, H, T, D); a token's heads lie together."""
    B, H, T, D = shape
    by_token = rows.view(B, len(rows) // B, T, -1, D).transpose(1, 2)
    return by_token.reshape(B, T, H, D).transpose(1, 2)
