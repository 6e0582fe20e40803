"""How many tokens everybody gets, so that all that was asked for fits into the time.

A step of each variant is timed, and one whole run of two steps, for all that a run costs beside its
steps; the time that this takes counts as well. What was planned is kept: the same command later
means the same runs.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.common.files import read_json, write_json
from pipeline.experiments import build
from pipeline.experiments.families import BRIEF, Family, Variant
from pipeline.experiments.process import Runner, Tick, await_child
from pipeline.experiments.text import Text
from pipeline.experiments.trial import SEEDS, VERSION, Trial, record_of

BEST = 2  # variants of a group, beside its baseline, that get all seeds
SLACK = 1.1  # a long run is slower than a few timed steps
FEWEST = 20  # steps of a run, whatever the time
PILOT = 2  # steps of the run that shows what a run costs beside its steps

Pair = tuple[Family, Variant]


@dataclass(frozen=True)
class Cost:
    """What the runs of one variant cost in all."""

    runs: float  # how many, on the average: it may be among the best
    step: float  # seconds
    share: float  # of the planned steps that each of its runs takes
    most: int  # steps

    def seconds(self, steps: int) -> float:
        """Of its steps, when so many are planned."""
        return self.runs * min(steps, self.most) * self.share * self.step * SLACK


@dataclass(frozen=True)
class Plan:
    """The steps of every run, and what was expected of the whole when it was made."""

    steps: int
    runs: int
    minutes: float
    beside: float  # seconds of a run without its steps


def path_of(families: Sequence[Family], minutes: float, text: Text, folder: Path) -> Path:
    """Where the plan of a command is."""
    facts = [[family.name for family in families], minutes, text.key, VERSION]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return folder / "plans" / f"{key}.json"


def known(path: Path) -> Plan | None:
    """A plan that was made before."""
    return Plan(**read_json(path)) if path.exists() else None


def made(
    families: Sequence[Family],
    minutes: float,
    text: Text,
    folder: Path,
    runner: Runner,
    tick: Tick = lambda: None,
) -> Plan:
    """Time what is asked for, and plan so many steps as the minutes hold."""
    began = time.monotonic()
    wanted = _wanted(families, text)
    trials = [build.trial(*pairs[0], text, PILOT, SEEDS[0]) for pairs in wanted]
    beside = _pilot(replace(trials[0], stretches=False), folder, runner, tick)  # as most of them
    steps = _timed(trials, folder, tick)
    costs = [_cost(pairs, text, step) for pairs, step in zip(wanted, steps, strict=True)]
    runs = round(sum(cost.runs for cost in costs))
    chosen = fitting(costs, 60 * minutes - (time.monotonic() - began) - runs * beside)
    seconds = runs * beside + sum(cost.seconds(chosen) for cost in costs)
    return Plan(chosen, runs, seconds / 60, beside)


def keep(plan: Plan, path: Path) -> None:
    """Write a plan down."""
    write_json(path, asdict(plan))


def fitting(costs: Sequence[Cost], seconds: float) -> int:
    """The most steps at which all runs together take no longer than so many seconds."""
    low, high = FEWEST, max(FEWEST, *(cost.most for cost in costs))
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(cost.seconds(middle) for cost in costs) <= seconds
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _wanted(families: Sequence[Family], text: Text) -> list[list[Pair]]:
    """All variants, those together that are one run whichever family asks; the baseline first."""
    found: dict[str, list[Pair]] = {}
    for family in families:
        for variant in family.variants:
            trial = build.trial(family, variant, text, build.MOST, SEEDS[0])
            found.setdefault(trial.key, []).append((family, variant))
    return list(found.values())


def _cost(pairs: Sequence[Pair], text: Text, step: float) -> Cost:
    family, variant = pairs[0]
    share = BRIEF if variant.start else 1.0
    runs = max(_runs(*pair) for pair in pairs)
    return Cost(runs, step, share, build.most_steps(family, text))


def _runs(family: Family, variant: Variant) -> float:
    """How many runs a variant gets: one, all seeds, or something between for who may be best."""
    group = [v for v in family.groups[variant.group] if not v.start]
    if variant.start:
        return 1.0
    chance = 1.0 if variant is group[0] else min(BEST, len(group) - 1) / (len(group) - 1)
    return 1 + (len(SEEDS) - 1) * chance


def _pilot(trial: Trial, folder: Path, runner: Runner, tick: Tick) -> float:
    """Seconds of a whole run but for its steps."""
    began = time.monotonic()
    runner(trial, folder, False, tick)
    taken = time.monotonic() - began
    record_of(trial, folder).unlink()
    return taken


def _timed(trials: Sequence[Trial], folder: Path, tick: Tick) -> list[float]:
    """Seconds of a step of each trial, timed in one process."""
    out = folder / "plans" / "steps.json"
    await_child(_time, (list(trials), out), out.with_suffix(".log"), tick)
    found: list[float] = read_json(out)
    out.unlink()
    return found


def _time(trials: list[Trial], out: Path) -> None:
    from pipeline.experiments.timing import step_seconds

    write_json(out, [step_seconds(trial) for trial in trials])
