"""What is kept of the past, so that a new token costs one token and not the whole context.

A `Cache` knows which ids it holds, and that is the only record of how full it is: a layer is told
where to write. So a pass that was interrupted halfway never happened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from transformer.kept import Kept


class Held(NamedTuple):
    """The ids in a cache (B, S), padding included, and how many tokens each row has of them."""

    ids: Tensor | None = None
    lengths: int | Tensor = 0  # (B,) where rows differ
    longest: int = 0

    @property
    def slots(self) -> int:
        """S."""
        return 0 if self.ids is None else self.ids.size(1)

    def newest(self, count: int) -> Tensor | None:
        """The last `count` ids of each row but padding, (B, count); -1 where there are fewer."""
        if count == 0 or self.ids is None:
            return None
        ids = self.ids[:, -count:]
        if ids.size(1) < count or (ids < 0).any():
            ids = F.pad(self.ids, (count, 0), value=-1)
            last = (ids >= 0).byte().argsort(dim=1, stable=True)[:, -count:]
            ids = ids.gather(1, last)
        return ids

    def then(self, ids: Tensor, counts: int | Tensor) -> Held:
        """With the next `ids` (B, T), of which `counts` are no padding."""
        lengths = self.lengths + counts
        ids = ids if self.ids is None else torch.cat((self.ids, ids), dim=1)
        if isinstance(lengths, Tensor):
            longest = int(lengths.max())
            return Held(ids, longest if bool((lengths == longest).all()) else lengths, longest)
        return Held(ids, lengths, lengths)


class Cache:
    """What all layers keep of the tokens seen so far, made by `Decoder.new_cache`.

    Not for training: what is kept has no gradient.
    """

    def __init__(self, layers: Sequence[Kept]) -> None:
        self.layers = layers
        self.held = Held()
        self.limit = min((layer.limit for layer in layers), default=math.inf)

    def __len__(self) -> int:
        return self.held.slots

    def truncate(self, length: int) -> int:
        """Go back to the first `length` slots, and give how many there are then.

        All or nothing: where older tokens were forgotten already (a window that has moved on, a
        running sum) one cannot go back to a later beginning than the very first.
        """
        held = self.held
        if held.ids is None or length >= held.slots:
            return held.slots
        if length <= 0 or held.longest >= self.limit:
            self.held = Held()
            return 0
        kept = held.ids[:, :length]
        self.held = Held().then(kept, (kept >= 0).sum(dim=1))
        return length

    def picked(self, rows: Tensor) -> Cache:
        """A cache of its own that holds these `rows` (n,) of this one, some perhaps repeatedly."""
        found, held = Cache([layer.picked(rows) for layer in self.layers]), self.held
        if held.ids is not None:
            lengths = held.lengths[rows] if isinstance(held.lengths, Tensor) else held.lengths
            found.held = Held(held.ids[rows], lengths, held.longest)
        return found

    def reuse(self, ids: Sequence[int]) -> int:
        """Go back to what one row of `ids` begins with, as far as `truncate` can; gives its length.

        At least the last of `ids` is left over, since a pass needs a token to give logits for.
        """
        held = [] if self.held.ids is None else self.held.ids[0].tolist()
        same = 0
        for mine, yours in zip(held, ids[:-1], strict=False):
            if mine != yours:
                break
            same += 1
        return self.truncate(same)
