"""A chat and a corpus learned from together: first the language, then more of the chat.

Which source a sample is from, and which of its blocks it is, follows from the sample's number
alone, so that a resumed run sees what it would have seen. The chat's samples are spread evenly:
every batch holds its share of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.training.batches import Batch, Blocks, Data, Ints, moved
from pipeline.training.memmap import ArrayFile


@dataclass(frozen=True)
class Mixture:
    """Samples of which `share` are the chat's; `late_share` while the rate decays.

    Each source is visited by a counter of its own. While the rate is constant it counts from the
    beginning of a pass, in the decay from the end of one: as long as the two counts together stay
    below a pass, no block comes twice (with the loaders that promise this).
    """

    chat: Blocks
    corpus: Blocks
    share: float
    late_share: float

    @property
    def epoch(self) -> int:
        return self.chat.epoch + self.corpus.epoch

    def __str__(self) -> str:
        return f"{self.share:.1%} of the blocks are the chat's, {self.late_share:.1%} in the decay"

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        """x and y (size, T)."""
        numbers = np.arange(number, number + size + 1, dtype=np.int64)
        taken = np.floor(numbers * (self.late_share if late else self.share)).astype(np.int64)
        numbers, of_chat, taken = numbers[:-1], np.diff(taken) > 0, taken[:-1]
        rows = np.empty((size, self.chat.block + 1), dtype=np.int64)
        for source, mine, count in (
            (self.chat, of_chat, taken),
            (self.corpus, ~of_chat, numbers - taken),
        ):
            wanted = count[mine]
            rows[mine] = source.rows(backwards(wanted, source.epoch) if late else wanted)
        return moved(rows)


def backwards(numbers: Ints, epoch: int) -> Ints:
    """Sample numbers with each pass of `epoch` samples from its end to its beginning."""
    at = numbers % epoch
    turned: Ints = numbers - at + (epoch - 1 - at)
    return turned


def chat_share(chat: int, corpus: int) -> float:
    """The chat's share of the samples where none is set, by the tokens of both.

    Its share of the tokens, or of their square roots where that is more: so a small chat is not
    drowned, and not read over and over either. Languages of unequal size are sampled like that
    (Conneau et al. 2020, "Unsupervised Cross-lingual Representation Learning at Scale", with a
    power of 0.3 instead of a half).
    """
    return max(chat / (chat + corpus), math.sqrt(chat) / (math.sqrt(chat) + math.sqrt(corpus)))


def blocks(train: ArrayFile, block: int, settings: Any, seed: int) -> Data:
    """The data of pretraining: blocks of the chat and of the corpus, or of all that there is.

    `settings` is the section `pretrain`. A source that does not fill one block is no source of its
    own. In the decay the chat's share is the square root of what it was before: 1 % becomes 10 %,
    25 % become 50 %.
    """
    ids, border = train.values, train.info.get("chat_tokens", 0)
    if not block < border < len(ids) - block:
        return Blocks(ids, block, settings.loader, seed)
    share = settings.chat_share
    if share == "auto":
        share = chat_share(border, len(ids) - border)
    chat, corpus = (
        Blocks(part, block, settings.loader, seed) for part in (ids[:border], ids[border:])
    )
    return Mixture(chat, corpus, share, math.sqrt(share))
