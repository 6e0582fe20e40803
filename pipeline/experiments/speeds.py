"""Generation speed against the number of new tokens, and what the cache keeps.

All variants go the general road, one token at a time from the cache, with one thread: the compiled
loops of the chat know the usual decoder only, and would compare code instead of ideas. Speed does
not depend on what was learned, so the weights are drawn, and the block is as long as is needed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import torch

from pipeline.experiments.trial import NEW_TOKENS
from transformer.block import PreNorm
from transformer.config import ModelConfig
from transformer.decoder import Decoder

MOST_SECONDS = 20.0
FLOAT = 4  # bytes


def generation(config: ModelConfig, device: torch.device) -> dict[str, float]:
    """New tokens a second, over the first so many of them; lengths that take too long are left out.

    One row, from one token, always the likeliest next one. On a CPU it is the thread's own time
    that counts, which a busy machine disturbs less than the clock's.
    """
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    decoder = Decoder(replace(config, block=NEW_TOKENS[-1] + 1), torch.Generator().manual_seed(0))
    decoder.to(device).eval()
    found: dict[str, float] = {}
    with torch.no_grad(), one_thread():
        _generate(decoder, 8, device)  # what is made at the first call
        began = clock()
        for number, _ in enumerate(_ids(decoder, NEW_TOKENS[-1], device), 1):
            taken = clock() - began
            if number in NEW_TOKENS:
                found[str(number)] = number / max(taken, 1e-9)
            if taken > MOST_SECONDS:
                break
    return found


def cache_bytes(config: ModelConfig) -> float:
    """What the cache keeps for a token in float32, on the average over the longest context."""
    tokens = NEW_TOKENS[-1]
    decoder = Decoder(replace(config, block=tokens), torch.Generator().manual_seed(0))
    attentions = (cast(PreNorm, block).attention for block in decoder.blocks)
    return FLOAT * sum(a.cache_size(tokens, decoder.pattern) for a in attentions) / tokens


def _generate(decoder: Decoder, count: int, device: torch.device) -> list[int]:
    return list(_ids(decoder, count, device))


def _ids(decoder: Decoder, count: int, device: torch.device) -> Iterator[int]:
    cache, new = decoder.new_cache(), 0
    for _ in range(count):
        ids = torch.tensor([[new]], device=device)
        new = int(decoder.head(decoder.hidden(ids, cache)[:, -1]).argmax())
        yield new


@contextmanager
def one_thread() -> Iterator[None]:
    """A single token is too little work to share out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
