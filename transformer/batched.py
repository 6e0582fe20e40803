"""Several prompts continued at once: a pass reads the weights once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from transformer.cache import Cache
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
    drawn ones differ, since the rows share the generator. A prompt given several times is read
    once, and gets as many answers. A row that outgrows the block makes all of them start anew from
    their ids: of prompts that long, give few at once.
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
    """Continue `rows` from an empty cache until none goes on, or the cache is full.

    Rows that have ended are dropped from it once they are half of all.
    """
    block = decoder.config.block
    for row in rows:
        row.context = fitting(row.context, block)
    logits, cache = _read(decoder, [row.context for row in rows])
    seen = torch.stack([marked(decoder, row.seen) for row in rows])  # (B, V)
    while True:
        chosen = pick(logits, seen=seen)
        for row, new in zip(rows, chosen.tolist(), strict=True):
            row.say(new, stops)
        going = [n for n, row in enumerate(rows) if row.left]
        if not going or len(cache) >= block:
            return
        ids = chosen[:, None]
        seen.scatter_(1, ids, True)
        if 2 * len(going) <= len(rows):
            left = torch.tensor(going, device=ids.device)
            rows, ids, seen = [rows[n] for n in going], ids[left], seen[left]
            cache = cache.picked(left)
        logits = last_logits(decoder, ids, cache)


def _read(decoder: Decoder, contexts: Sequence[Sequence[int]]) -> tuple[Tensor, Cache]:
    """Logits (B, V) after each context, and the cache; equal contexts are read once."""
    places = {context: place for place, context in enumerate(dict.fromkeys(map(tuple, contexts)))}
    device = decoder.tokens.weight.device
    cache = decoder.new_cache()
    logits = last_logits(decoder, left_padded(list(places)).to(device), cache)
    if len(places) == len(contexts):
        return logits, cache
    rows = torch.tensor([places[tuple(context)] for context in contexts], device=device)
    return logits[rows], cache.picked(rows)


def left_padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of equal length, (B, T), so that all of them end where the next id comes."""
    longest = max(map(len, rows))
    return torch.tensor([[-1] * (longest - len(row)) + list(row) for row in rows])
