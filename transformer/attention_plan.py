"""What the tokens of one pass can look at, worked out once and shared by all layers.

Padding is moved out of the way first, so that nothing else needs to know of it: before the first
layer every row's tokens are moved to its front, and columns of nothing but padding are cut off;
after the last layer everything goes back to where the caller has it. In between, padding comes
after all tokens of its row, where causality hides it.

Where all rows hold the same number of tokens, as they do at the beginning and without padding, they
stand at the same positions, and causality alone decides, or a pattern that is the same for all.
Only otherwise does a row need positions and a mask of its own.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from transformer.cache import Append, CacheState, Ring, Scatter, Turn, Write
from transformer.patterns import Pattern
from transformer.positions import NoPosition, Rotate
from transformer.softmax import Attend, BlockSparseAttention, DenseAttention

DENSE_SCORES = 1 << 18  # up to this many scores of a head, leaving some out saves no time


class AlignedIds(NamedTuple):
    """Ids (B, T) with each row's `counts` tokens first, and how to undo it."""

    ids: Tensor
    counts: int | Tensor  # T, or (B,) where some padding is left
    order: Tensor | None  # (B, T), which of the caller's slots each id is from
    back: Tensor | None  # (B, T of the caller), where each of the caller's slots went

    def align(self, slots: Tensor) -> Tensor:
        """A value for each of the caller's slots, (B, T of the caller), moved as the ids were."""
        return slots if self.order is None else slots.gather(1, self.order)

    def restore(self, hidden: Tensor) -> Tensor:
        """Hidden states (B, T, C) in the caller's slots; those of padding are arbitrary."""
        if self.back is None:
            return hidden
        return hidden.gather(1, self.back[..., None].expand(-1, -1, hidden.size(-1)))


def align_padding(ids: Tensor) -> AlignedIds:
    """Align ids (B, T), negative where padding stands.

    This looks at values, so a compiled decoder has a graph break here; what follows is one graph.
    """
    is_token = ids >= 0
    if is_token.all():
        return AlignedIds(ids, ids.size(1), None, None)
    counts = is_token.sum(dim=1)
    longest = max(int(counts.max()), 1)
    if longest == ids.size(1) and not (is_token[:, 1:] & ~is_token[:, :-1]).any():
        return AlignedIds(ids, counts, None, None)  # padding stands last already
    full = bool((counts == longest).all())
    order = is_token.logical_not().byte().argsort(dim=1, stable=True)
    back = order.argsort(dim=1).clamp(max=longest - 1)
    order = order[:, :longest]
    return AlignedIds(ids.gather(1, order), longest if full else counts, order, back)


class AttentionPlan(NamedTuple):
    """Where the T tokens of a pass stand, where the cache keeps them, and what they see."""

    cached: int  # slots of the cache before this pass
    positions: Tensor  # (T,), or (B, T) where rows differ
    is_token: Tensor | None  # (B, T), False for padding; None where there is none
    rotate: Rotate
    write: Write
    attend: Attend


def plan_attention(
    state: CacheState, rows: AlignedIds, after: CacheState, position: NoPosition, pattern: Pattern
) -> AttentionPlan:
    """The plan for the tokens `rows` that follow the cache's `state` and turn it into `after`."""
    T, device = rows.ids.size(1), rows.ids.device
    if isinstance(state.lengths, Tensor):
        positions = state.lengths[:, None] + torch.arange(T, device=device)
        write, attend = _plan_unequal_rows(state, after, positions, position, pattern)
    else:
        positions = torch.arange(state.longest, state.longest + T, device=device)
        write, attend = _plan_equal_rows(state, after, positions, position, pattern)
    is_token = None
    if isinstance(rows.counts, Tensor):
        is_token = torch.arange(T, device=device) < rows.counts[:, None]
        positions = positions.clamp(max=max(after.longest - 1, 0))  # padding has none of its own
    rotate = position.rotate(positions)
    return AttentionPlan(state.slots, positions, is_token, rotate, write, attend)


