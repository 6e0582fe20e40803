"""One id after another, each as soon as it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from transformer.cache import Cache
from transformer.decoder import Decoder
from transformer.graphed import graphed
from transformer.sampling import Sampling, choose


def generate(
    decoder: Decoder,
    ids: Sequence[int],
    max_new: int,
    sampling: Sampling | None = None,
    *,
    stop_ids: Sequence[int] = (),
    forbidden_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
    cache: Cache | None = None,
) -> Iterator[int]:
    """Up to `max_new` ids that follow `ids`, ending before the first of `stop_ids`.

    `ids` is always the whole context. A `cache` kept from an earlier call saves the work for
    what it still shares with them, whatever came after; it is left holding what was generated.
    A context that outgrows the block goes on with its newer half. The repetition penalty is for
    all of `ids` and what follows, except the `stop_ids`: those recur in every good conversation.
    The decoder is left in the mode it was in, and is in evaluation mode until the iterator ends.
    """
    if not ids:
        raise ValueError("there is nothing to go on from: give at least one id")
    sampling = Sampling() if sampling is None else sampling
    cache = decoder.new_cache() if cache is None else cache
    block = decoder.config.block
    device = decoder.tokens.weight.device
    context = list(ids[-block:])
    stops = frozenset(stop_ids)
    seen = marked(decoder, set(ids) - stops)
    forbidden = marked(decoder, forbidden_ids) if forbidden_ids else None
    from transformer.single import single  # compiled code takes a moment to load

    fast = single(decoder) or graphed(decoder)
    training = decoder.training
    decoder.eval()
    try:
        new = context[cache.reuse(context) :]
        for _ in range(max_new):
            if len(context) > block:
                context = new = fitting(context, block)
                cache.truncate(0)
            if fast is not None and len(new) == 1 and new[0] >= 0:
                logits = fast(new[0], cache)
            else:
                logits = last_logits(decoder, torch.tensor([new], device=device), cache)
            chosen = int(choose(logits, sampling, generator, seen=seen, forbidden=forbidden))
            if chosen in stops:
                return
            yield chosen
            new = [chosen]
            context.append(chosen)
            seen[chosen] = True
    finally:
        decoder.train(training)


def fitting(context: list[int], block: int) -> list[int]:
    """The context itself, or its newer half where it has outgrown the block."""
    return context if len(context) <= block else context[-max(block // 2, 1) :]


@torch.no_grad()
def last_logits(decoder: Decoder, ids: Tensor, cache: Cache) -> Tensor:
    """Logits (B, V) after `ids` (B, T). Not around the loop: a mode must not leak to the caller."""
    return decoder.head(decoder.hidden(ids, cache)[:, -1])


def marked(decoder: Decoder, ids: Sequence[int] | set[int]) -> Tensor:
    """True at each of `ids`, (V,); padding marks nothing."""
    marks = torch.zeros(decoder.config.vocab_size, dtype=torch.bool)
    marks[[i for i in ids if i >= 0]] = True
    return marks.to(decoder.tokens.weight.device)
