"""One run as a value: a variant at the common size on a text, its files, and its record."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TypedDict

from pipeline.experiments.training_text import TrainingText
from pipeline.experiments.variants import BASELINE, UPTRAINING, Family, Variant
from pipeline.training import auto
from transformer.blank import blank
from transformer.config import ModelConfig

VERSION = 2  # increased when the same trial would give other results, as with another default
ROWS = 8  # per step
SEEDS = (1, 2, 3)
LONGER = (2, 4)  # times the training length, where longer contexts are measured
NEW_TOKENS = (64, 256, 1024)  # after which the generation speed is measured
HIDDEN_STEP = 8  # the inner width is a multiple of this, for fast products
MAX_STEPS = 1 << 24  # where nothing else limits them


class CurveRow(TypedDict):
    """An evaluation during training."""

    tokens: float
    seconds: float
    train_loss: float
    val_loss: float


class Record(TypedDict, total=False):
    """What a run found. A failed run has `failed`; one that crashed has nothing else."""

    failed: str
    key: str
    text: str
    parameters: int
    steps: int
    tokens: int
    seed: int
    hidden: int
    rate: float
    machine: dict[str, str | int]
    train_loss: float  # nats per token, as all losses
    val_loss: float
    bits_per_byte: float
    before: float | None  # validation loss of pooled heads before they are trained on
    longer: dict[str, dict[str, float | str]]  # at LONGER times the length; or why not
    peak_bytes: int
    setbacks: int  # how often training diverged and went back
    curve: list[CurveRow]
    generation: dict[str, float]  # tokens per second, by number of new tokens
    cache_bytes: float  # per token
    seconds: float


@dataclass(frozen=True)
class Trial:
    """What is trained, on what, and what is measured besides the loss."""

    text: TrainingText
    config: ModelConfig
    steps: int
    seed: int
    learning_rate: float
    optimizer: str = "muon"
    text_share: float = 1.0
    pooled_from: Trial | None = None  # the run whose model it pools and continues
    tests_longer: bool = False  # whether longer contexts are measured too
    times_generation: bool = False

    @property
    def key(self) -> str:
        """The name of the run. Model settings at their defaults do not count, so that adding a
        setting to the decoder leaves the keys of earlier runs as they are."""
        defaults = {field.name: field.default for field in fields(ModelConfig)}
        config = self.config.to_dict().items()
        facts = {
            "text": self.text.key,
            "config": {name: value for name, value in config if value != defaults[name]},
            "steps": self.steps,
            "seed": self.seed,
            "rate": self.learning_rate,
            "optimizer": self.optimizer,
            "share": self.text_share,
            "start": self.pooled_from.key if self.pooled_from else "",
            "stretches": self.tests_longer,
            "times": self.times_generation,
            "version": VERSION,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def tokens(self) -> int:
        """How many tokens the model has been trained on in the end."""
        before = self.pooled_from.tokens if self.pooled_from else 0
        return before + self.steps * ROWS * self.config.block

    def record_path(self, folder: Path) -> Path:
        """The record, written when the run is complete."""
        return folder / "runs" / f"{self.key}.json"

    def work_folder(self, folder: Path) -> Path:
        """Checkpoints and log, until the run is complete."""
        return folder / "runs" / self.key

    def model_folder(self, folder: Path) -> Path:
        """The model, if another run starts from it."""
        return folder / "models" / self.key

    def output_path(self, folder: Path) -> Path:
        """What the process printed; kept only if it failed."""
        return folder / "runs" / f"{self.key}.log"


def make_trial(
    family: Family, variant: Variant, text: TrainingText, steps: int, seed: int
) -> Trial:
    """The run of a variant, with `steps` or as many as the family's epochs allow."""
    config = matched_config(variant, text.vocabulary)
    learning_rate = auto.learning_rate("auto", config.width) * variant.lr_scale
    if variant.pooled_from:
        start = make_trial(family, family[variant.pooled_from], text, steps, seed)
        return replace(
            start,
            config=replace(start.config, kv_heads=int(BASELINE["kv_heads"])),
            steps=max(1, round(UPTRAINING * start.steps)),
            learning_rate=learning_rate,
            pooled_from=start,
        )
    return Trial(
        text,
        config,
        steps=min(steps, max_steps(family, text)),
        seed=seed,
        learning_rate=learning_rate,
        optimizer=variant.optimizer,
        text_share=variant.text_share,
        tests_longer=variant.is_about_positions,
        times_generation=seed == SEEDS[0],
    )


def max_steps(family: Family, text: TrainingText) -> int:
    """The steps in the family's epochs."""
    samples = (text.tokens[0] - 1) // int(BASELINE["block"])
    return max(1, int(min(family.epochs * samples / ROWS, MAX_STEPS)))


def matched_config(variant: Variant, vocabulary: int) -> ModelConfig:
    """The config of a variant with about as many parameters as the baseline, embeddings included.

    The inner width of the feed-forward makes up for everything else. What remains is a per cent
    or two, since that width is a multiple of `HIDDEN_STEP`.
    """
    shared = {**BASELINE, "vocab_size": vocabulary, "padding_id": 0}
    baseline = ModelConfig.from_dict(shared)
    if not variant.changes:
        return baseline
    config = ModelConfig.from_dict({**shared, **variant.changes})
    one, two = (parameters(replace(config, hidden=n * HIDDEN_STEP)) for n in (1, 2))
    steps = 1 + round((parameters(baseline) - one) / (two - one))  # they grow linearly
    return replace(config, hidden=HIDDEN_STEP * max(1, steps))


@cache
def parameters(config: ModelConfig) -> int:
    """Number of trained parameters."""
    return sum(weight.numel() for weight in blank(config).parameters())
