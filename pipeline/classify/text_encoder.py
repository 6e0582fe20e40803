"""Texts as token ids, truncated to one block and ending in the tokenizer's end mark; batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from minbpe.base import Tokenizer
from pipeline.dialogue.template import END

MAX_TOKENS = 256  # per text, however large the block: the class shows early
END_MARKS = (END, "<|end_of_text|>", "</s>")  # what tokenizers call the end of a text
BATCH = 16

Ids = list[int]
Progress = Callable[[int], None]  # called with the number of texts done


@dataclass(frozen=True)
class TextEncoder:
    """Turns texts into ids for a decoder with a context of `block` tokens."""

    tokenizer: Tokenizer
    block: int

    @property
    def max_tokens(self) -> int:
        return min(self.block, MAX_TOKENS)

    def encode(self, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """The ids of each text (never empty), and how many texts were truncated.

        All texts end in the same mark, because the head reads the last token.
        """
        special = self.tokenizer.special
        end = [special[name] for name in END_MARKS if name in special][:1]
        limit = self.max_tokens - len(end)
        rows = [self.tokenizer.encode(text) for text in texts]
        truncated = sum(len(ids) > limit for ids in rows)
        return [(ids[:limit] + end) or [0] for ids in rows], truncated


def pad(rows: Sequence[Ids], device: torch.device) -> Tensor:
    """Rows as one batch (B, T), filled up with -1 on the right."""
    width = max(map(len, rows))
    return torch.tensor([ids + [-1] * (width - len(ids)) for ids in rows], device=device)


def batches_by_length(
    texts: Sequence[Ids], device: torch.device, progress: Progress | None
) -> Iterator[tuple[list[int], Tensor]]:
    """Indices and padded ids of all texts, shortest first, so that little padding is computed."""
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        yield chosen, pad([texts[n] for n in chosen], device)
        if progress is not None:
            progress(start + len(chosen))
