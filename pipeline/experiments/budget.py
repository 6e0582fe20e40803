"""The same number of parameters for all: the inner width of the feed-forward makes up for the rest.

Embeddings and head count too. What remains is a per cent or two, since that width goes in eights.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from pipeline.experiments.families import BASELINE, Variant
from transformer.config import ModelConfig
from transformer.decoder import meta_decoder

STEP = 8  # in which the inner width goes, for fast products


def fitted(variant: Variant, vocabulary: int, padding_id: int = 0) -> ModelConfig:
    """The config of a variant, as large as the baseline."""
    fixed: dict[str, Any] = {"vocab_size": vocabulary, "padding_id": padding_id}
    baseline = ModelConfig(**BASELINE, **fixed)
    if not variant.changes:
        return baseline
    config = ModelConfig(**{**BASELINE, **fixed, **variant.changes})
    return replace(config, hidden=_hidden(config, parameters(baseline)))


def _hidden(config: ModelConfig, wanted: int) -> int:
    """The inner width at which a config has about so many parameters: they grow linearly in it."""
    least, next_to = (parameters(replace(config, hidden=n * STEP)) for n in (1, 2))
    return STEP * max(1, 1 + round((wanted - least) / (next_to - least)))


@cache
def parameters(config: ModelConfig) -> int:
    """Numbers that learn."""
    return sum(weight.numel() for weight in meta_decoder(config).parameters())
