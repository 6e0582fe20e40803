"""From logits to the next id: pure functions on logits (..., V), and the settings for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transformer.config import ConfigError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How boldly to choose. The defaults draw from the model's own distribution."""

    temperature: float = 1.0  # 0 always takes the likeliest
    top_k: int = 0  # keep the k likeliest; 0 keeps all
    top_p: float = 1.0  # keep the likeliest that together hold this probability
    repetition_penalty: float = 1.0  # above 1 makes ids that were seen less likely

    def __post_init__(self) -> None:
        for name, holds, advice in (
            ("temperature", 0 <= self.temperature < float("inf"), "0 or more; 0.8 is usual"),
            ("top_k", self.top_k >= 0, "0 or more; 0 keeps all"),
            ("top_p", 0 < self.top_p <= 1, "more than 0, up to 1; 1 keeps all"),
            ("repetition_penalty", 0 < self.repetition_penalty < float("inf"), "1 or a bit more"),
        ):
            if not holds:
                raise ConfigError(f"{name} {getattr(self, name)} is out of range: pick {advice}")


def penalize(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make what is `seen` (bool, V) less likely (Keskar et al. 2019, arXiv 1909.05858)."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Rule out all but the k likeliest, and what is as likely as the last of them."""
    least = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits < least, float("-inf"))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Rule out all but the fewest that together hold p (Holtzman et al. 2019, arXiv 1904.09751)."""
    ordered, order = logits.sort(descending=True)
    shares = ordered.softmax(-1)
    before = shares.cumsum(-1) - shares
    return ordered.masked_fill(before >= p, float("-inf")).gather(-1, order.argsort())


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
    (both bool, V). The same generator state gives the same choice.
    """
    logits = logits.float()
    if forbidden is not None:
        logits = logits.masked_fill(forbidden, float("-inf"))
    if seen is not None and sampling.repetition_penalty != 1:
        logits = penalize(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return logits.argmax(-1)
    logits = logits / sampling.temperature
    if sampling.top_k:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    shares = logits.softmax(-1)
    drawn = torch.multinomial(shares.view(-1, shares.size(-1)), 1, generator=generator)
    return drawn.view(shares.shape[:-1])
