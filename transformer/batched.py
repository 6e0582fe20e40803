"""Several prompts continued at once: a pass reads the weights once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from transformer.decoder import Decoder
from transformer.generate import fitting, last_logits, marked
from transformer.sampling import Sampling, choose


@dataclass
class Row:
    """One prompt on its way."""

    context: list[int]  # what the next id follows from
    seen: set[int]  # the ids that the repetition penalty is for
    left: int  # ids that may still come
    said: list[int] = field(default_factory=list)

    def say(self, chosen: int, stops: frozenset[int]) -> None:
        """Take the next id, unless the row has ended, or ends with it."""
        if chosen in stops:
            self.left = 0
        if self.left:
            self.left -= 1
            self.seen.add(chosen)
            self.context.append(chosen)
            self.said.append(chosen)


def generate_batch(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    max_new: int,
    sampling: Sampling | None = None,
    *,
    stop_ids: Sequence[int] = (),
    forbidden_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """For each of `prompts` up to `max_new` ids that follow it, ending before a stop id.

    Every row is treated as `generate` treats it alone, so with temperature 0 it gets the same ids;
    drawn ones differ, since the rows share the generator. A row that outgrows the block makes all
    of them start anew from their ids: of prompts that long, give few at once.
    """
    if not all(prompts):
        raise ValueError("a prompt is empty: give each at least one id")
    sampling = Sampling() if sampling is None else sampling
    stops = frozenset(stop_ids)
    block = decoder.config.block
    rows = [Row(list(ids[-block:]), set(ids) - stops, max(max_new, 0)) for ids in prompts]
    forbidden = marked(decoder, forbidden_ids) if forbidden_ids else None
    pick = partial(choose, sampling=sampling, generator=generator, forbidden=forbidden)
    training = decoder.training
    decoder.eval()
    try:
        while going := [row for row in rows if row.left]:
            _go_on(decoder, going, pick, stops)
    finally:
        decoder.train(training)
    return [row.said for row in rows]


def _go_on(
    decoder: Decoder, rows: Sequence[Row], pick: partial[Tensor], stops: frozenset[int]
) -> None:
    """Continue `rows` from an empty cache until none goes on, or starting anew is better.

    It is when the cache is full, and when the rows that have ended have cost as many tokens as
    those that go on would cost to be read again.
    """
    block = decoder.config.block
    for row in rows:
        row.context = fitting(row.context, block)
    cache = decoder.new_cache()
    seen = torch.stack([marked(decoder, row.seen) for row in rows])  # (B, V)
    ids = _left_padded([row.context for row in rows]).to(seen.device)
    width, idle = ids.size(1), 0
    while width <= block:
        chosen = pick(last_logits(decoder, ids, cache), seen=seen)
        for row, new in zip(rows, chosen.tolist(), strict=True):
            row.say(new, stops)
        going = [row for row in rows if row.left]
        idle += len(rows) - len(going)
        if idle >= sum(len(row.context) for row in going):
            return
        ids = chosen[:, None]
        seen.scatter_(1, ids, True)
        width += 1


def _left_padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of equal length, (B, T), so that all of them end where the next id comes."""
    longest = max(map(len, rows))
    return torch.tensor([[-1] * (longest - len(row)) + list(row) for row in rows])
