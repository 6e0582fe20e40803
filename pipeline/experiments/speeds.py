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

import torch

from pipeline.experiments.trial import NEW_TOKENS
from transformer.config import ModelConfig
from transformer.decoder import Decoder

GOES = 3  # in the first, what is made at the first call counts too
MOST_SECONDS = 10.0  # of one
FLOAT = 4  # bytes


def generation(config: ModelConfig, device: torch.device) -> dict[str, float]:
    """New tokens a second, over the first so many of them; lengths that take too long are left out.

    One row, from one token, always the likeliest next one; the fastest of some goes. On a CPU it is
    the thread's own time that counts, which a busy machine disturbs less than the clock's.
    """
    decoder = Decoder(replace(config, block=NEW_TOKENS[-1] + 1), torch.Generator().manual_seed(0))
    decoder.to(device).eval()
    with torch.no_grad(), one_thread():
        goes = [_go(decoder, device) for _ in range(GOES)]
    lengths = [length for length in map(str, NEW_TOKENS) if all(length in go for go in goes)]
    return {length: max(go[length] for go in goes) for length in lengths}


def _go(decoder: Decoder, device: torch.device) -> dict[str, float]:
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    found: dict[str, float] = {}
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
    return FLOAT * decoder.cache_size(tokens) / tokens


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
