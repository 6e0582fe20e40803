"""Who may see whom: pure functions of absolute positions.

Because they know nothing of passes, padding or caches, training in one pass and decoding from a
cache cannot disagree about them. `sees` alone defines a pattern; the rest says where work and
memory can be saved (attention_plan.py), and may name too many keys, never too few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from transformer.cache import Ring
from transformer.config import ModelConfig

COPY_COST = 32  # copying a key and its value takes as long as this many scores


class BlockKeys(NamedTuple):
    """Queries in blocks, and for each block the positions of all keys that any of them may see.

    Each query stands in one block. Positions outside the sequence are filling and belong to no
    token; a key is never named twice in a block.
    """

    queries: Tensor  # (blocks, queries of a block)
    keys: Tensor  # (blocks, keys for a block)

    @property
    def work(self) -> int:
        """The cost for one head, counted in scores: those computed, and the copies of keys."""
        return (self.queries.size(1) + COPY_COST) * self.keys.numel()


class Pattern:
    """The whole past; also the base class of the other patterns.

    Among `dense_up_to` tokens every token sees its whole past, so that no mask is needed. Of more
    tokens than the `ring` has slots, a cache drops those that no later query sees.
    """

    dense_up_to: float
    ring: Ring

    def __init__(self, config: ModelConfig) -> None:
        self.dense_up_to, self.ring = math.inf, Ring()

    def sees(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """Whether the token at q_pos sees the one at k_pos: booleans, broadcast."""
        return k_pos <= q_pos

    def block_keys(self, start: int, end: int) -> BlockKeys | None:
        """For the queries from `start` to before `end`; None where all keys are needed anyway."""
        return None


class Local(Pattern):
    """The newest `window` tokens, itself included (as in Mistral 7B, arXiv 2310.06825)."""

    def __init__(self, config: ModelConfig) -> None:
        self.window = config.window
        self.dense_up_to, self.ring = config.window, Ring(newest=config.window)

    def sees(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        return (k_pos <= q_pos) & (k_pos > q_pos - self.window)

    def block_keys(self, start: int, end: int) -> BlockKeys | None:
        return _window(start, end, _block_size(self.window), self.window)


class Dilated(Pattern):
    """`window` tokens back in steps of `dilation` (Longformer, arXiv 2004.05150, section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        self.window, self.step = config.window, config.dilation
        self.dense_up_to, self.ring = 1, Ring(newest=config.window * config.dilation)

    def sees(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        distance = q_pos - k_pos
        near = (distance >= 0) & (distance < self.window * self.step)
        return near & (distance % self.step == 0)

    def block_keys(self, start: int, end: int) -> BlockKeys | None:
        """Every `step`-th token makes a lane with a plain window, and there are `step` lanes."""
        lane = torch.arange(self.step)[:, None, None]  # (lanes, 1, 1)
        first, last = start // self.step, (end - 1) // self.step
        near = _window(first, last + 1, _block_size(self.window), self.window)
        return BlockKeys(*((part * self.step + lane).flatten(0, 1) for part in near))


class Chunked(Pattern):
    """The past within the token's own chunk of `window` tokens (as in Llama 4's local layers)."""

    def __init__(self, config: ModelConfig) -> None:
        self.window = config.window
        self.dense_up_to, self.ring = config.window, Ring(newest=config.window)

    def sees(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        return (k_pos <= q_pos) & (k_pos // self.window == q_pos // self.window)

    def block_keys(self, start: int, end: int) -> BlockKeys | None:
        chunks = _blocks(start, end, self.window)
        return BlockKeys(chunks, chunks)


class GlobalLocal(Local):
    """A window, and the first `global_tokens` for all (Longformer, arXiv 2004.05150).

    There, global tokens also see all tokens; in a decoder that is their past, which they see
    anyway. Without training it is what keeps a window stable (StreamingLLM, arXiv 2309.17453).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.globals = config.global_tokens
        self.ring = Ring(config.global_tokens, config.window)

    def sees(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        return super().sees(q_pos, k_pos) | (k_pos < self.globals) & (k_pos <= q_pos)

    def block_keys(self, start: int, end: int) -> BlockKeys | None:
        near = _window(start, end, _block_size(self.window), self.window)
        return BlockKeys(near.queries, _with_first(self.globals, near.keys))


class BigBird(GlobalLocal):
    """A window, the first tokens, and random links between blocks (arXiv 2007.14062).

    All queries of a block of `pattern_block` have the same `random_blocks` links. A link comes from
    a hash of the block's number: always the same, in training, after loading and from the cache.
    The past between the first tokens and the window is divided equally among the links, and each
    is drawn from its part.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.links, self.block = config.random_blocks, config.pattern_block
        self.ring = Ring()  # a link can lead anywhere

    def sees(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        seen, blocks = super().sees(q_pos, k_pos), k_pos // self.block
        for link in self.linked_blocks(q_pos // self.block).unbind(-1):
            seen = seen | (blocks == link)
        return seen

    def linked_blocks(self, block: Tensor) -> Tensor:
        """The indices of the blocks that each of `block` is linked to, (..., links); -1 is none."""
        lowest = -(-self.globals // self.block)
        beyond = (block * self.block - self.window + 1) // self.block  # the first one of the window
        choice = (beyond - lowest).clamp(min=0)[..., None]
        link = torch.arange(self.links, device=block.device)
        drawn = _hash(block[..., None], link) % choice.clamp(min=1)
        chosen = lowest + (link * choice + drawn) // self.links  # in ascending order
        again = chosen.diff(prepend=chosen.new_full((*block.shape, 1), -1)) == 0
        return chosen.masked_fill(again | (choice == 0), -1)

    def block_keys(self, start: int, end: int) -> BlockKeys | None:
        near = _window(start - start % self.block, end, self.block, self.window)
        linked = self.linked_blocks(near.queries[:, 0] // self.block)[
            ..., None
        ]  # (blocks, links, 1)
        far = (linked * self.block + torch.arange(self.block)).flatten(1)  # -1 makes what is < 0
        return BlockKeys(
            near.queries, torch.cat((far, _with_first(self.globals, near.keys)), dim=1)
        )


def _block_size(window: int) -> int:
    """Queries per block: few compute less in vain, many are quicker to gather keys for."""
    return min(max(window // 4, 32), 256)


def _blocks(start: int, end: int, size: int) -> Tensor:
    """The positions of the blocks of `size` that cover all from `start` to before `end`."""
    first, beyond = start // size, -(-end // size)
    return torch.arange(first * size, beyond * size).view(-1, size)


def _window(start: int, end: int, size: int, window: int) -> BlockKeys:
    """Queries in blocks of `size`, and the keys that lie within `window` of one of them."""
    begins = torch.arange(start, end, size)[:, None]
    keys = begins + torch.arange(1 - window, size)
    return BlockKeys(begins + torch.arange(size), keys)


def _with_first(first: int, keys: Tensor) -> Tensor:
    """`keys` (blocks, n) and the `first` positions, none of them twice."""
    globals_ = torch.arange(first).expand(len(keys), -1)
    return torch.cat((globals_, keys.where(keys >= first, -1)), dim=1)


def _hash(block: Tensor, link: Tensor) -> Tensor:
    """32 well mixed bits of two numbers; no product exceeds 63 bits, so all machines agree."""
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
