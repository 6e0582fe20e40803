"""`--tune`: tries several ranks and learning rates in a part of the budget; validation decides."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.common.errors import TrainingDiverged
from pipeline.common.files import read_json, write_json
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.training.auto import Tuning
from pipeline.training.state import TrainState

SHARE = 0.4  # of the budget goes into trials
MIN_MINUTES = 1.0  # of a trial that tells anything
RATES = (0.4, 1.0, 2.5)  # times the usual one
RANKS = (0.5, 2.0)

RESULT, TRIALS = "tune.json", "trials"

Train = Callable[[Tuning, float, Path, str], TrainState]


@dataclass(frozen=True)
class Trials:
    """Several short fine-tuning runs, each by `train`.

    Their result is kept in `tune.json`, for a run that goes on; `key` says for which data and
    settings.
    """

    train: Train
    folder: Path
    key: str
    screen: Screen
    world: World = ALONE

    def best(self, usual: Tuning, minutes: float) -> tuple[Tuning, float]:
        """The best tuning by validation, and the minutes that finding it took."""
        tunings = variants(usual)
        path = self.folder / RESULT
        known = self.world.broadcast(dict(read_json(path)) if path.exists() else {})
        if known.get("key") == self.key:
            return tunings[known["best"]], known["minutes"]
        minutes_each = SHARE * minutes / len(tunings)
        if minutes_each < MIN_MINUTES:
            self.screen.warn(
                f"--tune: {minutes:.3g} minutes of fine-tuning are too few for {len(tunings)} "
                f"trials; it needs {MIN_MINUTES * len(tunings) / SHARE:.3g}"
            )
            return usual, 0.0
        bits = [self._trial(number, each, minutes_each) for number, each in enumerate(tunings)]
        if not any(map(math.isfinite, bits)):
            raise TrainingDiverged(
                "No trial of --tune came to anything; set a lower finetune.learning_rate."
            )
        best = min(range(len(tunings)), key=bits.__getitem__)
        self.screen.note(f"the best of {len(tunings)}: {tunings[best]}")
        spent = minutes_each * len(tunings)
        if self.world.leads:
            trials = [
                {"way": str(t), "bits_per_byte": b} for t, b in zip(tunings, bits, strict=True)
            ]
            write_json(path, {"key": self.key, "best": best, "minutes": spent, "trials": trials})
            shutil.rmtree(self.folder / TRIALS)
        return tunings[best], spent

    def _trial(self, number: int, tuning: Tuning, minutes: float) -> float:
        """The bits per byte that a tuning reaches; infinity where it diverges."""
        self.screen.note(f"trial {number + 1}: {tuning}")
        folder = self.folder / TRIALS / str(number)
        try:
            end = self.train(tuning, minutes, folder, f"{self.key} {number}")
        except TrainingDiverged as error:
            self.screen.warn(str(error).partition(";")[0])
            return math.inf
        return end.best.bits_per_byte


def variants(usual: Tuning) -> list[Tuning]:
    """The usual tuning; it with other rates; and, for adapters, with other ranks."""
    rates = [replace(usual, learning_rate=usual.learning_rate * factor) for factor in RATES]
    if usual.method == "full":
        return rates
    ranks = {max(1, round(usual.rank * factor)) for factor in RANKS} - {usual.rank}
    alpha_per_rank = usual.alpha / usual.rank
    return rates + [
        replace(usual, rank=rank, alpha=alpha_per_rank * rank) for rank in sorted(ranks)
    ]
