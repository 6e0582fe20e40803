"""A language from a large corpus first, the chat after it: samples of both, by a share.

Which source a sample is from, and which of its blocks it is, follows from the sample's number
alone, so that a resumed run sees what it would have seen. The chat's samples are spread evenly:
every batch holds its share of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.training.arrays import ArrayFile
from pipeline.training.batches import Batch, Blocks, Data, Ints, moved


class Mixture:
    """Blocks of a chat and of a corpus. `share` of the samples are the chat's, `late` more.

    Each source is visited by a counter of its own. While the rate is constant it counts from the
    beginning of a pass, in the decay from the end of one: as long as the two counts together stay
    below a pass, no block comes twice (with the loaders that promise this).
    """

    def __init__(self, chat: Blocks, corpus: Blocks, share: float) -> None:
        self.chat, self.corpus = chat, corpus
        self.share, self.late = share, math.sqrt(share)
        self.epoch = chat.epoch + corpus.epoch

    def __str__(self) -> str:
        return f"{self.share:.1%} of the samples are the chat's, {self.late:.1%} in the decay"

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        numbers = np.arange(number, number + size + 1, dtype=np.int64)
        taken = np.floor(numbers * (self.late if late else self.share)).astype(np.int64)
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


def chat_share(setting: float | str, chat: int, corpus: int) -> float:
    """The chat's share of the samples, `auto` by the tokens of both.

    Its share of the tokens, or of their square roots where that is more: so a small chat is not
    drowned, and not read over and over either. Languages of unequal size are sampled like that
    (Conneau et al. 2020, "Unsupervised Cross-lingual Representation Learning at Scale", with a
    power of 0.3 instead of a half).
    """
    if setting != "auto":
        return float(setting)
    return max(chat / (chat + corpus), math.sqrt(chat) / (math.sqrt(chat) + math.sqrt(corpus)))


def pretraining(train: ArrayFile, block: int, loader: str, seed: int, share: float | str) -> Data:
    """The blocks of a training text: a mixture where chat and corpus both have one."""
    chat, corpus = regions(train)
    if min(len(chat), len(corpus)) <= block:
        return Blocks(train.values, block, loader, seed)
    first, second = (Blocks(ids, block, loader, seed) for ids in (chat, corpus))
    return Mixture(first, second, chat_share(share, len(chat), len(corpus)))


def validation(val: ArrayFile, train: Data) -> tuple[NDArray[Any], int]:
    """The ids that choose the best model, and the bytes of their text.

    Of a mixture that is the chat alone, where it has enough: the corpus is a means to it.
    """
    chat, _ = regions(val)
    if isinstance(train, Mixture) and train.share and len(chat) > train.chat.block:
        return chat, val.info["chat_bytes"]
    return val.values, val.info["bytes"]


def regions(file: ArrayFile) -> tuple[NDArray[Any], NDArray[Any]]:
    """The ids of the chat and those of the corpus, which follow it."""
    border = file.info["chat_tokens"]
    return file.values[:border], file.values[border:]
