"""Who may see whom: pure functions of absolute positions.

Because they know nothing of passes, padding or caches, training in one pass and decoding from a
cache cannot disagree about them. `sees` alone says what is true; the rest of a pattern tells where
work and memory can be saved (view.py), and can only name too much, never too little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from transformer.config import ModelConfig
from transformer.kept import Ring

COPY = 32  # scores that take as long as copying a key and its value


class Reach(NamedTuple):
    """Queries in blocks, and for each block the positions of all keys that one of it may see.

    Each query stands in one block. Positions outside the sequence fill up, and are nobody's; a key
    is never named twice in a block.
    """

    queries: Tensor  # (blocks, queries of a block)
    keys: Tensor  # (blocks, keys for a block)

    @property
    def work(self) -> int:
        """The scores of a head that are computed, and the copies of keys as so many scores."""
        return (self.queries.size(1) + COPY) * self.keys.numel()


class Pattern:
    """The whole past, and what the other patterns inherit where they do nothing.

    Among `whole` tokens everybody sees the whole past, so that no mask is needed. Of more than fit
    the `ring`, a cache forgets those that no later query sees.
    """

    whole: float
    ring: Ring

    def __init__(self, config: ModelConfig) -> None:
        self.whole, self.ring = math.inf, Ring()

    def sees(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        """May the token at q_at see the one at k_at? Broadcasts, gives booleans."""
        return k_at <= q_at

    def reach(self, start: int, end: int) -> Reach | None:
        """For the queries from `start` to before `end`; None where all keys are needed anyway."""
        return None


class Local(Pattern):
    """The newest `window` tokens, oneself included (as in Mistral 7B, arXiv 2310.06825)."""

    def __init__(self, config: ModelConfig) -> None:
        self.window = config.window
        self.whole, self.ring = config.window, Ring(newest=config.window)

    def sees(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        return (k_at <= q_at) & (k_at > q_at - self.window)

    def reach(self, start: int, end: int) -> Reach | None:
        return _near(start, end, _fitting(self.window), self.window)


class Dilated(Pattern):
    """`window` tokens back in steps of `dilation` (Longformer, arXiv 2004.05150, section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        self.window, self.step = config.window, config.dilation
        self.whole, self.ring = 1, Ring(newest=config.window * config.dilation)

    def sees(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        far = q_at - k_at
        return (far >= 0) & (far < self.window * self.step) & (far % self.step == 0)

    def reach(self, start: int, end: int) -> Reach | None:
        """A sequence of every so manieth token is one with a plain window, and there are `step`."""
        lane = torch.arange(self.step)[:, None, None]  # (lanes, 1, 1)
        first, last = start // self.step, (end - 1) // self.step
        near = _near(first, last + 1, _fitting(self.window), self.window)
        return Reach(*((part * self.step + lane).flatten(0, 1) for part in near))


class Chunked(Pattern):
    """The past within one's own chunk of `window` tokens (as in Llama 4's local layers)."""

    def __init__(self, config: ModelConfig) -> None:
        self.window = config.window
        self.whole, self.ring = config.window, Ring(newest=config.window)

    def sees(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        return (k_at <= q_at) & (k_at // self.window == q_at // self.window)

    def reach(self, start: int, end: int) -> Reach | None:
        chunks = _blocks(start, end, self.window)
        return Reach(chunks, chunks)


class GlobalLocal(Local):
    """A window, and the first `global_tokens` for all (Longformer, arXiv 2004.05150).

    There global tokens also see everybody; in a decoder that is their past, which they see anyway.
    Without training it is what keeps a window stable (StreamingLLM, arXiv 2309.17453).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.globals = config.global_tokens
        self.ring = Ring(config.global_tokens, config.window)

    def sees(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        return super().sees(q_at, k_at) | (k_at < self.globals) & (k_at <= q_at)

    def reach(self, start: int, end: int) -> Reach | None:
        near = _near(start, end, _fitting(self.window), self.window)
        return Reach(near.queries, _with_first(self.globals, near.keys))


class BigBird(GlobalLocal):
    """A window, the first tokens, and random links between blocks (arXiv 2007.14062).

    All queries of a block of `pattern_block` have the same `random_blocks` links. A link comes from
    a hash of the block's number: always the same, in training, after loading and from the cache.
    The past between the first tokens and the window is shared out equally, and each link drawn
    from its share.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.links, self.block = config.random_blocks, config.pattern_block
        self.ring = Ring()  # a link can lead anywhere

    def sees(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        seen, blocks = super().sees(q_at, k_at), k_at // self.block
        for link in self.linked(q_at // self.block).unbind(-1):
            seen = seen | (blocks == link)
        return seen

    def linked(self, block: Tensor) -> Tensor:
        """The numbers of the blocks that each of `block` is linked to, (..., links); -1 is none."""
        lowest = -(-self.globals // self.block)
        beyond = (block * self.block - self.window + 1) // self.block  # the first one of the window
        choice = (beyond - lowest).clamp(min=0)[..., None]
        link = torch.arange(self.links, device=block.device)
        drawn = _hash(block[..., None], link) % choice.clamp(min=1)
        chosen = lowest + (link * choice + drawn) // self.links  # in ascending order
        again = chosen.diff(prepend=chosen.new_full((*block.shape, 1), -1)) == 0
        return chosen.masked_fill(again | (choice == 0), -1)

    def reach(self, start: int, end: int) -> Reach | None:
        near = _near(start - start % self.block, end, self.block, self.window)
        linked = self.linked(near.queries[:, 0] // self.block)[..., None]  # (blocks, links, 1)
        far = (linked * self.block + torch.arange(self.block)).flatten(1)  # -1 makes what is < 0
        return Reach(near.queries, torch.cat((far, _with_first(self.globals, near.keys)), dim=1))


def _fitting(window: int) -> int:
    """How many queries make a block: few compute less in vain, many are quicker to gather for."""
    return min(max(window // 4, 32), 256)


def _blocks(start: int, end: int, size: int) -> Tensor:
    """The positions of the blocks of `size` that hold all from `start` to before `end`."""
    first, beyond = start // size, -(-end // size)
    return torch.arange(first * size, beyond * size).view(-1, size)


def _near(start: int, end: int, size: int, window: int) -> Reach:
    """Queries in blocks of `size`, and the keys that lie within `window` of one of them."""
    begins = torch.arange(start, end, size)[:, None]
    keys = begins + torch.arange(1 - window, size)
    return Reach(begins + torch.arange(size), keys)


def _with_first(first: int, keys: Tensor) -> Tensor:
    """`keys` (blocks, n) and the `first` positions, none of them twice."""
    everywhere = torch.arange(first).expand(len(keys), -1)
    return torch.cat((everywhere, keys.where(keys >= first, -1)), dim=1)


def _hash(block: Tensor, link: Tensor) -> Tensor:
    """32 well mixed bits of two numbers; no product leaves 63 bits, so all machines agree."""
    low = 0xFFFFFFFF
    x = (block * 0x9E3779B1 + link * 0x85EBCA77) & low
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & low
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & low
    return x ^ (x >> 16)


PATTERNS: Mapping[str, Callable[[ModelConfig], Pattern]] = {
    "full": Pattern,
    "local": Local,
    "dilated": Dilated,
    "chunked": Chunked,
    "global_local": GlobalLocal,
    "bigbird": BigBird,
}
