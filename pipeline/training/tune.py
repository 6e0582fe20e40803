"""`--tune`: several ranks and rates for a part of the budget; validation says which is the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.files import read_json, write_json
from pipeline.screen import Screen
from pipeline.training.auto import Tuning
from pipeline.training.plan import Progress

SHARE = 0.4  # of the budget goes into trials
LEAST = 1.0  # minutes of a trial that tell anything
RATES = (0.4, 1.0, 2.5)  # times the usual one
RANKS = (0.5, 2.0)

Train = Callable[[Tuning, float, Path, str], Progress]


def best(
    usual: Tuning, train: Train, minutes: float, folder: Path, key: str, screen: Screen
) -> tuple[Tuning, float]:
    """The best way to fine-tune by validation, and the minutes that finding it has taken.

    What was found is kept in `tune.json`, so that a run that goes on does not ask again.
    """
    path = folder / "tune.json"
    ways = variants(usual)
    share = SHARE * minutes / len(ways)
    known = read_json(path) if path.exists() else {}
    if known.get("key") == key:
        return ways[known["best"]], known["minutes"]
    if share < LEAST:
        screen.warn(
            f"--tune: {minutes:g} minutes are too few for {len(ways)} trials; give at least "
            f"{LEAST * len(ways) / SHARE:.0f}"
        )
        return usual, 0.0
    found: list[dict[str, Any]] = []
    for number, way in enumerate(ways):
        screen.note(f"trial {number + 1} of {len(ways)}")
        end = train(way, share, folder / "trials" / str(number), f"{key}-{number}")
        found.append({"way": str(way), "bits_per_byte": round(end.best, 4), "step": end.best_step})
    chosen = min(range(len(ways)), key=lambda n: float(found[n]["bits_per_byte"]))
    spent = share * len(ways)
    write_json(path, {"key": key, "best": chosen, "minutes": spent, "trials": found})
    screen.note(f"the best of {len(ways)}: {ways[chosen]}")
    return ways[chosen], spent


def variants(usual: Tuning) -> list[Tuning]:
    """The usual way; it with other rates; and, for adapters, with other ranks."""
    rates = [replace(usual, learning_rate=usual.learning_rate * share) for share in RATES]
    if usual.method == "full":
        return rates
    ranks = {max(1, round(usual.rank * share)) for share in RANKS} - {usual.rank}
    return rates + [replace(usual, rank=rank, alpha=2.0 * rank) for rank in sorted(ranks)]
