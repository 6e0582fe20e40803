"""The KV cache: what is kept of the past, so that a new token costs one token, not the context.

A `Cache` knows which ids it holds (`CacheState`), and that is the only record of how full it is: a
layer is told where to write. Positions map to slots: the first ones have theirs for good, all
others take turns in a ring (which for most patterns is endless, so that the slot is the position).
A pass works out once where its tokens go; each layer then only copies. What is worked out is a
callable

    write(layer, *new) -> everything that can be read, the new included

over tensors (B, heads, T, size). A pass that was interrupted never happened: it overwrites only
what no later query sees, or else replaces the tensors and leaves the old ones to come back to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = tuple[Tensor, ...]

MIN_CAPACITY = 64  # slots of a layer's first buffer


class CacheState(NamedTuple):
    """The ids in a cache (B, S), padding included, and how many tokens each row has of them."""

    ids: Tensor | None = None
    lengths: int | Tensor = 0  # (B,) where rows differ
    longest: int = 0

    @property
    def slots(self) -> int:
        """S."""
        return 0 if self.ids is None else self.ids.size(1)

    def last_ids(self, count: int) -> Tensor | None:
        """The last `count` ids of each row without padding, (B, count); -1 where there are fewer.

        None where nothing is cached, or `count` is 0.
        """
        if count == 0 or self.ids is None:
            return None
        ids = self.ids[:, -count:]
        if ids.size(1) < count or (ids < 0).any():
            ids = F.pad(self.ids, (count, 0), value=-1)
            last = (ids >= 0).byte().argsort(dim=1, stable=True)[:, -count:]
            ids = ids.gather(1, last)
        return ids

    def extended(self, ids: Tensor, counts: int | Tensor) -> CacheState:
        """The state after the next `ids` (B, T), of which `counts` are not padding."""
        lengths = self.lengths + counts
        ids = ids if self.ids is None else torch.cat((self.ids, ids), dim=1)
        if isinstance(lengths, Tensor):
            longest = int(lengths.max())
            return CacheState(
                ids, longest if bool((lengths == longest).all()) else lengths, longest
            )
        return CacheState(ids, lengths, lengths)


class Cache:
    """What all layers keep of the tokens seen so far, made by `Decoder.new_cache`.

    Not for training: what is kept has no gradient.
    """

    def __init__(self, layers: Sequence[LayerKVCache]) -> None:
        self.layers = layers
        self.state = CacheState()
        self.limit = min((layer.limit for layer in layers), default=math.inf)

    def __len__(self) -> int:
        return self.state.slots

    def truncate(self, length: int) -> int:
        """Go back to the first `length` slots; returns how many there are then.

        All or nothing: where a layer has dropped older tokens already (a window that has moved on,
        a running sum), the only way back is to the empty cache.
        """
        state = self.state
        if state.ids is None or length >= state.slots:
            return state.slots
        if length <= 0 or state.longest >= self.limit:
            self.state = CacheState()
            return 0
        kept = state.ids[:, :length]
        self.state = CacheState().extended(kept, (kept >= 0).sum(dim=1))
        return length

    def select_rows(self, rows: Tensor) -> Cache:
        """A cache of its own that holds these `rows` (n,) of this one; rows may repeat."""
        selected, state = Cache([layer.select_rows(rows) for layer in self.layers]), self.state
        if state.ids is not None:
            lengths = state.lengths[rows] if isinstance(state.lengths, Tensor) else state.lengths
            selected.state = CacheState(state.ids[rows], lengths, state.longest)
        return selected

    def reuse(self, ids: Sequence[int]) -> int:
        """Truncate to the longest prefix shared with `ids` (one row); returns its length.

        At least the last id is left over, since a pass needs a token to give logits for.
        """
        cached = [] if self.state.ids is None else self.state.ids[0].tolist()
        same = 0
        for mine, yours in zip(cached, ids[:-1], strict=False):
            if mine != yours:
                break
            same += 1
        return self.truncate(same)


class LayerKVCache:
    """The tensors of one layer; how many tokens they hold is known to the `Cache` alone.

    Up to `limit` tokens nothing is dropped, so that one can go back; no row outgrows `block`.
    """

    def __init__(self, limit: float = math.inf, block: float = math.inf) -> None:
        self.limit, self.max_slots = limit, min(limit, block)
        self.tensors: Tensors = ()
        self._replaced: tuple[int, Tensors] | None = None

    def rollback_to(self, cached: int) -> Tensors:
        """The tensors as they were when the cache held `cached` slots."""
        if cached == 0:
            self.tensors = ()
        elif self._replaced is not None and self._replaced[0] >= cached:
            self.tensors = self._replaced[1]  # the pass that replaced them was interrupted
        self._replaced = None
        return self.tensors

    def replace(self, cached: int, tensors: Tensors) -> None:
        """Keep other tensors from now on, in a pass that began with `cached` slots."""
        self._replaced = (cached, self.tensors)
        self.tensors = tensors

    def ensure_capacity(self, cached: int, slots: int, new: Tensors) -> Tensors:
        """`rollback_to(cached)`, with at least `slots` slots; buffers grow by doubling."""
        buffers = self.rollback_to(cached)
        if not buffers or buffers[0].size(2) < slots:
            doubled = max(2 * buffers[0].size(2) if buffers else 0, MIN_CAPACITY)
            size = max(int(min(doubled, self.max_slots)), slots)
            grown = tuple(part.new_zeros(*part.shape[:2], size, part.size(3)) for part in new)
            for larger, buffer in zip(grown, buffers, strict=False):
                larger.narrow(2, 0, buffer.size(2)).copy_(buffer)
            self.tensors = grown  # all at once: an interruption leaves the old ones
        return self.tensors

    def select_rows(self, rows: Tensor) -> Self:
        """These rows (n,), copied, as the last pass has left them."""
        selected = copy(self)
        selected.tensors = tuple(tensor[rows] for tensor in self.tensors)
        selected._replaced = None
        return selected


class Append(NamedTuple):
    """All rows write at the same slot, and read the first `filled`, or those picked of them."""

    cached: int
    slot: int
    filled: int
    pick: slice | Tensor | None = None

    def __call__(self, layer: LayerKVCache, *new: Tensor) -> Tensors:
        buffers = layer.ensure_capacity(self.cached, self.filled, new)
        for buffer, part in zip(buffers, new, strict=True):
            buffer.narrow(2, self.slot, part.size(2)).copy_(part)
        if self.pick is None:
            return tuple(buffer.narrow(2, 0, self.filled) for buffer in buffers)
        if isinstance(self.pick, slice):
            return tuple(buffer[:, :, self.pick] for buffer in buffers)
        return tuple(buffer.index_select(2, self.pick) for buffer in buffers)


class Scatter(NamedTuple):
    """Rows that hold different numbers of tokens write at slots (B, T) of their own."""

    cached: int
    slots: Tensor
    filled: int

    def __call__(self, layer: LayerKVCache, *new: Tensor) -> Tensors:
        buffers = layer.ensure_capacity(self.cached, self.filled, new)
        rows = torch.arange(len(self.slots), device=self.slots.device)[:, None]
        for buffer, part in zip(buffers, new, strict=True):  # scatter_ would copy the whole buffer
            buffer.transpose(1, 2)[rows, self.slots] = part.transpose(1, 2)
        return tuple(buffer.narrow(2, 0, self.filled) for buffer in buffers)


class Turn(NamedTuple):
    """A ring turns by several tokens: all old and new ones are read, then the newest are kept.

    `newest` (slots,) or (B, slots) says for each slot which of those read it holds afterwards.
    """

    cached: int
    filled: int
    newest: Tensor

    def __call__(self, layer: LayerKVCache, *new: Tensor) -> Tensors:
        buffers = layer.rollback_to(self.cached)
        if self.filled:
            old = (buffer.narrow(2, 0, self.filled) for buffer in buffers)
            new = tuple(torch.cat(parts, dim=2) for parts in zip(old, new, strict=True))
        layer.replace(self.cached, tuple(gather_slots(part, self.newest) for part in new))
        return new


Write = Append | Scatter | Turn


def gather_slots(x: Tensor, index: Tensor) -> Tensor:
    """The slots of x (B, heads, S, size) that `index` (n,) or (B, n) names."""
    if index.dim() == 1:
        return x.index_select(2, index)
    return x.gather(2, index[:, None, :, None].expand(-1, x.size(1), -1, x.size(3)))


class Ring(NamedTuple):
    """Which slot a position has: the `first` ones one each, all others one of `newest` in turn."""

    first: int = 0
    newest: float = math.inf

    @property
    def limit(self) -> float:
        """How many tokens have a slot each."""
        return self.first + self.newest

    def slot(self, positions: Tensor) -> Tensor:
        """The slot of each position."""
        if self.limit == math.inf:
            return positions
        turned = self.first + (positions - self.first) % int(self.newest)
        return positions.where(positions < self.limit, turned)

    def slot_of(self, position: int) -> int:
        """The slot of one position."""
        if position < self.limit:
            return position
        return int(self.first + (position - self.first) % self.newest)

    def holds(self, length: int | Tensor, slots: Tensor) -> Tensor:
        """The position in each of `slots` after `length` tokens, () or (B, 1); below 0: none."""
        if self.limit == math.inf:
            return slots
        last = length - 1 - self.first
        turned = last - (last - (slots - self.first)) % int(self.newest) + self.first
        first = slots < self.first
        held = torch.where(first, slots < length, turned >= self.first)
        return torch.where(first, slots, turned).where(held, -1)
