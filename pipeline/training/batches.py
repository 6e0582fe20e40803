"""Batches as a pure function of their number, so that a resumed run sees the same ones.

`Blocks` cuts a long row of ids into blocks for pretraining, in one of three orders; `Mixture` takes
blocks of a chat and of a corpus; `Rows` serves the ready-made rows of the fine-tuning set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.common.errors import DataError
from pipeline.training.memmap import ArrayFile
from pipeline.workspace.settings import Pretrain

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Batch = tuple[torch.Tensor, torch.Tensor]

POOL = 32  # batches whose rows are sorted by length
ROWS_AT_ONCE = 4096  # rows whose lengths are counted together
BATCHES_LOOKED_AT = 64  # to know how long they are


class Data(Protocol):
    """What the training loop needs of training data."""

    @property
    def samples_per_epoch(self) -> int:
        """Samples in one pass over the data."""

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        """x and y (size, T) of the samples from `number` on; -1 is ignored.

        `late`: at the end of a run, while the learning rate decays.
        """

    def typical(self, size: int) -> int:
        """The first sample of a batch that is about as long as batches are on average."""


def shuffled(numbers: Ints, count: int, seed: int) -> Ints:
    """Which of `count` samples each number stands for, when every epoch has an order of its own.

    A keyed permutation instead of a stored one: memory stays constant however long the data. It is
    a four-round Feistel network over the next even number of bits, repeated until the result is
    below `count` (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
    """
    half = max(1, math.ceil(math.ceil(math.log2(max(count, 2))) / 2))
    epochs, positions = np.divmod(numbers, count)
    keys = _mixed(epochs.astype(np.uint64), seed)
    places = _feistel(positions.astype(np.uint64), keys, half)
    while (outside := places >= count).any():
        places[outside] = _feistel(places[outside], keys[outside], half)
    return places.astype(np.int64)


def _feistel(values: Words, keys: Words, half: int) -> Words:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> shift, values & mask
    for number in range(4):
        left, right = right, left ^ (_mixed(right + keys, number) & mask)
    return (left << shift) | right


def _mixed(values: Words, seed: int) -> Words:
    """Each value scattered over 64 bits (the finalizer of Steele et al. 2014, "SplitMix")."""
    mixed = values + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _random(numbers: Ints, length: int, block: int, seed: int) -> Ints:
    return (_mixed(numbers.astype(np.uint64), seed) % np.uint64(length - block)).astype(np.int64)


def _overlapping(numbers: Ints, length: int, block: int, seed: int) -> Ints:
    return shuffled(numbers, length - block, seed)


def _side_by_side(numbers: Ints, length: int, block: int, seed: int) -> Ints:
    return shuffled(numbers, (length - 1) // block, seed) * block


LOADERS: dict[str, Callable[[Ints, int, int, int], Ints]] = {
    "random": _random,
    "overlapping": _overlapping,
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
        overlapping = loader == "overlapping"
        self.samples_per_epoch = len(ids) - block if overlapping else (len(ids) - 1) // block

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        return shifted(self.rows(np.arange(number, number + size, dtype=np.int64)))

    def rows(self, numbers: Ints) -> Ints:
        """The ids of samples, (len(numbers), block + 1): a block, and the id that follows it."""
        starts = self.starts(numbers, len(self.ids), self.block, self.seed)
        ids: Ints = self.ids[starts[:, None] + np.arange(self.block + 1)].astype(np.int64)
        return ids

    def typical(self, size: int) -> int:
        return 0  # all are equally long


@dataclass(frozen=True)
class Mixture:
    """A chat and a corpus learned from together: first the language, then more of the chat.

    `chat_share` of the samples are the chat's, `late_chat_share` while the learning rate decays,
    evenly spread, so that every batch holds its share of them. Each source has a counter of its
    own. While the rate is constant it counts from the beginning of an epoch, in the decay from the
    end of one: as long as both together stay below an epoch, no block comes twice (with the loaders
    that promise this).
    """

    chat: Blocks
    corpus: Blocks
    chat_share: float
    late_chat_share: float

    @property
    def samples_per_epoch(self) -> int:
        return self.chat.samples_per_epoch + self.corpus.samples_per_epoch

    def __str__(self) -> str:
        return (
            f"{self.chat_share:.1%} of the blocks are the chat's, {self.late_chat_share:.1%} in "
            "the decay"
        )

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        numbers = np.arange(number, number + size + 1, dtype=np.int64)
        share = self.late_chat_share if late else self.chat_share
        of_chat = np.floor(numbers * share).astype(np.int64)  # samples of the chat before each
        numbers, is_chat, of_chat = numbers[:-1], np.diff(of_chat) > 0, of_chat[:-1]
        rows = np.empty((size, self.chat.block + 1), dtype=np.int64)
        for source, chosen, counts in (
            (self.chat, is_chat, of_chat),
            (self.corpus, ~is_chat, numbers - of_chat),
        ):
            of_source = counts[chosen]
            if late:
                of_source = backwards(of_source, source.samples_per_epoch)
            rows[chosen] = source.rows(of_source)
        return shifted(rows)

    def typical(self, size: int) -> int:
        return 0  # all are equally long


def backwards(numbers: Ints, samples_per_epoch: int) -> Ints:
    """Sample numbers with each epoch from its end to its beginning."""
    positions = numbers % samples_per_epoch
    reversed_numbers: Ints = numbers - positions + (samples_per_epoch - 1 - positions)
    return reversed_numbers


def chat_share(chat: int, corpus: int) -> float:
    """The chat's share of the samples where none is set, by the tokens of both.

    Its share of the tokens, or of their square roots where that is more: so a small chat is neither
    drowned nor read over and over. Languages of unequal size are sampled like that (Conneau et al.
    2020, "Unsupervised Cross-lingual Representation Learning at Scale", with a power of 0.3 instead
    of a half).
    """
    return max(chat / (chat + corpus), math.sqrt(chat) / (math.sqrt(chat) + math.sqrt(corpus)))


def pretraining_data(train: ArrayFile, block: int, settings: Pretrain, seed: int) -> Data:
    """The data of pretraining: blocks of the chat and of the corpus, or of all that there is.

    A source that does not fill one block is no source of its own. In the decay the chat's share is
    the square root of what it was before: 1 % becomes 10 %, 25 % become 50 %.
    """
    ids, chat_tokens = train.values, train.info.get("chat_tokens", 0)
    if not block < chat_tokens < len(ids) - block:
        return Blocks(ids, block, settings.loader, seed)
    share = settings.chat_share
    if share == "auto":
        share = chat_share(chat_tokens, len(ids) - chat_tokens)
    chat, corpus = (
        Blocks(part, block, settings.loader, seed)
        for part in (ids[:chat_tokens], ids[chat_tokens:])
    )
    return Mixture(chat, corpus, share, math.sqrt(share))


class Rows:
    """Padded rows of shape (N, 2, T): x and y, each filled up with -1.

    Rows of similar length come together, so that little padding is computed: each epoch puts the
    rows in an order of its own, sorts every `POOL` batches of it by length, and shuffles the
    batches. A batch of `size` rows, or of a divisor of it, lies within one of these. The one with
    the longest row comes first, so that what does not fit into the memory shows at once.
    """

    def __init__(self, rows: NDArray[np.integer], seed: int, size: int) -> None:
        self.rows, self.seed, self.size = rows, seed, size
        self.samples_per_epoch = len(rows)
        starts = range(0, len(rows), ROWS_AT_ONCE)
        parts = (rows[start : start + ROWS_AT_ONCE, 0] for start in starts)
        self.lengths = np.concatenate([(part >= 0).sum(axis=1) for part in parts])
        self._latest = (-1, self.lengths)  # an epoch, and its order

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        epochs, positions = np.divmod(np.arange(number, number + size), self.samples_per_epoch)
        parts = [self._order(int(epoch))[positions[epochs == epoch]] for epoch in np.unique(epochs)]
        return trimmed(self.rows[np.concatenate(parts)])

    def typical(self, size: int) -> int:
        count = self.samples_per_epoch
        firsts = range(0, count, max(size, count // BATCHES_LOOKED_AT // size * size))
        cells = {first: self.batch(first, size)[0].numel() for first in firsts}
        mean = sum(cells.values()) / len(cells)
        return min(cells, key=lambda first: abs(cells[first] - mean))

    def _order(self, epoch: int) -> Ints:
        """The numbers of the rows in the order of an epoch."""
        if self._latest[0] != epoch:
            count = self.samples_per_epoch
            numbers = np.arange(epoch * count, (epoch + 1) * count)
            order = shuffled(numbers, count, self.seed)
            pools = (numbers // self.size - numbers[0] // self.size) // POOL
            order = order[np.lexsort((self.lengths[order], pools))]
            # The batches shared with the epochs before and after stay where they are.
            first = -numbers[0] % self.size
            whole = max(0, count - first) // self.size
            batches = order[first : first + whole * self.size].reshape(whole, self.size)
            if whole:
                turns = np.arange(epoch * whole, (epoch + 1) * whole)
                batches[:] = batches[shuffled(turns, whole, self.seed + 1)]
                longest = self.lengths[batches].max(axis=1).argmax()
                batches[[0, longest]] = batches[[longest, 0]]
            self._latest = (epoch, order)
        return self._latest[1]


def shifted(rows: Ints) -> Batch:
    """x and y of rows of ids: all but the last, and all but the first."""
    both = torch.from_numpy(rows)
    return both[:, :-1], both[:, 1:]


def trimmed(rows: NDArray[np.integer]) -> Batch:
    """x and y of padded rows, without the columns that are padding in all of them."""
    used = np.flatnonzero((rows[:, 0] >= 0).any(axis=0))
    first, last = (used[0], used[-1] + 1) if len(used) else (0, 1)
    both = torch.from_numpy(rows[:, :, first:last].astype(np.int64))
    return both[:, 0], both[:, 1]
