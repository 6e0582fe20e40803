"""How many steps every run gets, so that everything asked for fits into the time.

A step of each variant is timed, and one whole run of two steps, for what a run costs besides its
steps; this time counts as well. The plan is stored, so that the same command later means the same
runs.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.common.files import read_json, write_json
from pipeline.experiments.child_process import Runner, await_child
from pipeline.experiments.training_text import TrainingText
from pipeline.experiments.trial import MAX_STEPS, SEEDS, VERSION, Trial, make_trial, max_steps
from pipeline.experiments.variants import UPTRAINING, Family, Variant

BEST = 2  # variants of a group, besides its baseline, that run with all seeds
SLACK = 1.1  # a long run is slower than a few timed steps
MIN_STEPS = 20  # of a run, whatever the time
PILOT_STEPS = 2  # of the run that shows what a run costs besides its steps


@dataclass(frozen=True)
class Cost:
    """What all runs of one variant cost."""

    runs: float  # expected number: the variant may be among the best
    step_seconds: float
    step_share: float  # of the planned steps that each of its runs takes
    max_steps: int

    def seconds(self, steps: int) -> float:
        """Of all its steps, if `steps` are planned."""
        per_run = min(steps, self.max_steps) * self.step_share
        return self.runs * per_run * self.step_seconds * SLACK


@dataclass(frozen=True)
class Plan:
    """The steps of every run, and what the whole was expected to cost."""

    steps: int
    runs: int
    minutes: float


def plan_path(families: Sequence[Family], minutes: float, text: TrainingText, folder: Path) -> Path:
    """Where the plan of a command is stored."""
    facts = [[family.name for family in families], minutes, text.key, VERSION]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return folder / "plans" / f"{key}.json"


def load_plan(path: Path) -> Plan | None:
    """A plan made before."""
    if not path.exists():
        return None
    known = read_json(path)
    return Plan(known["steps"], known["runs"], known["minutes"])


def make_plan(
    families: Sequence[Family], minutes: float, text: TrainingText, folder: Path, runner: Runner
) -> Plan:
    """Time what is asked for, and plan as many steps as fit into the minutes."""
    began = time.monotonic()
    # Variants of several families that are one run; the baseline comes first.
    same_run: dict[str, list[tuple[Family, Variant]]] = {}
    for family in families:
        for variant in family.variants:
            key = make_trial(family, variant, text, MAX_STEPS, SEEDS[0]).key
            same_run.setdefault(key, []).append((family, variant))
    trials = [make_trial(*pairs[0], text, PILOT_STEPS, SEEDS[0]) for pairs in same_run.values()]
    pilot = replace(trials[0], tests_longer=False)  # as most runs
    pilot_began = time.monotonic()
    runner(pilot, folder, False, lambda: None)
    overhead_seconds = time.monotonic() - pilot_began
    pilot.record_path(folder).unlink()
    costs = []
    for pairs, step_seconds in zip(same_run.values(), _time_steps(trials, folder), strict=True):
        family, variant = pairs[0]
        expected = max(expected_runs(*pair) for pair in pairs)
        share = UPTRAINING if variant.pooled_from else 1.0
        costs.append(Cost(expected, step_seconds, share, max_steps(family, text)))
    runs = round(sum(cost.runs for cost in costs))
    overhead = runs * overhead_seconds
    steps = fitting_steps(costs, 60 * minutes - (time.monotonic() - began) - overhead)
    seconds = overhead + sum(cost.seconds(steps) for cost in costs)
    return Plan(steps, runs, seconds / 60)


def fitting_steps(costs: Sequence[Cost], seconds: float) -> int:
    """The most steps with which all runs together take at most `seconds`."""
    low, high = MIN_STEPS, max(MIN_STEPS, *(cost.max_steps for cost in costs))
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(cost.seconds(middle) for cost in costs) <= seconds
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def expected_runs(family: Family, variant: Variant) -> float:
    """How many runs a variant gets: one, one per seed, or between for one that may be best."""
    if variant.pooled_from:
        return 1.0
    others = sum(not v.pooled_from for v in family.groups[variant.group]) - 1
    is_baseline = variant is family.baseline(variant)
    chance = 1.0 if is_baseline else min(BEST, others) / others
    return 1 + (len(SEEDS) - 1) * chance


def _time_steps(trials: list[Trial], folder: Path) -> list[float]:
    """Seconds of a step of each trial, timed in one process."""
    out = folder / "plans" / "steps.json"
    await_child(partial(_write_step_seconds, trials, out), out.with_suffix(".log"), lambda: None)
    seconds: list[float] = read_json(out)
    out.unlink()
    return seconds


def _write_step_seconds(trials: list[Trial], out: Path) -> None:
    from pipeline.experiments.run_trial import step_seconds

    write_json(out, [step_seconds(trial) for trial in trials])
