"""Padding is moved out of the way, so that nothing else needs to know of it.

Before the first layer every row's tokens are moved to its front, and what only padding is left in
is cut off; after the last layer everything goes back to where the caller has it. In between,
padding comes after all tokens of its row, where causality hides it.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Aligned(NamedTuple):
    """Ids (B, T) with each row's `counts` tokens first, and how to undo it."""

    ids: Tensor
    counts: int | Tensor  # T, or (B,) where some padding is left
    order: Tensor | None  # (B, T), which of the caller's slots each id is from
    back: Tensor | None  # (B, T of the caller), where each of the caller's slots went

    def moved(self, of_slots: Tensor) -> Tensor:
        """What the caller has for each slot, (B, T of the caller), where the ids are now."""
        return of_slots if self.order is None else of_slots.gather(1, self.order)

    def undo(self, hidden: Tensor) -> Tensor:
        """Hidden states (B, T, C) in the caller's slots; those of padding are any."""
        if self.back is None:
            return hidden
        return hidden.gather(1, self.back[..., None].expand(-1, -1, hidden.size(-1)))


def align(ids: Tensor) -> Aligned:
    """Ids (B, T), negative where padding stands.

    This looks at values, so a compiled decoder is cut here; everything after it is one graph.
    """
    real = ids >= 0
    if real.all():
        return Aligned(ids, ids.size(1), None, None)
    counts = real.sum(dim=1)
    longest = max(int(counts.max()), 1)
    if longest == ids.size(1) and not (real[:, 1:] & ~real[:, :-1]).any():
        return Aligned(ids, counts, None, None)  # padding stands last already
    full = bool((counts == longest).all())
    order = real.logical_not().byte().argsort(dim=1, stable=True)
    back = order.argsort(dim=1).clamp(max=longest - 1)
    order = order[:, :longest]
    return Aligned(ids.gather(1, order), longest if full else counts, order, back)
