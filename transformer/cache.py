"""What is kept of the past, so that a new token costs one token and not the whole context.

A `Cache` knows which ids it holds, and that is the only record of how full it is: a layer is told
where to write. So a pass that was interrupted halfway never happened, and going back is one slice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class KeyValues:
    """Keys and values of one layer, (B, Hkv, room, D) each; the room doubles when it is used up."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def put(self, start: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write (B, Hkv, T, D) from slot `start` on; gives all up to there, (B, Hkv, S, D)."""
        end = start + keys.size(2)
        self.keys = _written(self.keys, start, keys)
        self.values = _written(self.values, start, values)
        return self.keys.narrow(2, 0, end), self.values.narrow(2, 0, end)


def _written(room: Tensor | None, start: int, new: Tensor) -> Tensor:
    end = start + new.size(2)
    if room is None or room.size(2) < end:
        larger = new.new_empty(*new.shape[:2], max(2 * start, end, 64), new.size(3))
        if room is not None:
            larger.narrow(2, 0, start).copy_(room.narrow(2, 0, start))
        room = larger
    room.narrow(2, start, new.size(2)).copy_(new)
    return room


class Cache:
    """What all layers keep of the tokens seen so far, made by `Decoder.new_cache`.

    Not for training: what is kept has no gradient.
    """

    def __init__(self, layers: Sequence[KeyValues]) -> None:
        self.layers = layers
        self.ids: Tensor | None = None  # (B, S), padding negative

    def __len__(self) -> int:
        return 0 if self.ids is None else self.ids.size(1)

    def with_next(self, ids: Tensor) -> Tensor:
        """The ids held, followed by `ids` (B, T): (B, S)."""
        return ids if self.ids is None else torch.cat((self.ids, ids), dim=1)

    def truncate(self, length: int) -> None:
        """Go back to the first `length` tokens."""
        if self.ids is not None:
            self.ids = self.ids[:, :length] if length > 0 else None

    def reuse(self, ids: Sequence[int]) -> int:
        """Go back to what one row of `ids` begins with, and give its length.

        At least the last of `ids` is left over, since a pass needs a token to give logits for.
        """
        held = [] if self.ids is None else self.ids[0].tolist()
        same = 0
        for mine, yours in zip(held, ids[:-1], strict=False):
            if mine != yours:
                break
            same += 1
        self.truncate(same)
        return same
