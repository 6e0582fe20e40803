"""What frozen blocks make of the texts never changes, so it is worked out once.

A decoder is cut in two. The lower part reads every text; the states of all its tokens become the
embedding table of the upper part, and a text becomes the numbers of its rows. The upper part is a
decoder as any other, and shares its blocks with the whole one, which thereby learns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import psutil
import torch
from torch import Tensor, nn

from pipeline.classify.encode import Ids, padded
from pipeline.errors import DataError
from pipeline.evaluation.bits import evaluating
from pipeline.training.device import Machine
from transformer.decoder import Decoder, meta_decoder
from transformer.positions import NoPosition, Rotate

BATCH = 16
ROOM = 0.5  # of the free memory


class Placed(NoPosition):
    """A position for states that were told theirs in the embedding already."""

    def __init__(self, inner: NoPosition) -> None:
        nn.Module.__init__(self)
        self.inner = inner

    def rotate(self, at: Tensor) -> Rotate:
        return self.inner.rotate(at)

    def bias(self, q_at: Tensor, k_at: Tensor) -> Tensor | None:
        return self.inner.bias(q_at, k_at)


def lower(decoder: Decoder, learned: int) -> Decoder:
    """Embedding and blocks below the last `learned`: hidden states without the last norm."""
    below = decoder.config.slice(0, decoder.config.layers - learned)
    part = meta_decoder(replace(below, tied=True))
    part.tokens, part.position = decoder.tokens, decoder.position
    part.kind_positions.to(decoder.tokens.weight.device)
    part.convolution = decoder.convolution
    part.blocks, part.norm = decoder.blocks[:-learned], nn.Identity()
    return part


def upper(decoder: Decoder, learned: int, states: Tensor) -> Decoder:
    """The last `learned` blocks over given `states` (tokens of all texts, C), which are frozen."""
    layers = decoder.config.layers
    config = replace(
        decoder.config.slice(layers - learned, layers),
        tied=True,
        vocab_size=len(states),
        padding_id=0,
        conv_kernel=1,
        embedding_scale=1.0,
    )
    part = meta_decoder(config)
    part.tokens = nn.Embedding(len(states), states.size(1), _weight=states, _freeze=True)
    part.position = Placed(decoder.position)
    part.position.requires_grad_(False)
    part.kind_positions.to(states.device)
    part.blocks, part.norm = decoder.blocks[-learned:], decoder.norm
    return part


def states(
    part: Decoder, texts: Sequence[Ids], machine: Machine, told: Callable[[int], None]
) -> Tensor:
    """Hidden states (tokens of all texts, C), text after text; `told` how many are done."""
    total, width = sum(map(len, texts)), part.config.width
    needed = total * width * part.tokens.weight.itemsize
    if needed > ROOM * psutil.virtual_memory().available:
        raise DataError(
            f"What the frozen blocks make of {len(texts):,} texts takes {needed / 2**30:.1f} GiB, "
            "more than half of the free memory; give fewer texts or a smaller --from."
        )
    made = torch.empty(total, width, dtype=part.tokens.weight.dtype, device=machine.device)
    firsts = rows_of(texts)
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    with evaluating(part):
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            with machine.autocast():
                hidden = part.hidden(padded([texts[n] for n in chosen], machine.device))
            for row, n in zip(hidden, chosen, strict=True):
                made[firsts[n]] = row[: len(texts[n])]
            told(start + len(chosen))
    return made


def rows_of(texts: Sequence[Ids]) -> list[Ids]:
    """The rows of the table that belong to each text."""
    ends = torch.tensor([len(ids) for ids in texts]).cumsum(0).tolist()
    return [list(range(end - len(ids), end)) for ids, end in zip(texts, ends, strict=True)]
