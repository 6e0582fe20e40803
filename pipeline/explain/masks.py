"""Who may see whom: the causal mask of every pattern."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from transformer.config import ModelConfig
from transformer.patterns import PATTERNS, Pattern

TOKENS = 32
SIZES: Mapping[str, dict[str, int]] = {  # small enough for so few tokens to show them
    "full": {},
    "local": {"window": 6},
    "dilated": {"window": 6, "dilation": 2},
    "chunked": {"window": 8},
    "global_local": {"window": 6, "global_tokens": 2},
    "bigbird": {"window": 6, "global_tokens": 2, "random_blocks": 2, "pattern_block": 4},
}
WORDS: Mapping[str, str] = {
    "full": "the whole past",
    "local": "the newest {window}, itself too",
    "dilated": "{window} back, every {dilation}nd",
    "chunked": "the past in its chunk of {window}",
    "global_local": "the newest {window} and the first {global_tokens}",
    "bigbird": "also {random_blocks} random blocks of {pattern_block}",
}


def pattern_of(name: str) -> Pattern:
    """A pattern in the size of this lesson."""
    sizes: dict[str, Any] = {"pattern": name, **SIZES[name]}
    return PATTERNS[name](ModelConfig(vocab_size=2, block=TOKENS, **sizes))


def mask(name: str, tokens: int = TOKENS) -> Tensor:
    """Which of `tokens` (columns) each token (rows) sees."""
    at = torch.arange(tokens)
    return pattern_of(name).sees(at[:, None], at[None, :])


def _row(name: str, seen: Tensor) -> tuple[str, ...]:
    pairs, all_pairs = int(seen.sum()), TOKENS * (TOKENS + 1) // 2
    kept = pattern_of(name).ring.limit
    words = WORDS[name].format(**SIZES[name])
    last = int(seen[-1].sum())
    limit = "all" if math.isinf(kept) else str(int(kept))
    return name, words, str(last), f"{pairs} ({pairs / all_pairs:.0%})", limit


def explain(asked: Asked) -> Lesson:
    """A table and a small picture for each pattern."""
    seen = {name: mask(name) for name in PATTERNS}

    def draw(figure: Any) -> None:
        from pipeline.explain.plots import heat

        for axes, (name, shown) in zip(figure.subplots(2, 3).flat, seen.items(), strict=True):
            at = torch.arange(TOKENS)
            ahead = at[None, :] > at[:, None]
            heat(axes, shown.float().masked_fill(ahead, 0.12), name, vmin=0, vmax=1.4)
            axes.set(xticks=[0, 8, 16, 24, 31], yticks=[0, 8, 16, 24, 31])
        figure.supxlabel("is seen where dark; what lies ahead (pale) is hidden in every pattern")
        figure.supylabel("the token that looks")

    return Lesson(
        "Masks: who may see whom",
        (
            "A decoder predicts the next token, so no token may look ahead: everything above the "
            "diagonal is hidden. That is the causal mask. With it one pass trains on every token "
            "of a row at once.",
            "Patterns hide more, to save work and memory where the context is long. Each is a "
            "rule about two positions. What a cache must keep follows from the rule: a key that "
            "no later token sees can be forgotten.",
            Table.of(
                f"{TOKENS} tokens: how many the last one sees, pairs in all, keys that are kept",
                "pattern | a token sees | the last | pairs | kept",
                (_row(name, shown) for name, shown in seen.items()),
                left=2,
            ),
            "Full attention over T tokens needs T (T + 1) / 2 pairs and grows with the square of "
            "T; a window of w needs about T w. Layers add up: after L layers of a window, "
            "what was said L (w - 1) tokens ago can still matter.",
        ),
        draw,
        (8.0, 5.6),
        (
            "Causal masking: Vaswani et al. 2017, arXiv 1706.03762, section 3.2.3.",
            "Windows and dilation: Beltagy et al. 2020 (Longformer), arXiv 2004.05150, "
            "section 3.1. Random links: Zaheer et al. 2020 (BigBird), arXiv 2007.14062.",
            "Code: transformer/patterns.py.",
        ),
    )
