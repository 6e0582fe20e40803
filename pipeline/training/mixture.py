"""A chat and a corpus learned from together: first the language, then more of the chat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pipeline.training.arrays import ArrayFile
from pipeline.training.batches import Batch, Blocks, Data

LEAST, LATE = 0.1, 0.5  # of the blocks are the chat's, however large the corpus; while decaying
PARTS = 1000  # a share is so many of them


@dataclass(frozen=True)
class Mixture:
    """Samples of which `share` are the chat's; `late_share` while the rate decays.

    Which sample is whose follows from its number alone: the chat's are spread evenly, and each
    source counts its own, so that it is gone through in its own order.
    """

    chat: Data
    corpus: Data
    share: float
    late_share: float

    @property
    def epoch(self) -> int:
        return self.chat.epoch + self.corpus.epoch

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        """x and y (size, T); the chat's samples come first."""
        share = round(PARTS * (self.late_share if late else self.share))
        first, end = (n * share // PARTS for n in (number, number + size))  # the chat's
        parts = [
            self.chat.batch(first, end - first),
            self.corpus.batch(number - first, size - (end - first)),
        ]
        x, y = (torch.cat(halves) for halves in zip(*parts, strict=True))
        return x, y


def blocks(train: ArrayFile, block: int, settings: Any, seed: int) -> Data:
    """The data of pretraining: blocks of the chat and of the corpus, or of all that there is.

    `settings` is the section `pretrain`. A source that does not fill one block is no source of its
    own.
    """
    ids, border = train.values, train.info.get("chat_tokens", 0)
    if not block < border < len(ids) - block:
        return Blocks(ids, block, settings.loader, seed)
    by_size = border / len(ids)
    share, late = max(by_size, LEAST), max(by_size, LATE)
    if settings.chat_share != "auto":
        share = late = settings.chat_share
    chat, corpus = (
        Blocks(part, block, settings.loader, seed) for part in (ids[:border], ids[border:])
    )
    return Mixture(chat, corpus, share, late)
