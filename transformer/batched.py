"""Several prompts continued together: a pass reads the weights once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from transformer.cache import Cache
from transformer.decoder import Decoder
from transformer.generate import Sampling, fit_context, id_mask, last_logits, sample_next


@dataclass
class Row:
    """One prompt that is being continued."""

    context: list[int]
    seen: set[int]  # the ids that the repetition penalty applies to
    remaining: int  # ids that may still come
    generated: list[int] = field(default_factory=list)

    def append(self, chosen: int, stops: frozenset[int]) -> None:
        """Add the next id, unless the row has ended, or ends with it."""
        if chosen in stops:
            self.remaining = 0
        if self.remaining:
            self.remaining -= 1
            self.seen.add(chosen)
            self.context.append(chosen)
            self.generated.append(chosen)


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
    once, and continued as many times. When a row outgrows the block, all rows are read again from
    their ids: give few prompts of that length together.
    """
    if not all(prompts):
        raise ValueError("a prompt is empty: give each at least one id")
    sampling = Sampling() if sampling is None else sampling
    stops = frozenset(stop_ids)
    block = decoder.config.block
    rows = [Row(list(ids[-block:]), set(ids) - stops, max(max_new, 0)) for ids in prompts]
    forbidden = id_mask(decoder, forbidden_ids) if forbidden_ids else None
    pick = partial(sample_next, sampling=sampling, generator=generator, forbidden=forbidden)
    training = decoder.training
    decoder.eval()
    try:
        while active := [row for row in rows if row.remaining]:
            _continue_rows(decoder, active, pick, stops)
    finally:
        decoder.train(training)
    return [row.generated for row in rows]


def _continue_rows(
    decoder: Decoder, rows: Sequence[Row], pick: partial[Tensor], stops: frozenset[int]
) -> None:
    """Continue `rows` from an empty cache until all have ended, or the cache is full.

    Rows that have ended leave the batch once they are half of it.
    """
    block = decoder.config.block
    for row in rows:
        row.context = fit_context(row.context, block)
    logits, cache = _read_prompts(decoder, [row.context for row in rows])
    seen = torch.stack([id_mask(decoder, row.seen) for row in rows])  # (B, V)
    while True:
        chosen = pick(logits, seen=seen)
        for row, new in zip(rows, chosen.tolist(), strict=True):
            row.append(new, stops)
        active = [n for n, row in enumerate(rows) if row.remaining]
        if not active or len(cache) >= block:
            return
        ids = chosen[:, None]
        seen.scatter_(1, ids, True)
        if 2 * len(active) <= len(rows):
            index = torch.tensor(active, device=ids.device)
            rows, ids, seen = [rows[n] for n in active], ids[index], seen[index]
            cache = cache.select_rows(index)
        logits = last_logits(decoder, ids, cache)


def _read_prompts(decoder: Decoder, contexts: Sequence[Sequence[int]]) -> tuple[Tensor, Cache]:
    """Logits (B, V) after each context, and the cache; equal contexts are read once."""
    unique = {context: n for n, context in enumerate(dict.fromkeys(map(tuple, contexts)))}
    device = decoder.tokens.weight.device
    cache = decoder.new_cache()
    logits = last_logits(decoder, left_padded(list(unique)).to(device), cache)
    if len(unique) == len(contexts):
        return logits, cache
    rows = torch.tensor([unique[tuple(context)] for context in contexts], device=device)
    return logits[rows], cache.select_rows(rows)


def left_padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows padded to equal length, (B, T), so that the next id of all of them comes last."""
    longest = max(map(len, rows))
    return torch.tensor([[-1] * (longest - len(row)) + list(row) for row in rows])
