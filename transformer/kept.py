"""What one layer keeps of the past, and where a pass puts what it adds.

Positions map to slots: the first ones have theirs for good, all others take turns in a ring (which
for most patterns is endless, so that the slot is the position). A pass works out once where its
tokens go; each layer then only copies. What is worked out is a callable

    keep(kept, *new) -> everything that can be read, the new included

over tensors (B, heads, T, size). A pass that was interrupted never happened: it overwrites only
what no later query sees, or else replaces the tensors and leaves the old ones to come back to.
"""

from __future__ import annotations

import math
from copy import copy
from typing import NamedTuple, Self

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]


class Kept:
    """The tensors of one layer; how many tokens they hold is known to the cache alone.

    Up to `limit` tokens nothing is forgotten, so that one can go back; no row outgrows `block`.
    """

    def __init__(self, limit: float = math.inf, block: float = math.inf) -> None:
        self.limit, self.most = limit, min(limit, block)
        self.tensors: Tensors = ()
        self._replaced: tuple[int, Tensors] | None = None

    def when(self, held: int) -> Tensors:
        """What was kept when the cache held so many slots."""
        if held == 0:
            self.tensors = ()
        elif self._replaced is not None and self._replaced[0] >= held:
            self.tensors = self._replaced[1]  # the pass that replaced them was interrupted
        self._replaced = None
        return self.tensors

    def replace(self, held: int, tensors: Tensors) -> None:
        """Keep something else from now on, in a pass that began with so many slots."""
        self._replaced = (held, self.tensors)
        self.tensors = tensors

    def picked(self, rows: Tensor) -> Self:
        """These rows (n,), copied, as the present pass has left them."""
        found = copy(self)
        found.tensors = tuple(tensor[rows] for tensor in self.tensors)
        found._replaced = None
        return found

    def room(self, held: int, wanted: int, new: Tensors) -> Tensors:
        """`when`, with at least `wanted` slots; room is made by doubling."""
        rooms = self.when(held)
        if not rooms or rooms[0].size(2) < wanted:
            doubled = max(2 * rooms[0].size(2) if rooms else 0, 64)
            size = max(int(min(doubled, self.most)), wanted)
            made = tuple(part.new_zeros(*part.shape[:2], size, part.size(3)) for part in new)
            for larger, room in zip(made, rooms, strict=False):
                larger.narrow(2, 0, room.size(2)).copy_(room)
            self.tensors = made  # whole: an interruption leaves the old ones
        return self.tensors


class Append(NamedTuple):
    """All rows write at the same slot, and read the first `filled` or what is picked of them."""

    held: int
    slot: int
    filled: int
    pick: slice | Tensor | None = None

    def __call__(self, kept: Kept, *new: Tensor) -> Tensors:
        rooms = kept.room(self.held, self.filled, new)
        for room, part in zip(rooms, new, strict=True):
            room.narrow(2, self.slot, part.size(2)).copy_(part)
        if self.pick is None:
            return tuple(room.narrow(2, 0, self.filled) for room in rooms)
        if isinstance(self.pick, slice):
            return tuple(room[:, :, self.pick] for room in rooms)
        return tuple(room.index_select(2, self.pick) for room in rooms)


class Scatter(NamedTuple):
    """Rows that hold unequally many tokens write at slots (B, T) of their own."""

    held: int
    slots: Tensor
    filled: int

    def __call__(self, kept: Kept, *new: Tensor) -> Tensors:
        rooms = kept.room(self.held, self.filled, new)
        rows = torch.arange(len(self.slots), device=self.slots.device)[:, None]
        for room, part in zip(rooms, new, strict=True):  # scatter_ would copy the whole room
            room.transpose(1, 2)[rows, self.slots] = part.transpose(1, 2)
        return tuple(room.narrow(2, 0, self.filled) for room in rooms)


class Turn(NamedTuple):
    """A ring turns by several tokens: all of it and of them is read, then the newest are kept.

    `newest` (slots,) or (B, slots) says for each slot which of those read it holds afterwards.
    """

    held: int
    filled: int
    newest: Tensor

    def __call__(self, kept: Kept, *new: Tensor) -> Tensors:
        rooms = kept.when(self.held)
        if self.filled:
            old = (room.narrow(2, 0, self.filled) for room in rooms)
            new = tuple(torch.cat(parts, dim=2) for parts in zip(old, new, strict=True))
        kept.replace(self.held, tuple(taken(part, self.newest) for part in new))
        return new


Keep = Append | Scatter | Turn


def taken(x: Tensor, index: Tensor) -> Tensor:
    """The slots of x (B, heads, S, size) that `index` (n,) or (B, n) names."""
    if index.dim() == 1:
        return x.index_select(2, index)
    return x.gather(2, index[:, None, :, None].expand(-1, x.size(1), -1, x.size(3)))


class Ring(NamedTuple):
    """Which slot a position has: the `first` one each, all others one of `newest` in turn."""

    first: int = 0
    newest: float = math.inf

    @property
    def limit(self) -> float:
        """How many tokens have a slot each."""
        return self.first + self.newest

    def slot(self, at: Tensor) -> Tensor:
        """The slot of each position."""
        if self.limit == math.inf:
            return at
        return at.where(at < self.limit, self.first + (at - self.first) % int(self.newest))

    def slot_of(self, at: int) -> int:
        """The slot of one position."""
        return at if at < self.limit else int(self.first + (at - self.first) % self.newest)

    def holds(self, length: int | Tensor, slots: Tensor) -> Tensor:
        """The position in each of `slots` after `length` tokens, () or (B, 1); below 0: none."""
        if self.limit == math.inf:
            return slots
        last = length - 1 - self.first
        turned = last - (last - (slots - self.first)) % int(self.newest) + self.first
        first = slots < self.first
        held = torch.where(first, slots < length, turned >= self.first)
        return torch.where(first, slots, turned).where(held, -1)
