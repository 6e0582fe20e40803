"""Who speaks next, by the model's own probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from transformer.cache import Cache
from transformer.decoder import Decoder


@torch.no_grad()
def opens_next(
    decoder: Decoder, context: Sequence[int], options: Sequence[list[int]], cache: Cache
) -> list[float]:
    """The probability of each of `options` (ids) to follow the context, among them alone.

    The cache is left so that it can be used on: what it holds begins with the context.
    """
    known = max(1, len(context))  # the first id of all has nothing before it
    scores = []
    for option in options:
        ids = [*context, *option]
        start = cache.truncate(min(cache.reuse(ids), known - 1))
        new = torch.tensor([ids[start:]], device=decoder.tokens.weight.device)
        hidden = decoder.hidden(new, cache)[0, known - 1 - start : -1]
        shares = decoder.head(hidden).float().log_softmax(-1)
        targets = torch.tensor(ids[known:], device=shares.device)
        scores.append(shares.gather(1, targets[:, None]).sum())
    found: list[float] = torch.stack(scores).softmax(0).tolist()
    return found
