"""`View`: what the tokens of one pass can look at, worked out once and shared by all layers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from transformer.patterns import Pattern
from transformer.positions import NoPosition, Rotate


class View(NamedTuple):
    """Where the T tokens of a pass stand among the S they can look at.

    `mask` is None when every token sees the whole past; `causal` then says whether there is a
    future to hide. Otherwise it is boolean (True: may see) or added to the scores, and
    broadcastable to (B, H, T, S).
    """

    start: int  # S - T, the tokens already in the cache
    at: Tensor  # (T,) or (B, T)
    rotate: Rotate
    mask: Tensor | None
    causal: bool


def look(seen: Tensor, new: int, position: NoPosition, pattern: Pattern) -> View:
    """The view of the last `new` tokens of `seen`, ids (B, S) in which padding is negative.

    Padding after the last real token hides behind causality. Padding before a real token needs a
    mask, and positions that do not count it, so that the row means what it does unpadded.
    """
    start = seen.size(1) - new
    real = seen >= 0 if _has_gaps(seen) else None  # (B, S)
    if real is None:
        k_at = torch.arange(seen.size(1), device=seen.device)  # (S,)
    else:
        k_at = real.cumsum(dim=1).sub(1).clamp(min=0)  # (B, S)
    q_at = k_at[..., start:]
    bias = position.bias(q_at, k_at)
    mask = None
    if real is not None or bias is not None or not pattern.whole_past or 1 < new < seen.size(1):
        mask = _mask(pattern.sees(q_at[..., None], k_at[..., None, :]), real, bias)
    return View(start, q_at, position.rotate(q_at), mask, causal=mask is None and new > 1)


def _has_gaps(seen: Tensor) -> bool:
    """Whether padding stands before a real token anywhere; quick when there is no padding."""
    padding = seen < 0
    return bool(padding.any()) and bool((padding[:, :-1] & ~padding[:, 1:]).any())


def _mask(sees: Tensor, real: Tensor | None, bias: Tensor | None) -> Tensor:
    """One mask from a pattern (T, S) or (B, T, S), real tokens (B, S) and a bias on the scores."""
    if real is not None:
        slots = torch.arange(real.size(1), device=real.device)
        itself = slots[-sees.size(-2) :, None] == slots  # (T, S)
        # Padding sees at least itself: a softmax over nothing would be NaN.
        sees = (sees & real[:, None] | itself)[:, None]  # (B, 1, T, S)
    return sees if bias is None else bias.masked_fill(~sees, float("-inf"))
