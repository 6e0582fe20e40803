"""From logits to the next id: pure functions on logits (..., V), and the settings for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from transformer.config import ConfigError

LIKELIEST = 256  # ids among which those that hold `top_p` are looked for first


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How boldly to choose. The defaults draw from the model's own distribution."""

    temperature: float = 1.0  # 0 always takes the likeliest
    top_k: int = 0  # keep the k likeliest; 0 keeps all
    top_p: float = 1.0  # keep the likeliest that together hold this probability
    min_p: float = 0.0  # keep what is at least this share as likely as the likeliest; 0 keeps all
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


def penalize(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make what is `seen` less likely; bool, (V,) or as `logits`.

    Keskar et al. 2019, arXiv 1909.05858, section 4.1.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Rule out all but the k likeliest, and what is as likely as the last of them."""
    least = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits < least, float("-inf"))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Rule out all but the fewest that together hold p (Holtzman et al. 2019, arXiv 1904.09751).

    What is as likely as the last of them stays too. Only as many are ordered as may be needed,
    since ordering a whole vocabulary takes longer than a pass of a small decoder.
    """
    rows, size = logits.reshape(-1, logits.size(-1)), logits.size(-1)
    total = rows.logsumexp(-1, keepdim=True)
    least = torch.empty_like(total)
    left, count = torch.arange(len(rows), device=rows.device), min(LIKELIEST, size)
    while len(left):
        likeliest = rows[left].topk(count).values
        held = (likeliest - total[left]).exp().cumsum(-1)
        last = (held < p).sum(-1, keepdim=True).clamp(max=count - 1)
        least[left] = likeliest.gather(-1, last)
        left = left[held[:, -1] < p] if count < size else left[:0]
        count = min(8 * count, size)
    return logits.masked_fill(logits < least.view(*logits.shape[:-1], 1), float("-inf"))


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Rule out what is less likely than p times the likeliest is.

    Nguyen et al. 2024, arXiv 2407.01082: strict where the model is sure, lenient where it is not.
    """
    least = logits.amax(-1, keepdim=True) + math.log(p)
    return logits.masked_fill(logits < least, float("-inf"))


def narrowed(logits: Tensor, sampling: Sampling) -> Tensor:
    """Temperature, then what each rule keeps of what the one before it kept."""
    logits = logits / sampling.temperature
    if sampling.top_k:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def choose(
    logits: Tensor,
    sampling: Sampling,
    generator: torch.Generator | None = None,
    *,
    seen: Tensor | None = None,
    forbidden: Tensor | None = None,
) -> Tensor:
    """The next ids (...,) for logits (..., V).

    `seen` marks the ids that the repetition penalty is for, `forbidden` those never to choose
    (both bool, for all rows (V,) or for each (..., V)). The same generator state gives the same
    choice.
    """
    logits = logits.float()
    if forbidden is not None:
        logits = logits.masked_fill(forbidden, float("-inf"))
    if seen is not None and sampling.repetition_penalty != 1:
        logits = penalize(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return logits.argmax(-1)
    return draw(narrowed(logits, sampling).softmax(-1), generator)


def draw(shares: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """An id (...,) by its share among all (..., V).

    One random number each, where `torch.multinomial` takes one for every id of the vocabulary. It
    is never 0, so that an id without a share is not drawn.
    """
    exact = torch.float32 if shares.device.type == "mps" else torch.float64
    below = shares.cumsum(-1, dtype=exact)
    total = below[..., -1:]
    place = 1 - torch.rand(total.shape, generator=generator, device=shares.device, dtype=exact)
    return torch.searchsorted(below, place * total).squeeze(-1)
