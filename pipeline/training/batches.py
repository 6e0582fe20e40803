"""Batches as a pure function of their number, so that a resumed run sees what it would have seen.

`Blocks` cuts a long row of ids into blocks for pretraining, in one of three orders; `Rows` serves
the ready-made rows of the fine-tuning set. Both answer `batch(number, size)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.common.errors import DataError

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Batch = tuple[torch.Tensor, torch.Tensor]

POOL = 32  # batches whose rows are sorted by length
ROWS_AT_ONCE = 4096  # rows whose lengths are counted together


class Data(Protocol):
    """What the training loop needs of training data."""

    @property
    def epoch(self) -> int:
        """Samples in one pass."""

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        """x and y (size, T) of samples `number` to `number + size`; -1 is ignored.

        `late`: for the end of a run, while the learning rate decays.
        """


def shuffled(numbers: Ints, count: int, seed: int) -> Ints:
    """Where each sample number falls when every pass visits all of `count` once, in its own order.

    A keyed permutation instead of a stored one: memory stays constant however long the data. It
    is a four-round Feistel network over the next even number of bits, walked until it falls inside
    (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
    """
    half = max(1, math.ceil(math.ceil(math.log2(max(count, 2))) / 2))
    epochs, at = np.divmod(numbers, count)
    keys = _mixed(epochs.astype(np.uint64), seed)
    found = _feistel(at.astype(np.uint64), keys, half)
    while (outside := found >= count).any():
        found[outside] = _feistel(found[outside], keys[outside], half)
    return found.astype(np.int64)


def _feistel(values: Words, keys: Words, half: int) -> Words:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> shift, values & mask
    for turn in range(4):
        left, right = right, left ^ (_mixed(right + keys, turn) & mask)
    return (left << shift) | right


def _mixed(values: Words, seed: int) -> Words:
    """Each value scattered over 64 bits (the finalizer of Steele et al. 2014, "SplitMix")."""
    mixed = values + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _anywhere(numbers: Ints, length: int, block: int, seed: int) -> Ints:
    return (_mixed(numbers.astype(np.uint64), seed) % np.uint64(length - block)).astype(np.int64)


def _every(numbers: Ints, length: int, block: int, seed: int) -> Ints:
    return shuffled(numbers, length - block, seed)


def _side_by_side(numbers: Ints, length: int, block: int, seed: int) -> Ints:
    return shuffled(numbers, (length - 1) // block, seed) * block


LOADERS: dict[str, Callable[[Ints, int, int, int], Ints]] = {
    "random": _anywhere,
    "overlapping": _every,
    "blocks": _side_by_side,
}


class Blocks:
    """Blocks of a long row of ids; x is a block, y the same moved by one."""

    def __init__(self, ids: NDArray[np.integer], block: int, loader: str, seed: int) -> None:
        if len(ids) <= block:
            raise DataError(
                f"The training text has {len(ids):,} tokens, too few for one block of {block}; "
                f"add text, or set a smaller model.block."
            )
        self.ids, self.block, self.seed = ids, block, seed
        self.starts = LOADERS[loader]
        self.epoch = len(ids) - block if loader == "overlapping" else (len(ids) - 1) // block

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        return moved(self.rows(np.arange(number, number + size, dtype=np.int64)))

    def rows(self, numbers: Ints) -> Ints:
        """The ids of samples, (len(numbers), block + 1): a block, and the one that follows it."""
        starts = self.starts(numbers, len(self.ids), self.block, self.seed)
        found: Ints = self.ids[starts[:, None] + np.arange(self.block + 1)].astype(np.int64)
        return found


class Rows:
    """Padded rows of shape (N, 2, T): x and y, each filled up with -1.

    Rows of like length come together, so that little padding is computed: each pass puts the rows
    in an order of its own, sorts every `POOL` batches of it by length, and shuffles the batches.
    A batch of `size` rows, or of a divisor of it, lies within one of these. The one with the
    longest row comes first, so that what does not fit into the memory is known at once.
    """

    def __init__(self, rows: NDArray[np.integer], seed: int, size: int) -> None:
        self.rows, self.seed, self.size, self.epoch = rows, seed, size, len(rows)
        parts = (rows[at : at + ROWS_AT_ONCE, 0] for at in range(0, len(rows), ROWS_AT_ONCE))
        self.lengths = np.concatenate([(part >= 0).sum(axis=1) for part in parts])
        self._latest = (-1, self.lengths)  # a pass, and its order

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        passes, at = np.divmod(np.arange(number, number + size), self.epoch)
        parts = [self._order(int(turn))[at[passes == turn]] for turn in np.unique(passes)]
        return trimmed(self.rows[np.concatenate(parts)])

    def _order(self, turn: int) -> Ints:
        """The numbers of the rows as one pass serves them."""
        if self._latest[0] != turn:
            numbers = np.arange(turn * self.epoch, (turn + 1) * self.epoch)
            order = shuffled(numbers, self.epoch, self.seed)
            pools = (numbers // self.size - numbers[0] // self.size) // POOL
            order = order[np.lexsort((self.lengths[order], pools))]
            # The batches that it shares with the passes before and after stay where they are.
            first = -numbers[0] % self.size
            whole = max(0, self.epoch - first) // self.size
            batches = order[first : first + whole * self.size].reshape(whole, self.size)
            if whole:
                turns = np.arange(turn * whole, (turn + 1) * whole)
                batches[:] = batches[shuffled(turns, whole, self.seed + 1)]
                longest = self.lengths[batches].max(axis=1).argmax()
                batches[[0, longest]] = batches[[longest, 0]]
            self._latest = (turn, order)
        return self._latest[1]


def moved(rows: Ints) -> Batch:
    """x and y of rows of ids: all but the last, and all but the first."""
    both = torch.from_numpy(rows)
    return both[:, :-1], both[:, 1:]


def trimmed(rows: NDArray[np.integer]) -> Batch:
    """x and y of some rows without the columns that are padding in all of them."""
    used = np.flatnonzero((rows[:, 0] >= 0).any(axis=0))
    first, last = (used[0], used[-1] + 1) if len(used) else (0, 1)
    both = torch.from_numpy(rows[:, :, first:last].astype(np.int64))
    return both[:, 0], both[:, 1]