def _plan_equal_rows(
    state: CacheState,
    after: CacheState,
    positions: Tensor,
    position: NoPosition,
    pattern: Pattern,
) -> tuple[Write, Attend]:
    """All rows stand at the same `positions` (T,)."""
    start, T, ring = state.longest, len(positions), pattern.ring
    end = start + T
    has_bias = position.bias(positions[:1], positions[:1]) is not None
    if not has_bias and end <= pattern.dense_up_to and (T == 1 or start == 0):
        return Append(state.slots, start, end), DenseAttention(None, causal=start == 0)
    if T == 1:
        return _plan_one_token(state, positions, position, pattern)
    if end <= ring.limit:
        write: Write = Append(state.slots, start, end)
        k_pos = where = torch.arange(end, device=positions.device)
    else:
        filled = int(min(start, ring.limit))
        old = ring.holds(start, torch.arange(filled, device=positions.device))
        newest = _newest_slots(ring, start, after.lengths, filled, positions.device)
        write = Turn(state.slots, filled, newest)
        k_pos = torch.cat((old, positions))
        where = torch.arange(end, device=positions.device)
        where = ring.slot(where).where(where < start, where - start + filled)
    make_mask = partial(_mask, position, pattern)
    if T * len(k_pos) > DENSE_SCORES:
        blocks = pattern.block_keys(start, end)
        if blocks is not None and 2 * blocks.work < T * len(k_pos):
            return write, BlockSparseAttention.of(blocks, start, where, make_mask)
    return write, DenseAttention(make_mask(positions, k_pos), causal=False)


def _plan_one_token(
    state: CacheState, positions: Tensor, position: NoPosition, pattern: Pattern
) -> tuple[Write, Attend]:
    """A single token reads exactly what it sees, so that it needs no mask."""
    start, ring = state.longest, pattern.ring
    filled = int(min(start + 1, ring.limit))
    k_pos = ring.holds(start + 1, torch.arange(filled, device=positions.device))
    pick = pick_slots(pattern.sees(positions, k_pos) & (k_pos >= 0))
    bias = position.bias(positions, k_pos if pick is None else k_pos[pick])
    write = Append(state.slots, ring.slot_of(start), filled, pick)
    return write, DenseAttention(bias, causal=False)


def _plan_unequal_rows(
    state: CacheState,
    after: CacheState,
    positions: Tensor,
    position: NoPosition,
    pattern: Pattern,
) -> tuple[Write, Attend]:
    """Rows hold different numbers of tokens, and new ones stand at `positions` (B, T).

    Padding among them is written where the next tokens will be, and seen by none.
    """
    T, device, ring = positions.size(1), positions.device, pattern.ring
    start = positions[:, :1]
    if T == 1 or state.longest + T <= ring.limit:
        filled = int(min(state.longest + T, ring.limit))
        write: Write = Scatter(state.slots, ring.slot(positions), filled)
        k_pos = ring.holds(start + T, torch.arange(filled, device=device))
    else:
        filled = int(min(state.longest, ring.limit))
        old = ring.holds(start, torch.arange(filled, device=device))
        newest = _newest_slots(ring, start, after.lengths, filled, device)
        write = Turn(state.slots, filled, newest)
        k_pos = torch.cat((old, positions), dim=1)
    k_pos = k_pos.expand(len(positions), -1)
    return write, DenseAttention(_mask(position, pattern, positions, k_pos), causal=False)


def _mask(position: NoPosition, pattern: Pattern, q_pos: Tensor, k_pos: Tensor) -> Tensor:
    """Who sees whom, for positions (T,) and (S,) or (B, T) and (B, S): booleans that broadcast to
    (B, H, T, S), or numbers to add to the scores. A negative position is no token's."""
    seen = pattern.sees(q_pos[..., None], k_pos[..., None, :]) & (k_pos >= 0)[..., None, :]
    seen = seen | ~seen.any(dim=-1, keepdim=True)  # a softmax over nothing would be NaN
    bias = position.bias(q_pos, k_pos.clamp(min=0))
    seen = seen[:, None] if q_pos.dim() > 1 else seen  # the same for all heads
    return seen if bias is None else bias.masked_fill(~seen, float("-inf"))


def _newest_slots(
    ring: Ring, start: int | Tensor, lengths: int | Tensor, filled: int, device: torch.device
) -> Tensor:
    """For each slot of a ring that turns, where to find what it holds after a pass: among the
    `filled` old ones, or behind them among the new that follow `start`."""
    slots = torch.arange(int(ring.limit), device=device)
    holds = ring.holds(lengths[:, None] if isinstance(lengths, Tensor) else lengths, slots)
    return slots.where(holds < start, holds - start + filled)


def pick_slots(seen: Tensor) -> slice | Tensor | None:
    """Which slots are `seen` (S,): all (None), evenly spaced ones (a slice), or some (indices)."""
    picked = seen.nonzero().flatten()
    if len(picked) == len(seen):
        return None
    first, last = int(picked[0]), int(picked[-1])
    step = (last - first) // max(len(picked) - 1, 1) or 1
    even = range(first, last + 1, step)
    if len(even) == len(picked) and torch.equal(
        picked, torch.arange(first, last + 1, step).to(picked)
    ):
        return slice(first, last + 1, step)
    return picked
