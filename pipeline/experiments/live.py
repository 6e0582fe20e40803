"""The table in the terminal while runs go on; in a pipe, a line for each finished run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live

from pipeline.common.screen import Screen
from pipeline.experiments.families import Variant
from pipeline.experiments.laboratory import Watch
from pipeline.experiments.results import Results
from pipeline.experiments.table import live
from pipeline.experiments.trial import SEEDS, Trial, work_of


@contextmanager
def shown(folder: Path, screen: Screen) -> Iterator[Watch]:
    """A function to be called while a run goes on, and after it."""
    if not screen.console.is_terminal:
        yield _lines(screen)
        return
    with Live(console=screen.console, transient=True, auto_refresh=False) as view:

        def watch(found: Results, variant: Variant, trial: Trial) -> None:
            state = f"seed {trial.seed}{_progress(trial, folder)}"
            view.update(live(found, variant.label, state), refresh=True)

        yield watch


def _lines(screen: Screen) -> Watch:
    """Says a line for each run that was done now; those known before are in the table."""
    seen_at_work: set[str] = set()

    def watch(found: Results, variant: Variant, trial: Trial) -> None:
        finished = len(found[variant].records) > SEEDS.index(trial.seed)
        if not finished:
            seen_at_work.add(trial.key)
        elif trial.key in seen_at_work:
            screen.note(_line(found, variant, trial.seed))

    return watch


def _line(found: Results, variant: Variant, seed: int) -> str:
    record = found[variant].records[-1]
    end = record.get("failed") or f"val {record['val_loss']:.3f}"
    return f"{found.family.name} · {variant.label}, seed {seed}: {end}"


def _progress(trial: Trial, folder: Path) -> str:
    """Where a run stands, by the last line of its log."""
    try:
        lines = (work_of(trial, folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()
        row = json.loads(lines[-1])
        return f", {row['step'] / trial.steps:.0%}, val {row['val_loss']:.3f}"
    except (OSError, ValueError, LookupError):
        return ""
