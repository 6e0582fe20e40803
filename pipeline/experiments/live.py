"""The table in the terminal while runs go on; in a pipe, a line for each finished run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live

from pipeline.experiments.families import Family, Variant
from pipeline.experiments.laboratory import Watch
from pipeline.experiments.results import Results
from pipeline.experiments.table import live
from pipeline.experiments.trial import Trial, work_of
from pipeline.screen import Screen


@contextmanager
def shown(family: Family, folder: Path, screen: Screen) -> Iterator[Watch]:
    """A function to be called while a run goes on, and after it."""
    view = Live(console=screen.console, refresh_per_second=2, transient=True, auto_refresh=False)

    def watch(found: Results, variant: Variant, trial: Trial) -> None:
        if view.is_started:
            state = f"seed {trial.seed}{_progress(trial, folder)}"
            view.update(live(found, variant.label, state), refresh=True)

    if screen.console.is_terminal:
        view.start()
    try:
        yield watch
    finally:
        if view.is_started:
            view.stop()


def _progress(trial: Trial, folder: Path) -> str:
    """Where a run stands, by the last line of its log."""
    try:
        lines = (work_of(trial, folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()
        row = json.loads(lines[-1])
        return f", {row['step'] / trial.steps:.0%}, val {row['val_loss']:.3f}"
    except (OSError, ValueError, LookupError):
        return ""
