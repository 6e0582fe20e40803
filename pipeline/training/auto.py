"""What `auto` picks: vocabulary, decoder, batch and rates from the amount of text.

Figures behind each table are in docs/experiments.md.
"""

from __future__ import annotations

import bisect
from typing import Any

from pipeline.config import Model
from transformer.config import ModelConfig
from transformer.presets import preset

# Up to so many bytes of training text → merges and bytes in the vocabulary.
VOCABULARY = ((50_000, 384), (300_000, 512), (2_000_000, 1024), (20_000_000, 4096))
LARGEST_VOCABULARY = 16_384

# Up to so many tokens of training text → (preset, its block, dropout). A quarter of an hour of a
# laptop teaches a narrow decoder more than a wide one, which sees less text in that time.
DECODER = (
    (100_000, "tiny", 128, 0.2),
    (1_000_000, "tiny", 256, 0.0),
    (50_000_000, "small", 256, 0.0),
)
LARGEST_DECODER = ("base", 256, 0.0)

# Up to so many tokens of training text → passes over it after which nothing more is learned.
PASSES = ((100_000, 40.0), (5_000_000, 12.0), (50_000_000, 4.0))
FEWEST_PASSES = 2.0
FINETUNE_PASSES = 10.0

TOKENS_PER_STEP = 1024
TOKENS_PER_FINETUNE_STEP = 2048


def vocab_size(text_bytes: int) -> int:
    """Vocabulary for an amount of training text."""
    at = bisect.bisect_left([limit for limit, _ in VOCABULARY], text_bytes)
    return VOCABULARY[at][1] if at < len(VOCABULARY) else LARGEST_VOCABULARY


def model_config(model: Model, tokens: int, vocabulary: int, padding_id: int) -> ModelConfig:
    """The decoder for an amount of training text; what the settings name wins."""
    at = bisect.bisect_left([limit for limit, *_ in DECODER], tokens)
    size, block, dropout = DECODER[at][1:] if at < len(DECODER) else LARGEST_DECODER
    named = {
        field: value
        for field in ("layers", "width", "heads", "kv_heads", "block", "dropout")
        if (value := getattr(model, field)) != "auto"
    }
    changes: dict[str, Any] = {"dropout": dropout}
    if model.size == "auto":
        changes["block"] = block
    row = size if model.size == "auto" else model.size
    return preset(row, vocab_size=vocabulary, padding_id=padding_id, **changes | named)


def passes(tokens: int) -> float:
    """Passes over an amount of training text that are enough."""
    at = bisect.bisect_left([limit for limit, _ in PASSES], tokens)
    return PASSES[at][1] if at < len(PASSES) else FEWEST_PASSES


def batch(setting: int | str, block: int) -> int:
    """Rows of one forward pass."""
    return max(1, TOKENS_PER_STEP // block) if setting == "auto" else int(setting)


def learning_rate(setting: float | str, width: int) -> float:
    """Peak rate of pretraining: smaller for wider models."""
    return 6e-3 * (256 / width) ** 0.5 if setting == "auto" else float(setting)


def finetune_batch(setting: int | str, block: int) -> int:
    """Windows of one forward pass."""
    return max(1, TOKENS_PER_FINETUNE_STEP // block) if setting == "auto" else int(setting)


def finetune_rate(setting: float | str, method: str, width: int) -> float:
    """Peak rate of fine-tuning: gentle when all weights move."""
    if setting != "auto":
        return float(setting)
    share = {"full": 1 / 60, "lora": 1 / 6, "qlora": 1 / 6}[method]
    return share * learning_rate("auto", width)
