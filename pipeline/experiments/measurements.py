"""What is measured besides the loss: longer contexts, generation speed, and the cache's size.

All variants generate on the reference path, one token at a time from the cache, with one thread:
the compiled loops of the chat support the usual decoder only, and would compare code instead of
ideas. Speed does not depend on what was learned, so the weights are random.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.experiments.trial import NEW_TOKENS
from pipeline.training.validation import measure_text
from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder, meta_decoder

REPEATS = 3  # the first one includes what is set up at the first call
MAX_SECONDS = 10.0  # of one
FLOAT_BYTES = 4


def extended(decoder: Decoder, times: int) -> Decoder:
    """The same weights with a context `times` as long; ConfigError where that is impossible."""
    block = decoder.config.block
    if decoder.config.position == "learned":
        raise ConfigError(
            f"learned positions are one trained vector each for {block} positions: there is none "
            f"for position {block + 1}"
        )
    longer = meta_decoder(replace(decoder.config, block=times * block))
    longer.load_state_dict(decoder.state_dict(), assign=True)
    return longer.to(decoder.tokens.weight.device).train(decoder.training)


def longer_loss(
    decoder: Decoder, times: int, val: NDArray[np.integer], text_bytes: int, windows: int
) -> dict[str, float | str]:
    """Loss and bits per byte at `times` the training length, or the reason why it is impossible.

    Over as many targets as `windows` of the training length have, if the text has as many.
    """
    try:
        longer = extended(decoder, times)
    except ConfigError as reason:
        return {"refused": str(reason)}
    loss = measure_text(longer, val, longer.config.block, text_bytes, max_windows=windows // times)
    return {"val_loss": loss.per_token, "bits_per_byte": loss.bits_per_byte}


def generation_speed(config: ModelConfig, device: torch.device) -> dict[str, float]:
    """New tokens per second over the first of each of `NEW_TOKENS`; lengths that take too long are
    left out.

    Greedy, one row, starting from one token; the fastest of a few repeats. On a CPU the thread's
    own time counts, which a busy machine disturbs less than the clock's.
    """
    decoder = Decoder(replace(config, block=NEW_TOKENS[-1] + 1), torch.Generator().manual_seed(0))
    decoder.to(device).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a single token is too little work to share
    try:
        repeats = [_generate(decoder, device) for _ in range(REPEATS)]
    finally:
        torch.set_num_threads(threads)
    lengths = [str(n) for n in NEW_TOKENS if all(str(n) in rates for rates in repeats)]
    return {length: max(rates[length] for rates in repeats) for length in lengths}


@torch.no_grad()
def _generate(decoder: Decoder, device: torch.device) -> dict[str, float]:
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    rates: dict[str, float] = {}
    cache, new, began = decoder.new_cache(), 0, clock()
    for number in range(1, NEW_TOKENS[-1] + 1):
        hidden = decoder.hidden(torch.tensor([[new]], device=device), cache)
        new = int(decoder.head(hidden[:, -1]).argmax())
        seconds = clock() - began
        if number in NEW_TOKENS:
            rates[str(number)] = number / max(seconds, 1e-9)
        if seconds > MAX_SECONDS:
            break
    return rates


def cache_bytes(config: ModelConfig) -> float:
    """What the cache keeps per token in float32, averaged over the longest context."""
    tokens = NEW_TOKENS[-1]
    decoder = Decoder(replace(config, block=tokens), torch.Generator().manual_seed(0))
    return FLOAT_BYTES * decoder.cache_size(tokens) / tokens
