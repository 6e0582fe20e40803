"""The output of frozen blocks never changes, so it is computed once.

The decoder is cut in two. The lower part reads every text once; the hidden states of all tokens
become the embedding table of the upper part, and a text becomes its row numbers in that table.
The upper part is a decoder like any other and shares its blocks with the whole one, so training it
trains the whole one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psutil
import torch
from torch import Tensor, nn

from pipeline.classify.text_encoder import Ids, Progress, batches_by_length
from pipeline.common.errors import DataError
from pipeline.training.hardware.device import Machine
from pipeline.training.validation import evaluating
from transformer.blank import blank
from transformer.decoder import Decoder
from transformer.positions import NoPosition, Rotate

MEMORY_SHARE = 0.5  # of the free memory


class AlreadyEmbedded(NoPosition):
    """Positions for states whose embedding already contains them: nothing is added again."""

    def __init__(self, inner: NoPosition) -> None:
        nn.Module.__init__(self)
        self.inner = inner

    def rotate(self, at: Tensor) -> Rotate:
        return self.inner.rotate(at)

    def bias(self, q_at: Tensor, k_at: Tensor) -> Tensor | None:
        return self.inner.bias(q_at, k_at)


def lower_part(decoder: Decoder, trained: int) -> Decoder:
    """Embedding and all blocks below the last `trained`; no final norm."""
    part = blank(replace(decoder.config, layers=decoder.config.layers - trained, tied=True))
    part.tokens, part.position, part.pattern = decoder.tokens, decoder.position, decoder.pattern
    part.convolution = decoder.convolution
    part.blocks, part.norm = decoder.blocks[:-trained], nn.Identity()
    return part


def upper_part(decoder: Decoder, trained: int, states: Tensor) -> Decoder:
    """The last `trained` blocks, with frozen `states` (tokens of all texts, C) as embedding."""
    config = replace(decoder.config, layers=trained, tied=True, padding_id=0, conv_kernel=1)
    part = blank(replace(config, vocab_size=len(states)))
    part.tokens = nn.Embedding(len(states), states.size(1), _weight=states, _freeze=True)
    part.position, part.pattern = AlreadyEmbedded(decoder.position), decoder.pattern
    part.position.requires_grad_(False)
    part.blocks, part.norm = decoder.blocks[-trained:], decoder.norm
    return part


def hidden_states(
    part: Decoder, texts: Sequence[Ids], machine: Machine, progress: Progress
) -> Tensor:
    """Hidden states (tokens of all texts, C), in the order of the texts.

    Raises DataError where they would take more than half of the free memory.
    """
    total, width = sum(map(len, texts)), part.config.width
    needed = total * width * part.tokens.weight.itemsize
    if needed > MEMORY_SHARE * psutil.virtual_memory().available:
        raise DataError(
            f"The hidden states of {len(texts):,} texts need {needed / 2**30:.1f} GiB, more than "
            "half of the free memory; use fewer texts or a smaller model with --from."
        )
    states = torch.empty(total, width, dtype=part.tokens.weight.dtype, device=machine.device)
    rows = row_numbers(texts)
    with evaluating(part):
        for chosen, ids in batches_by_length(texts, machine.device, progress):
            with machine.autocast():
                hidden = part.hidden(ids)
            for row, n in zip(hidden, chosen, strict=True):
                states[rows[n]] = row[: len(texts[n])]
    return states


def row_numbers(texts: Sequence[Ids]) -> list[Ids]:
    """The rows of the state table that belong to each text."""
    ends = torch.tensor([len(ids) for ids in texts]).cumsum(0).tolist()
    return [list(range(end - len(ids), end)) for ids, end in zip(texts, ends, strict=True)]
