"""`View`: what the tokens of one pass can look at, worked out once and shared by all layers.

Padding comes last here (padding.py). Where all rows hold equally many tokens, as they do at the
beginning and without padding, they stand at the same positions, and causality alone decides, or
a pattern that is the same for all. Only otherwise does a row need positions and a mask of its own.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from transformer.cache import Held
from transformer.kept import Append, Keep, Ring, Scatter, Turn
from transformer.padding import Aligned
from transformer.patterns import Pattern
from transformer.positions import NoPosition, Rotate
from transformer.scores import Attend, Blocks, Dense

DENSE = 1 << 18  # up to so many scores of a head, leaving some out saves no time


class View(NamedTuple):
    """Where the T tokens of a pass stand, where what is kept of them goes, and what they see."""

    held: int  # slots of the cache before this pass
    at: Tensor  # (T,), or (B, T) where rows differ
    real: Tensor | None  # (B, T), which tokens are no padding; None where all are
    rotate: Rotate
    keep: Keep
    attend: Attend


Ways = tuple[Keep, Attend]


def look(held: Held, rows: Aligned, after: Held, position: NoPosition, pattern: Pattern) -> View:
    """The view of the tokens `rows` that follow `held` and make it `after`."""
    T, device = rows.ids.size(1), rows.ids.device
    if isinstance(held.lengths, Tensor):
        at = held.lengths[:, None] + torch.arange(T, device=device)
        keep, attend = _apart(held, after, at, position, pattern)
    else:
        at = torch.arange(held.longest, held.longest + T, device=device)
        keep, attend = _together(held, after, at, position, pattern)
    real = None
    if isinstance(rows.counts, Tensor):
        real = torch.arange(T, device=device) < rows.counts[:, None]
        at = at.clamp(max=max(after.longest - 1, 0))  # padding has no positions of its own
    return View(held.slots, at, real, position.rotate(at), keep, attend)


def _together(held: Held, after: Held, at: Tensor, position: NoPosition, pattern: Pattern) -> Ways:
    """All rows stand at the positions `at` (T,)."""
    start, T = held.longest, len(at)
    end = start + T
    unscored = position.bias(at[:1], at[:1]) is None
    if unscored and end <= pattern.whole and (T == 1 or start == 0):
        return Append(held.slots, start, end), Dense(None, causal=start == 0)
    ring = pattern.ring
    if T == 1:
        return _one(held, at, position, pattern)
    if end <= ring.limit:
        keep: Keep = Append(held.slots, start, end)
        k_at = where = torch.arange(end, device=at.device)
    else:
        filled = int(min(start, ring.limit))
        old = ring.holds(start, torch.arange(filled, device=at.device))
        keep = Turn(held.slots, filled, _newest(ring, start, after.lengths, filled, at.device))
        k_at = torch.cat((old, at))
        where = torch.arange(end, device=at.device)
        where = ring.slot(where).where(where < start, where - start + filled)
    mask = partial(_mask, position, pattern)
    if T * len(k_at) > DENSE:
        reach = pattern.reach(start, end)
        if reach is not None and 2 * reach.work < T * len(k_at):
            return keep, Blocks.of(reach, start, where, mask)
    return keep, Dense(mask(at, k_at), causal=False)


def _one(held: Held, at: Tensor, position: NoPosition, pattern: Pattern) -> Ways:
    """A single token reads exactly what it sees, so that it needs no mask."""
    start, ring = held.longest, pattern.ring
    filled = int(min(start + 1, ring.limit))
    k_at = ring.holds(start + 1, torch.arange(filled, device=at.device))
    pick = picked(pattern.sees(at, k_at) & (k_at >= 0))
    bias = position.bias(at, k_at if pick is None else k_at[pick])
    return Append(held.slots, ring.slot_of(start), filled, pick), Dense(bias, causal=False)


def _apart(held: Held, after: Held, at: Tensor, position: NoPosition, pattern: Pattern) -> Ways:
    """Rows hold unequally many tokens; the new ones would stand `at` (B, T), were all of them real.

    As far as they are not, they are written where the next tokens will be, and seen by nobody.
    """
    T, device, ring = at.size(1), at.device, pattern.ring
    start = at[:, :1]
    if T == 1 or held.longest + T <= ring.limit:
        filled = int(min(held.longest + T, ring.limit))
        keep: Keep = Scatter(held.slots, ring.slot(at), filled)
        k_at = ring.holds(start + T, torch.arange(filled, device=device))
    else:
        filled = int(min(held.longest, ring.limit))
        old = ring.holds(start, torch.arange(filled, device=device))
        keep = Turn(held.slots, filled, _newest(ring, start, after.lengths, filled, device))
        k_at = torch.cat((old, at), dim=1)
    k_at = k_at.expand(len(at), -1)
    return keep, Dense(_mask(position, pattern, at, k_at), causal=False)


def _mask(position: NoPosition, pattern: Pattern, q_at: Tensor, k_at: Tensor) -> Tensor:
    """Who sees whom, for positions (T,) and (S,) or (B, T) and (B, S): booleans that broadcast to
    (B, H, T, S), or numbers to add to the scores. A negative position is nobody's."""
    seen = pattern.sees(q_at[..., None], k_at[..., None, :]) & (k_at >= 0)[..., None, :]
    seen = seen | ~seen.any(dim=-1, keepdim=True)  # a softmax over nothing would be NaN
    bias = position.bias(q_at, k_at.clamp(min=0))
    seen = seen[:, None] if q_at.dim() > 1 else seen  # the same for all heads
    return seen if bias is None else bias.masked_fill(~seen, float("-inf"))


def _newest(
    ring: Ring, start: int | Tensor, lengths: int | Tensor, filled: int, device: torch.device
) -> Tensor:
    """For each slot of a ring that turns, where to find what it holds after a pass: among the
    `filled` old ones, or behind them among the new that follow `start`."""
    slots = torch.arange(int(ring.limit), device=device)
    holds = ring.holds(lengths[:, None] if isinstance(lengths, Tensor) else lengths, slots)
    return slots.where(holds < start, holds - start + filled)


def picked(seen: Tensor) -> slice | Tensor | None:
    """Which slots are `seen` (S,): all (None), evenly spaced ones (a slice), or some (indices)."""
    chosen = seen.nonzero().flatten()
    if len(chosen) == len(seen):
        return None
    first, last = int(chosen[0]), int(chosen[-1])
    step = (last - first) // max(len(chosen) - 1, 1) or 1
    even = range(first, last + 1, step)
    if len(even) == len(chosen) and torch.equal(
        chosen, torch.arange(first, last + 1, step).to(chosen)
    ):
        return slice(first, last + 1, step)
    return chosen
