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

# Each table has the largest amount that a row holds for, and its value.

# Bytes of training text → merges and bytes in the vocabulary.
VOCABULARY = ((50_000, 384), (300_000, 512), (2_000_000, 1024), (20_000_000, 4096))
LARGEST_VOCABULARY = 16_384

# Operations of training → preset. A short training teaches a narrow decoder more than a wide one,
# which sees less text in that time.
BY_BUDGET = ((1e13, "tiny"), (6e13, "slim"), (5e14, "small"))
# Tokens of training text → the largest preset that it is enough for.
BY_TEXT = ((100_000, "tiny"), (5_000_000, "small"))
LARGEST_DECODER = "base"
SMALL_CORPUS_TOKENS = 100_000  # up to which presets are as they are
# What changes above: a longer context, and a head that does not share the embedding's weights,
# which learns faster but memorizes more of little text.
LARGER_TEXT_OVERRIDES = {"block": 256, "tied": False}

# Epochs → dropout.
DROPOUT = ((4.0, 0.0), (5.0, 0.1))
LARGEST_DROPOUT = 0.2

# Tokens of training text → weight decay. A text that is read many times is memorized unless the
# weights are kept small, by ten to forty times the usual decay (thirty in Kim et al. 2025,
# "Pre-training under infinite compute", arXiv 2509.14786).
WEIGHT_DECAY = ((10_000, 4.0), (SMALL_CORPUS_TOKENS, 1.0))
USUAL_WEIGHT_DECAY = 0.1

# Bytes of training text → what a model trained on nothing else learns from it.
EXPECT = (
    (200_000, "the manner of writing, no sense"),
    (2_500_000, "real words, phrases and rhythm, but hardly any sense"),
    (50_000_000, "whole sentences that sound right and hardly fit the question"),
)
EXPECT_OF_MUCH = "passages that hold together, if there is time to read it all"

UTILIZATION = 0.4  # of the operations that a machine could do, about

# Tokens of training text → epochs after which nothing more is learned.
USEFUL_EPOCHS = ((100_000, 40.0), (5_000_000, 12.0), (50_000_000, 4.0))
MIN_EPOCHS = 2.0
FINETUNE_EPOCHS = 10.0

SMALL_ARCHIVE = 2_000  # messages, below which an adapter gets less room to memorize
RANK, LOW_RANK = 16, 4

WARM_START_LR_FACTOR = 0.35  # of the learning rate from scratch, for a model that learned before

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
    often the text may be read.
    """
    named = {
        field: value
        for field in ("layers", "width", "heads", "kv_heads", "block", "conv_kernel", "dropout")
        if (value := getattr(model, field)) != "auto"
    }
    size = _size(tokens, UTILIZATION * operations) if model.size == "auto" else model.size
    if tokens > SMALL_CORPUS_TOKENS and model.size == "auto":
        named = {**LARGER_TEXT_OVERRIDES, **named}
    config = preset(size, vocab_size=vocabulary, padding_id=padding_id, **named)
    if "dropout" in named:
        return config
    reached = UTILIZATION * operations / flops.per_token(meta_decoder(config)) / tokens
    return replace(
        config, dropout=_row(DROPOUT, min(reached, useful_epochs(tokens), epochs), LARGEST_DROPOUT)
    )


def _size(tokens: int, operations: float) -> str:
    """The smaller of what the text and the budget are enough for."""
    enough = (_row(BY_TEXT, tokens, LARGEST_DECODER), _row(BY_BUDGET, operations, LARGEST_DECODER))
    return min(enough, key=list(PRESETS).index)


def _row(table: Sequence[tuple[float, T]], amount: float, beyond: T) -> T:
    """The value of the first row whose limit is not below the amount."""
    row = bisect.bisect_left([limit for limit, _ in table], amount)
    return table[row][1] if row < len(table) else beyond


def useful_epochs(tokens: int) -> float:
    """Epochs over an amount of training text that are enough."""
    return _row(USEFUL_EPOCHS, tokens, MIN_EPOCHS)


def expectation(text_bytes: int) -> str:
    """What to expect of a decoder trained from scratch, in words."""
    return _row(EXPECT, text_bytes, EXPECT_OF_MUCH)


def batch(setting: int | str, block: int) -> int:
    """Rows of a micro-batch."""
    return max(1, TOKENS_PER_STEP // block) if setting == "auto" else int(setting)


def learning_rate(setting: float | str, width: int, warm_start: bool = False) -> float:
    """Peak learning rate of pretraining: smaller for wider models and for a warm start."""
    if setting != "auto":
        return float(setting)
    rate = 6e-3 * math.sqrt(256 / width)
    return WARM_START_LR_FACTOR * rate if warm_start else rate


def weight_decay(setting: float | str, tokens: int, warm_start: bool) -> float:
    """Weight decay in pretraining: stronger for less text, except on a model that learned before,
    which would forget it."""
    if setting != "auto":
        return float(setting)
    return USUAL_WEIGHT_DECAY if warm_start else _row(WEIGHT_DECAY, tokens, USUAL_WEIGHT_DECAY)


@dataclass(frozen=True)
class Tuning:
    """How a model is fine-tuned: every setting decided."""

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
    """How to fine-tune a model of some width, from a pretrained `base` or not, on some messages.

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
    """Windows of a micro-batch."""
    return max(1, TOKENS_PER_FINETUNE_STEP // block) if setting == "auto" else int(setting)


def finetune_rate(setting: float | str, method: str, width: int) -> float:
    """Peak learning rate of fine-tuning: low when all weights learn."""
    if setting != "auto":
        return float(setting)
    return {"full": 1 / 60, "lora": 0.35, "qlora": 0.35}[method] * learning_rate("auto", width)
