"""The order of runs: every variant once, then the baseline and the best two with the other seeds.

A run that has a record is not repeated, whichever family asked for it first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.common.files import read_json
from pipeline.experiments.child_process import Crashed, Runner, Tick, run_in_child
from pipeline.experiments.planning import BEST
from pipeline.experiments.results import Outcome, Results
from pipeline.experiments.training_text import TrainingText
from pipeline.experiments.trial import SEEDS, Record, Trial, make_trial
from pipeline.experiments.variants import Family, Variant

Watch = Callable[[Results, Variant, Trial], None]  # called during a run and after it


class Laboratory:
    """One text, one number of steps, and the folder of all results."""

    def __init__(
        self, text: TrainingText, steps: int, folder: Path, runner: Runner = run_in_child
    ) -> None:
        self.text, self.steps, self.folder, self.runner = text, steps, folder, runner

    def study(self, family: Family, watch: Watch = lambda *_: None) -> Results:
        """All runs of a family."""
        results = Results(family, {v.label: Outcome(v) for v in family.variants})
        for variant in family.variants:
            self._add(results, variant, SEEDS[0], watch)
        for group in family.groups.values():
            for variant in worth_repeating(group, results):
                for seed in SEEDS[1:]:
                    self._add(results, variant, seed, watch)
        return results

    def missing(self, families: Sequence[Family]) -> int:
        """How many runs with the first seed are still to be done, counting shared ones once."""
        trials = {
            make_trial(family, variant, self.text, self.steps, SEEDS[0])
            for family in families
            for variant in family.variants
        }
        return sum(self._known(trial) is None for trial in trials)

    def _add(self, results: Results, variant: Variant, seed: int, watch: Watch) -> None:
        family = results.family
        trial = make_trial(family, variant, self.text, self.steps, seed)
        keep_model = any(other.pooled_from == variant.name for other in family.variants)
        record = self._record(trial, keep_model, lambda: watch(results, variant, trial))
        results[variant].records.append(record)
        watch(results, variant, trial)

    def _record(self, trial: Trial, keep_model: bool, tick: Tick) -> Record:
        """The record of a run: read if it is known, otherwise made now."""
        record = self._known(trial, keep_model)
        if record is not None:
            return record
        try:
            start = self._record(trial.pooled_from, True, tick) if trial.pooled_from else {}
            if "failed" in start:
                return _failed_start(start)
            self.runner(trial, self.folder, keep_model, tick)
        except Crashed as reason:
            return {"failed": str(reason)}
        made: Record = read_json(trial.record_path(self.folder))
        return made

    def _known(self, trial: Trial, keep_model: bool = False) -> Record | None:
        """The record of an earlier command, unless the model to keep is missing."""
        start = self._known(trial.pooled_from) if trial.pooled_from else None
        if start and "failed" in start:
            return _failed_start(start)
        try:
            record: Record = read_json(trial.record_path(self.folder))
        except (FileNotFoundError, ValueError):
            return None
        complete = "failed" in record or not keep_model or trial.model_folder(self.folder).exists()
        return record if complete else None


def _failed_start(start: Record) -> Record:
    """The record of a run that has nothing to start from."""
    return {"failed": f"The run it starts from failed: {start['failed']}"}


def worth_repeating(group: list[Variant], results: Results) -> list[Variant]:
    """The baseline and the best of the others, if they finished."""
    baseline, *others = group
    finished = [v for v in others if not v.pooled_from and results[v].losses]
    best = sorted(finished, key=lambda v: results[v].losses[0])[:BEST]
    return [v for v in group if v in best or (v is baseline and results[v].losses)]
