"""One run as a value: all that shapes it, and where its files are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pipeline.experiments.families import BRIEF
from pipeline.experiments.text import Text
from transformer.config import ModelConfig

VERSION = 2  # rises when the same trial would find something else, as with another default
ROWS = 8  # of a step
SEEDS = (1, 2, 3)
LONGER = (2, 4)  # times the training length, where it is measured there too
NEW_TOKENS = (64, 256, 1024)  # after which the speed of generation is read


@dataclass(frozen=True)
class Trial:
    """What is trained, on what, and what is measured beside the loss."""

    text: Text
    config: ModelConfig
    steps: int
    seed: int
    rate: float
    optimizer: str = "muon"
    share: float = 1.0  # of the training text
    start: Trial | None = None  # the run whose model it pools and goes on from
    stretches: bool = False  # whether it is measured at longer contexts too
    times: bool = False  # whether generation is timed too

    @property
    def key(self) -> str:
        """The name of the run; a setting that decoders get later leaves it as it is."""
        facts = {**vars(self), "text": self.text.key, "config": _chosen(self.config)}
        facts |= {"start": self.start.key if self.start else "", "version": VERSION}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def tokens(self) -> int:
        """How many tokens the model has learned from in the end."""
        before = self.start.tokens if self.start else 0
        return before + self.steps * ROWS * self.config.block

    def pooled(self, kv_heads: int, rate: float) -> Trial:
        """The run that begins with this one's model, its heads pooled, and goes on briefly."""
        return replace(
            self,
            config=replace(self.config, kv_heads=kv_heads),
            steps=max(1, round(BRIEF * self.steps)),
            rate=rate,
            start=self,
        )


def _chosen(config: ModelConfig) -> dict[str, Any]:
    """The settings that differ from their defaults."""
    usual = {field.name: field.default for field in fields(ModelConfig)}
    return {name: value for name, value in config.to_dict().items() if value != usual[name]}


def record_of(trial: Trial, folder: Path) -> Path:
    """Where a run's record is, once it is whole."""
    return folder / "runs" / f"{trial.key}.json"


def work_of(trial: Trial, folder: Path) -> Path:
    """Where the checkpoints of a run are until it is whole, and its log."""
    return folder / "runs" / trial.key


def model_of(trial: Trial, folder: Path) -> Path:
    """Where a run's model is, if another begins from it."""
    return folder / "models" / trial.key


def output_of(trial: Trial, folder: Path) -> Path:
    """What the process of a run said; it stays where the run failed."""
    return folder / "runs" / f"{trial.key}.log"
