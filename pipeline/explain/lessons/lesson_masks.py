"""Which tokens see each other: the causal mask of every pattern."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pipeline.explain.figures import heat
from pipeline.explain.lesson import Lesson, Request, Table
from transformer.config import ModelConfig
from transformer.patterns import PATTERNS, Pattern

TOKENS = 32
SIZES: Mapping[str, dict[str, int]] = {  # small enough to be seen with few tokens
    "full": {},
    "local": {"window": 6},
    "dilated": {"window": 6, "dilation": 2},
    "chunked": {"window": 8},
    "global_local": {"window": 6, "global_tokens": 2},
    "bigbird": {"window": 6, "global_tokens": 2, "random_blocks": 2, "pattern_block": 4},
}
WORDS: Mapping[str, str] = {
    "full": "all earlier tokens and itself",
    "local": "the last {window}, itself included",
    "dilated": "{window} back, every {dilation}nd",
    "chunked": "the past within its chunk of {window}",
    "global_local": "the last {window} and the first {global_tokens}",
    "bigbird": "also {random_blocks} random blocks of {pattern_block}",
}


def pattern(name: str) -> Pattern:
    """A pattern in the size of this lesson."""
    sizes = {"vocab_size": 2, "block": TOKENS, **SIZES[name]}
    return PATTERNS[name](ModelConfig.from_dict({"pattern": name, **sizes}))


def mask(name: str) -> Tensor:
    """Which tokens (columns) each token (rows) sees, (TOKENS, TOKENS)."""
    positions = torch.arange(TOKENS)
    return pattern(name).sees(positions[:, None], positions[None, :])


def _row(name: str, seen: Tensor) -> tuple[str, ...]:
    pairs, all_pairs = int(seen.sum()), TOKENS * (TOKENS + 1) // 2
    cached = pattern(name).ring.limit
    return (
        name,
        WORDS[name].format(**SIZES[name]),
        str(int(seen[-1].sum())),
        f"{pairs} ({pairs / all_pairs:.0%})",
        "all" if math.isinf(cached) else str(int(cached)),
    )


def lesson(request: Request) -> Lesson:
    """A table row and a small picture for each pattern."""
    masks = {name: mask(name) for name in PATTERNS}

    def draw(figure: Figure) -> None:
        future = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
        for axes, (name, seen) in zip(figure.subplots(2, 3).flat, masks.items(), strict=True):
            heat(axes, seen.float().masked_fill(future, 0.12), name, limits=(0, 1.4))
            axes.set(xticks=[0, 8, 16, 24, 31], yticks=[0, 8, 16, 24, 31])
        figure.supxlabel("visible where dark; the future (pale) is hidden in every pattern")
        figure.supylabel("the token that looks")

    return Lesson(
        "Masks: which tokens see each other",
        (
            "A decoder predicts the next token, so no token may look ahead: everything above the "
            "diagonal is hidden. This is the causal mask. With it, one pass trains on every token "
            "of a row at once.",
            "Patterns hide more, to save time and memory where the context is long. Each is a "
            "rule about two positions. What a cache has to keep follows from the rule: a key that "
            "no later token sees can be dropped.",
            Table.of(
                f"{TOKENS} tokens: how many the last one sees, all pairs, keys kept in the cache",
                "pattern | a token sees | the last | pairs | cached",
                (_row(name, seen) for name, seen in masks.items()),
                left=2,
            ),
            "Full attention over T tokens needs T (T + 1) / 2 pairs and grows with the square of "
            "T; a window of w needs about T w. Layers extend the reach: after L layers with a "
            "window, information from L (w - 1) tokens ago can still arrive.",
        ),
        draw,
        (8.0, 5.6),
        (
            "Causal masking: Vaswani et al. 2017, arXiv 1706.03762, section 3.2.3.",
            "Windows and dilation: Beltagy et al. 2020 (Longformer), arXiv 2004.05150, "
            "section 3.1. Random blocks: Zaheer et al. 2020 (BigBird), arXiv 2007.14062.",
            "Code: transformer/patterns.py.",
        ),
    )
