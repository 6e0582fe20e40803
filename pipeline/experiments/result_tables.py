"""The figures of a family: in the terminal, live while runs go on, and in Markdown.

In the order of the family's own table: sorting by loss would rank what cannot be told apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.live import Live
from rich.table import Table

from pipeline.common.screen import Screen
from pipeline.experiments.laboratory import Watch
from pipeline.experiments.results import Outcome, Results
from pipeline.experiments.trial import LONGER, NEW_TOKENS, SEEDS, Trial
from pipeline.experiments.variants import Variant

MIB = 1 << 20

Column = Callable[[Outcome, Results], str]
Columns = Mapping[str, Column]


def _mean(name: str, form: str, unit: float = 1.0) -> Column:
    """The mean of a figure over the runs."""

    def show(outcome: Outcome, results: Results) -> str:
        mean = outcome.mean(name)
        return "" if mean is None else format(mean / unit, form)

    return show


def _generation(length: int) -> Column:
    def show(outcome: Outcome, results: Results) -> str:
        rate = (outcome.first.get("generation") or {}).get(str(length))
        return "" if rate is None else f"{rate:,.0f}"

    return show


def _longer(times: int) -> Column:
    def show(outcome: Outcome, results: Results) -> str:
        row = outcome.longer(times)
        return "refused" if isinstance(row, str) else f"{row['val_loss']:.3f}" if row else ""

    return show


def _to_baseline(outcome: Outcome, results: Results) -> str:
    """The loss that a variant adds to its baseline; in brackets where it is not significant."""
    variant = outcome.variant
    if variant is results.family.baseline(variant):
        return "baseline"
    if variant.pooled_from:
        return "not compared"
    difference = results.difference_to_baseline(variant)
    if difference is None:
        return ""
    added, word = difference.added_loss, difference.word
    return f"({added})" if word == "same" else f"{added} {word}"


VARIANT: Columns = {"variant": lambda outcome, results: outcome.variant.label}
LEARNED: Columns = {
    **VARIANT,
    "parameters": _mean("parameters", ",.0f"),
    "tokens": _mean("tokens", ",.0f"),
    "runs": lambda outcome, _: f"{len(outcome.losses)}{' failed' * bool(outcome.failed)}",
    "train loss": _mean("train_loss", ".3f"),
    "val loss": _mean("val_loss", ".3f"),
    "bits/byte": _mean("bits_per_byte", ".3f"),
    "to baseline": _to_baseline,
}
LONGER_LOSS: Columns = {f"val at {times}×": _longer(times) for times in LONGER}
COSTS: Columns = {
    **VARIANT,
    "training tokens/s": lambda outcome, _: f"{outcome.speed:,.0f}" if outcome.speed else "",
    **{f"new tokens/s, {n:,}": _generation(n) for n in NEW_TOKENS},
    "cache bytes/token": _mean("cache_bytes", ",.0f"),
    "peak MiB": _mean("peak_bytes", ",.0f", MIB),
}
LIVE = ("variant", "runs", "train loss", "val loss", "bits/byte")


def _tables(results: Results) -> tuple[Columns, Columns]:
    """What was learned (with longer contexts where the family asks about positions); the costs."""
    asks_positions = results.family.name == "positions"
    return {**LEARNED, **LONGER_LOSS} if asks_positions else LEARNED, COSTS


def _cells(results: Results, columns: Iterable[Column]) -> list[list[str]]:
    return [[show(outcome, results) for show in columns] for outcome in results.outcomes.values()]


def markdown(results: Results) -> str:
    """Two tables for a page."""
    tables = []
    for columns in _tables(results):
        lines = [list(columns), ["---"] * len(columns), *_cells(results, columns.values())]
        tables.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(tables)


def final_tables(results: Results) -> Iterator[Table]:
    """The same for the terminal."""
    title: str | None = f"{results.family.name}: {results.family.question}"
    for columns in _tables(results):
        yield _table(columns, _cells(results, columns.values()), title)
        title = None


def live_table(results: Results, current: str = "", state: str = "") -> Table:
    """The main figures, with the state of the current run in its variant's row."""
    rows = _cells(results, [LEARNED[name] for name in LIVE])
    for label, cells in zip(results.outcomes, rows, strict=True):
        cells.append(state if label == current else "")
    return _table((*LIVE, "now"), rows, f"{results.family.name}: {results.family.question}")


def _table(names: Iterable[str], rows: list[list[str]], title: str | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_edge=False)
    table.padding = (0, 1, 0, 0)
    for name in names:
        table.add_column(name, justify="left" if name in ("variant", "now") else "right")
    for cells in rows:
        table.add_row(*cells)
    return table


@contextmanager
def live_view(folder: Path, screen: Screen) -> Iterator[Watch]:
    """A function to call during and after each run: it updates a table, or, where the output is
    no terminal, prints a line for each run that was done now."""
    if not screen.console.is_terminal:
        yield _line_per_run(screen)
        return
    with Live(console=screen.console, transient=True, auto_refresh=False) as view:

        def watch(results: Results, variant: Variant, trial: Trial) -> None:
            state = f"seed {trial.seed}{_progress(trial, folder)}"
            view.update(live_table(results, variant.label, state), refresh=True)

        yield watch


def _line_per_run(screen: Screen) -> Watch:
    started: set[str] = set()  # known runs are never seen unfinished

    def watch(results: Results, variant: Variant, trial: Trial) -> None:
        records = results[variant].records
        if len(records) <= SEEDS.index(trial.seed):
            started.add(trial.key)
        elif trial.key in started:
            record = records[-1]
            end = record.get("failed") or f"val {record['val_loss']:.3f}"
            screen.note(f"{results.family.name} · {variant.label}, seed {trial.seed}: {end}")

    return watch


def _progress(trial: Trial, folder: Path) -> str:
    """How far a run is, from the last line of its log."""
    try:
        log = (trial.work_folder(folder) / "log.jsonl").read_text(encoding="utf-8")
        row = json.loads(log.splitlines()[-1])
        return f", {row['step'] / trial.steps:.0%}, val {row['val_loss']:.3f}"
    except (OSError, ValueError, LookupError):
        return ""
