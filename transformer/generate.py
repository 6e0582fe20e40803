"""From logits to the next id, and one id after another, each as soon as it is known.

Sampling is pure functions on logits (..., V), and the settings for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transformer.cache import Cache
from transformer.config import ConfigError
from transformer.decoder import Decoder
from transformer.fast.cuda_graph import cuda_graph_step

TOP_P_SORTED = 256  # how many of the likeliest ids `top_p` sorts first


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to choose the next id. The defaults draw from the model's own distribution."""

    temperature: float = 1.0  # 0 always takes the likeliest
    top_k: int = 0  # keep the k likeliest; 0 keeps all
    top_p: float = 1.0  # keep the likeliest that together hold this probability
    min_p: float = (
        0.0  # keep what is at least this fraction as likely as the likeliest; 0 keeps all
    )
    repetition_penalty: float = 1.0  # above 1 makes ids that were seen less likely

    def __post_init__(self) -> None:
        for name, holds, advice in (
            ("temperature", 0 <= self.temperature < float("inf"), "0 or more; 0.8 is usual"),
            ("top_k", self.top_k >= 0, "0 or more; 0 keeps all"),
            ("top_p", 0 < self.top_p <= 1, "more than 0, up to 1; 1 keeps all"),
            ("min_p", 0 <= self.min_p <= 1, "0 to 1; 0 keeps all, 0.05 is usual"),
            ("repetition_penalty", 0 < self.repetition_penalty < float("inf"), "1 or a bit more"),
        ):
            if not holds:
                raise ConfigError(f"{name} {getattr(self, name)} is out of range: pick {advice}")


def apply_repetition_penalty(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make the ids that were `seen` less likely; bool, (V,) or as `logits`.

    Keskar et al. 2019, arXiv 1909.05858, section 4.1.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Rule out all but the k likeliest, and what is as likely as the last of them."""
    threshold = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits < threshold, float("-inf"))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Rule out all but the fewest that together hold p (Holtzman et al. 2019, arXiv 1904.09751).

    What is as likely as the last of them stays too. Only as many are sorted as may be needed, since
    sorting a whole vocabulary takes longer than a pass of a small decoder.
    """
    size = logits.size(-1)
    rows = logits.reshape(-1, size)
    total = rows.logsumexp(-1, keepdim=True)
    threshold = torch.empty_like(total)
    left, count = torch.arange(len(rows), device=rows.device), min(TOP_P_SORTED, size)
    while len(left):
        likeliest = rows[left].topk(count).values
        cumulative = (likeliest - total[left]).exp().cumsum(-1)
        last = (cumulative < p).sum(-1, keepdim=True).clamp(max=count - 1)
        threshold[left] = likeliest.gather(-1, last)
        left = left[cumulative[:, -1] < p] if count < size else left[:0]
        count = min(8 * count, size)
    return logits.masked_fill(logits < threshold.view(*logits.shape[:-1], 1), float("-inf"))


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Rule out what is less likely than p times the likeliest.

    Nguyen et al. 2024, arXiv 2407.01082: strict where the model is sure, lenient where it is not.
    """
    threshold = logits.amax(-1, keepdim=True) + math.log(p)
    return logits.masked_fill(logits < threshold, float("-inf"))


def filter_logits(logits: Tensor, sampling: Sampling) -> Tensor:
    """Apply the temperature, then top-k, top-p and min-p, each to what the one before it kept."""
    logits = logits / sampling.temperature
    if sampling.top_k:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def sample_next(
    logits: Tensor,
    sampling: Sampling,
    generator: torch.Generator | None = None,
    *,
    seen: Tensor | None = None,
    forbidden: Tensor | None = None,
) -> Tensor:
    """The next ids (...,) for logits (..., V).

    `seen` marks the ids that the repetition penalty applies to, `forbidden` those never to choose
    (both bool, for all rows (V,) or for each (..., V)). The same generator state gives the same
    choice.
    """
    logits = logits.float()
    if forbidden is not None:
        logits = logits.masked_fill(forbidden, float("-inf"))
    if seen is not None and sampling.repetition_penalty != 1:
        logits = apply_repetition_penalty(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return logits.argmax(-1)
    return draw(filter_logits(logits, sampling).softmax(-1), generator)


def draw(probabilities: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """An id (...,) drawn by the `probabilities` (..., V), which need not sum to 1.

    One random number each, where `torch.multinomial` takes one for every id of the vocabulary. It
    is never 0, so that an id of probability 0 is not drawn.
    """
    device = probabilities.device
    exact = torch.float32 if device.type == "mps" else torch.float64
    cumulative = probabilities.cumsum(-1, dtype=exact)
    total = cumulative[..., -1:]
    fraction = 1 - torch.rand(total.shape, generator=generator, device=device, dtype=exact)
    return torch.searchsorted(cumulative, fraction * total).squeeze(-1)


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

    `ids` is always the whole context. A `cache` kept from an earlier call saves the work for the
    prefix that it shares with them; it is left holding what was generated. A context that outgrows
    the block continues with its newer half. The repetition penalty applies to all of `ids` and what
    follows, except the `stop_ids`, which recur in every good conversation. The decoder is in
    evaluation mode until the iterator ends, then in the mode it was in.
    """
    if not ids:
        raise ValueError("there is nothing to continue: give at least one id")
    sampling = Sampling() if sampling is None else sampling
    cache = decoder.new_cache() if cache is None else cache
    block = decoder.config.block
    device = decoder.tokens.weight.device
    context = list(ids[-block:])
    stops = frozenset(stop_ids)
    seen = id_mask(decoder, set(ids) - stops)
    forbidden = id_mask(decoder, forbidden_ids) if forbidden_ids else None
    from transformer.fast.single import compiled_step  # compiled code takes a moment to load

    fast = compiled_step(decoder) or cuda_graph_step(decoder)
    training = decoder.training
    decoder.eval()
    try:
        new = context[cache.reuse(context) :]
        for _ in range(max_new):
            if len(context) > block:
                context = new = fit_context(context, block)
                cache.truncate(0)
            if fast is not None and len(new) == 1 and new[0] >= 0:
                logits = fast(new[0], cache)
            else:
                logits = last_logits(decoder, torch.tensor([new], device=device), cache)
            chosen = int(sample_next(logits, sampling, generator, seen=seen, forbidden=forbidden))
            if chosen in stops:
                return
            yield chosen
            new = [chosen]
            context.append(chosen)
            seen[chosen] = True
    finally:
        decoder.train(training)


def fit_context(context: list[int], block: int) -> list[int]:
    """The context itself, or its newer half if it has outgrown the block."""
    return context if len(context) <= block else context[-max(block // 2, 1) :]


@torch.no_grad()
def last_logits(decoder: Decoder, ids: Tensor, cache: Cache) -> Tensor:
    """Logits (B, V) after `ids` (B, T).

    `no_grad` is set here and not around the generator, from which it would leak to the caller.
    """
    return decoder.head(decoder.hidden(ids, cache)[:, -1])


def id_mask(decoder: Decoder, ids: Sequence[int] | set[int]) -> Tensor:
    """True at each of `ids`, (V,); padding is ignored."""
    mask = torch.zeros(decoder.config.vocab_size, dtype=torch.bool)
    mask[[i for i in ids if i >= 0]] = True
    return mask.to(decoder.tokens.weight.device)
