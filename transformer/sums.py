"""Causal sums over the past, without a score for each pair of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 64  # tokens whose pairs are computed; about D, so that sums and pairs cost the same


def running(q: Tensor, k: Tensor, v: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
    """For each token t: q_t · (Σ k_s v_sᵀ over all s up to t), and that sum after the last token.

    q (B, H, T, D), k (B, Hkv, T, D), v (B, Hkv, T, E), `past` and the sum (B, Hkv, D, E). What
    came before a chunk is one sum, and only within it pairs are formed: time and memory are O(T)
    (Katharopoulos et al. 2020, section 3.3, in chunks as in Hua et al. 2022, arXiv 2202.10447).
    """
    B, heads, T, D = k.shape
    if T == 1:
        past = k.transpose(-1, -2) @ v if past is None else past + k.transpose(-1, -2) @ v
        return (q.view(B, heads, -1, D) @ past).view(B, -1, 1, v.size(-1)), past
    size = min(T, CHUNK)
    more = -T % size
    q, k, v = (torch.unflatten(F.pad(x, (0, 0, 0, more)), 2, (-1, size)) for x in (q, k, v))
    q = torch.unflatten(q, 1, (heads, -1))  # (B, Hkv, G, chunks, size, D)
    if past is None:
        past = k.new_zeros(B, heads, D, v.size(-1))
    adds = k.transpose(-1, -2) @ v  # (B, Hkv, chunks, D, E)
    sums = torch.cat((past[:, :, None], adds), dim=2).cumsum(dim=2)
    pairs = (q @ k.transpose(-1, -2)[:, :, None]).tril()  # (B, Hkv, G, chunks, size, size)
    y = pairs @ v[:, :, None] + q @ sums[:, :, None, :-1]
    return y.flatten(3, 4)[:, :, :, :T].flatten(1, 2), sums[:, :, -1]
