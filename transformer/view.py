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


def real_tokens(seen: Tensor) -> Tensor | None:
    """Which of `seen` are not padding, (B, S); None where no mask needs to know.

    Padding after the last real token hides behind causality, padding before one needs a mask.
    This looks at values, so a compiled decoder is cut here; everything after it is one graph.
    """
    real = seen >= 0
    if real.all() or not (real[:, 1:] & ~real[:, :-1]).any():
        return None
    return real


def look(
    seen: Tensor, new: int, real: Tensor | None, position: NoPosition, pattern: Pattern
) -> View:
    """The view of the last `new` of the ids `seen` (B, S).

    Positions do not count padding, so that a padded row means what it does unpadded.
    """
    start = seen.size(1) - new
    if real is None:
        k_at = torch.arange(seen.size(1), device=seen.device)  # (S,)
    else:
        k_at = real.cumsum(dim=1).sub(1).clamp(min=0)  # (B, S)
    q_at = k_at[..., start:]
    bias = position.bias(q_at, k_at)
    mask = None
    chunk = start > 0 and new > 1
    if real is not None or bias is not None or chunk or not pattern.whole_past:
        mask = _mask(pattern.sees(q_at[..., None], k_at[..., None, :]), real, bias)
    return View(start, q_at, position.rotate(q_at), mask, causal=mask is None and start == 0)


def _mask(sees: Tensor, real: Tensor | None, bias: Tensor | None) -> Tensor:
    """One mask from a pattern (T, S) or (B, T, S), real tokens (B, S) and a bias on the scores."""
    if real is not None:
        slots = torch.arange(real.size(1), device=real.device)
        itself = slots[-sees.size(-2) :, None] == slots  # (T, S)
        # Padding sees at least itself: a softmax over nothing would be NaN.
        sees = (sees & real[:, None] | itself)[:, None]  # (B, 1, T, S)
    return sees if bias is None else bias.masked_fill(~sees, float("-inf"))
