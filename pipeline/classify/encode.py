"""Texts as ids of at most one block, each with the tokenizer's end mark as its last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from minbpe.base import Tokenizer
from pipeline.dialogue.template import END

LONGEST = 256  # tokens of a text, however large the block: a class shows early
ENDS = (END, "<|end_of_text|>", "</s>")  # the names that tokenizers give to the end of a text

Ids = list[int]


@dataclass(frozen=True)
class Encoder:
    """What turns texts into ids for a decoder of a `block`."""

    tokenizer: Tokenizer
    block: int

    @property
    def longest(self) -> int:
        return min(self.block, LONGEST)

    @property
    def end(self) -> Ids:
        """The mark that every text ends with: the head reads it, so it is one for all texts."""
        return [self.tokenizer.special[name] for name in ENDS if name in self.tokenizer.special][:1]

    def encode(self, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """The ids of each text, never none, and how many texts were cut."""
        room = self.longest - len(self.end)
        whole = [self.tokenizer.encode(text) for text in texts]
        cut = sum(len(ids) > room for ids in whole)
        return [(ids[:room] + self.end) or [0] for ids in whole], cut


def padded(rows: Sequence[Ids], device: torch.device) -> Tensor:
    """Rows as one batch (B, T), with -1 after the shorter ones."""
    width = max(map(len, rows))
    return torch.tensor([ids + [-1] * (width - len(ids)) for ids in rows], device=device)
