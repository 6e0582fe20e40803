"""The order of runs: every variant once, then the baseline and the best two with the other seeds.

A run whose record is there is not done again, whichever family asked for it first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.common.files import read_json
from pipeline.experiments import build
from pipeline.experiments.families import Family, Variant
from pipeline.experiments.plan import BEST
from pipeline.experiments.process import Crashed, Runner, Tick, in_child
from pipeline.experiments.results import Outcome, Results
from pipeline.experiments.text import Text
from pipeline.experiments.trial import SEEDS, Trial, model_of, record_of

Watch = Callable[[Results, Variant, Trial], None]  # called while a run goes on


class Laboratory:
    """One text, one number of steps, and the folder where everything is kept."""

    def __init__(self, text: Text, steps: int, folder: Path, runner: Runner = in_child) -> None:
        self.text, self.steps, self.folder, self.runner = text, steps, folder, runner

    def study(self, family: Family, watch: Watch = lambda *_: None) -> Results:
        """Every run of a family."""
        found = Results(family, {variant.label: Outcome(variant) for variant in family.variants})
        for variant in family.variants:
            self._add(found, variant, SEEDS[0], watch)
        for group in family.groups.values():
            for variant in worth_repeating(group, found):
                for seed in SEEDS[1:]:
                    self._add(found, variant, seed, watch)
        return found

    def missing(self, families: Sequence[Family]) -> int:
        """How many runs with the first seed are still to be done; families may share some."""
        wanted = {
            build.trial(family, variant, self.text, self.steps, SEEDS[0])
            for family in families
            for variant in family.variants
        }
        return sum(self._known(trial) is None for trial in wanted)

    def _add(self, found: Results, variant: Variant, seed: int, watch: Watch) -> None:
        family = found.family
        trial = build.trial(family, variant, self.text, self.steps, seed)
        kept = any(other.start == variant.name for other in family.variants)
        record = self._record(trial, kept, lambda: watch(found, variant, trial))
        found[variant].records.append(record)
        watch(found, variant, trial)

    def _record(self, trial: Trial, keeps: bool, tick: Tick) -> dict[str, Any]:
        """What a run found: read, or else found now."""
        record = self._known(trial, keeps)
        if record is not None:
            return record
        try:
            begun = self._record(trial.start, True, tick) if trial.start else {}
            if "failed" in begun:
                return _without(begun)
            self.runner(trial, self.folder, keeps, tick)
        except Crashed as reason:
            return {"failed": str(reason)}
        return dict(read_json(record_of(trial, self.folder)))

    def _known(self, trial: Trial, keeps: bool = False) -> dict[str, Any] | None:
        """A record of an earlier command, if the model that is to be kept is there as well."""
        begun = self._known(trial.start) if trial.start else None
        if begun and "failed" in begun:
            return _without(begun)
        try:
            record = dict(read_json(record_of(trial, self.folder)))
        except (FileNotFoundError, ValueError):
            return None
        whole = not keeps or "failed" in record or model_of(trial, self.folder).exists()
        return record if whole else None


def _without(begun: Mapping[str, Any]) -> dict[str, Any]:
    """Stands for the record of a run that cannot begin."""
    return {"failed": f"Its start came to no end: {begun['failed']}"}


def worth_repeating(group: list[Variant], found: Results) -> list[Variant]:
    """The baseline and the best of the others, as far as they came to an end."""
    baseline, *others = group
    ended = [v for v in others if not v.start and found[v].losses]
    best = sorted(ended, key=lambda v: found[v].losses[0])[:BEST]
    return [v for v in group if v in best or (v is baseline and found[v].losses)]
