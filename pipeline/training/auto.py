"""What `auto` picks: vocabulary, decoder, batch and rates from the amount of text and of time.

Figures behind each table are in docs/experiments.md.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pipeline.training.hardware import flops
from pipeline.workspace.settings import Finetune, Model
from transformer.config import ModelConfig
from transformer.decoder import meta_decoder
from transformer.presets import PRESETS, preset

T = TypeVar("T")

# Up to so many bytes of training text → merges and bytes in the vocabulary.
VOCABULARY = ((50_000, 384), (300_000, 512), (2_000_000, 1024), (20_000_000, 4096))
LARGEST_VOCABULARY = 16_384

# Up to so many operations of training → preset. A short training teaches a narrow decoder more than
# a wide one, which sees less text in that time.
BY_BUDGET = ((1e13, "tiny"), (6e13, "slim"), (5e14, "small"))
# Up to so many tokens of training text → the largest preset that it is enough for.
BY_TEXT = ((100_000, "tiny"), (5_000_000, "small"))
LARGEST_DECODER = "base"
LITTLE = 100_000  # tokens of text, up to which presets are as they are
# … and what of them changes above: more to look back on, and a head that does not share the
# embedding's weights, which learns faster and, of little text, more by heart.
OF_MORE = {"block": 256, "tied": False}

# Up to so many passes over the text → dropout.
DROPOUT = ((4.0, 0.0), (5.0, 0.1))
LARGEST_DROPOUT = 0.2

# Up to so many tokens of training text → weight decay. A text that is passed many times is learned
# by heart unless the weights are kept small, by ten to forty times the usual pull (thirty in Kim et
# al. 2025, "Pre-training under infinite compute", arXiv 2509.14786).
WEIGHT_DECAY = ((10_000, 4.0), (LITTLE, 1.0))
USUAL_WEIGHT_DECAY = 0.1

# Up to so many bytes of training text → what a model of nothing else learns from it.
EXPECT = (
    (200_000, "the manner of writing, no sense"),
    (2_500_000, "real words, phrases and rhythm, but hardly any sense"),
    (50_000_000, "whole sentences that sound right and hardly fit the question"),
)
EXPECT_OF_MUCH = "passages that hold together, if there is time to read it all"

USED = 0.4  # of the operations that a machine could do, about

# Up to so many tokens of training text → passes over it after which nothing more is learned.
PASSES = ((100_000, 40.0), (5_000_000, 12.0), (50_000_000, 4.0))
FEWEST_PASSES = 2.0
FINETUNE_PASSES = 10.0

SMALL_ARCHIVE = 2_000  # messages, under which an adapter gets less room to learn by heart
RANK, LOW_RANK = 16, 4

BEGUN = 0.35  # of the rate from nothing, for a model that learned before

TOKENS_PER_STEP = 1024
TOKENS_PER_FINETUNE_STEP = 2048


def vocab_size(text_bytes: int) -> int:
    """Vocabulary for an amount of training text."""
    return _row(VOCABULARY, text_bytes, LARGEST_VOCABULARY)


def model_config(
    model: Model,
    tokens: int,
    vocabulary: int,
    padding_id: int,
    operations: float = math.inf,
    epochs: float = math.inf,
) -> ModelConfig:
    """The decoder for an amount of training text and of computing; what the settings name wins.

    `operations` is what the machine could do in the time there is (see `peak_flops`), `epochs` how
    often the text may be passed.
    """
    named = {
        field: value
        for field in ("layers", "width", "heads", "kv_heads", "block", "conv_kernel", "dropout")
        if (value := getattr(model, field)) != "auto"
    }
    size = _size(tokens, USED * operations) if model.size == "auto" else model.size
    if tokens > LITTLE and model.size == "auto":
        named = {**OF_MORE, **named}
    config = preset(size, vocab_size=vocabulary, padding_id=padding_id, **named)
    if "dropout" in named:
        return config
    reached = USED * operations / flops.per_token(meta_decoder(config)) / tokens
    return replace(
        config, dropout=_row(DROPOUT, min(reached, passes(tokens), epochs), LARGEST_DROPOUT)
    )


def _size(tokens: int, operations: float) -> str:
    """The smaller of what the text and the budget are enough for."""
    enough = (_row(BY_TEXT, tokens, LARGEST_DECODER), _row(BY_BUDGET, operations, LARGEST_DECODER))
    return min(enough, key=list(PRESETS).index)


def _row(table: Sequence[tuple[float, T]], amount: float, beyond: T) -> T:
    """The value of the first row whose limit an amount does not pass."""
    at = bisect.bisect_left([limit for limit, _ in table], amount)
    return table[at][1] if at < len(table) else beyond


def passes(tokens: int) -> float:
    """Passes over an amount of training text that are enough."""
    return _row(PASSES, tokens, FEWEST_PASSES)


def expectation(text_bytes: int) -> str:
    """What to expect of a decoder that begins with nothing, in words."""
    return _row(EXPECT, text_bytes, EXPECT_OF_MUCH)


def batch(setting: int | str, block: int) -> int:
    """Rows of one forward pass."""
    return max(1, TOKENS_PER_STEP // block) if setting == "auto" else int(setting)


def learning_rate(setting: float | str, width: int, begun: bool = False) -> float:
    """Peak rate of pretraining: smaller for wider models, and for one that has `begun` to learn
    before."""
    if setting != "auto":
        return float(setting)
    rate = 6e-3 * math.sqrt(256 / width)
    return BEGUN * rate if begun else rate


def weight_decay(setting: float | str, tokens: int, begun: bool) -> float:
    """Pull of the weights in pretraining: stronger for less text, but never strong on a model that
    has `begun` to learn before, which would forget it."""
    if setting != "auto":
        return float(setting)
    return USUAL_WEIGHT_DECAY if begun else _row(WEIGHT_DECAY, tokens, USUAL_WEIGHT_DECAY)


@dataclass(frozen=True)
class Tuning:
    """How a model is fine-tuned, with nothing left to decide."""

    method: str = "lora"
    rank: int = RANK
    alpha: float = 2.0 * RANK
    dropout: float = 0.0
    layers: tuple[int, ...] = ()
    learning_rate: float = 1e-4
    batch: int = 4

    def __str__(self) -> str:
        rank = "" if self.method == "full" else f" of rank {self.rank}"
        return f"{self.method}{rank}, rate {self.learning_rate:.2g}"


def tuning(settings: Finetune, base: bool, messages: int, width: int, block: int) -> Tuning:
    """How to fine-tune a model of some width, from a pretrained `base` or not, on so many messages.

    `block` is the length of a window in tokens.
    """
    method = settings.method
    if method == "auto":
        method = "lora" if base else "full"
    rank = settings.rank
    if rank == "auto":
        rank = LOW_RANK if messages < SMALL_ARCHIVE else RANK
    return Tuning(
        method=method,
        rank=rank,
        alpha=2.0 * rank if settings.alpha == "auto" else settings.alpha,
        dropout=settings.dropout,
        layers=settings.layers,
        learning_rate=finetune_rate(settings.learning_rate, method, width),
        batch=finetune_batch(settings.batch, block),
    )


def finetune_batch(setting: int | str, block: int) -> int:
    """Windows of one forward pass."""
    return max(1, TOKENS_PER_FINETUNE_STEP // block) if setting == "auto" else int(setting)


def finetune_rate(setting: float | str, method: str, width: int) -> float:
    """Peak rate of fine-tuning: gentle when all weights move."""
    if setting != "auto":
        return float(setting)
    return {"full": 1 / 60, "lora": 0.35, "qlora": 0.35}[method] * learning_rate("auto", width)
