"""`--tune`: several ranks and rates for a part of the budget; validation says which is the best."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.common.errors import Astray
from pipeline.common.files import read_json, write_json
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.training.auto import Tuning
from pipeline.training.progress import Progress

SHARE = 0.4  # of the budget goes into trials
LEAST = 1.0  # minutes of a trial that tell anything
RATES = (0.4, 1.0, 2.5)  # times the usual one
RANKS = (0.5, 2.0)

FOUND, TRIALS = "tune.json", "trials"

Train = Callable[[Tuning, float, Path, str], Progress]


@dataclass(frozen=True)
class Trials:
    """Short fine-tunings side by side. What they found is kept in `tune.json`, for a run that goes
    on; `key` says for which data and settings."""

    train: Train
    folder: Path
    key: str
    screen: Screen
    world: World = ALONE

    def best(self, usual: Tuning, minutes: float) -> tuple[Tuning, float]:
        """The best way by validation, and the minutes that finding it has taken."""
        ways = variants(usual)
        known = self.world.agreed(self._known())
        if known.get("key") == self.key:
            return ways[known["best"]], known["minutes"]
        share = SHARE * minutes / len(ways)
        if share < LEAST:
            self.screen.warn(
                f"--tune: {minutes:.3g} minutes of fine-tuning are too few for {len(ways)} trials; "
                f"it needs {LEAST * len(ways) / SHARE:.3g}"
            )
            return usual, 0.0
        bits = [self._tried(number, way, share) for number, way in enumerate(ways)]
        if not any(map(math.isfinite, bits)):
            raise Astray("No way of --tune came to anything; set a lower finetune.learning_rate.")
        chosen = min(range(len(ways)), key=bits.__getitem__)
        self.screen.note(f"the best of {len(ways)}: {ways[chosen]}")
        trials = [{"way": str(w), "bits_per_byte": b} for w, b in zip(ways, bits, strict=True)]
        found = {"key": self.key, "best": chosen, "minutes": share * len(ways), "trials": trials}
        if self.world.leads:
            write_json(self.folder / FOUND, found)
            shutil.rmtree(self.folder / TRIALS)
        return ways[chosen], share * len(ways)

    def _known(self) -> dict[str, Any]:
        path = self.folder / FOUND
        return dict(read_json(path)) if path.exists() else {}

    def _tried(self, number: int, way: Tuning, minutes: float) -> float:
        """The bits per byte that a way reaches; infinitely many where it comes to nothing."""
        self.screen.note(f"trial {number + 1}: {way}")
        folder = self.folder / TRIALS / str(number)
        try:
            return self.train(way, minutes, folder, f"{self.key} {number}").best
        except Astray as error:
            self.screen.warn(str(error).partition(";")[0])
            return math.inf


def variants(usual: Tuning) -> list[Tuning]:
    """The usual way; it with other rates; and, for adapters, with other ranks."""
    rates = [replace(usual, learning_rate=usual.learning_rate * share) for share in RATES]
    if usual.method == "full":
        return rates
    ranks = {max(1, round(usual.rank * share)) for share in RANKS} - {usual.rank}
    times = usual.alpha / usual.rank
    return rates + [replace(usual, rank=rank, alpha=times * rank) for rank in sorted(ranks)]
