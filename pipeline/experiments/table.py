"""The figures of a family, in the terminal while runs go on and in Markdown afterwards.

In the order of the family's own table: sorting by loss would rank what cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rich import box
from rich.table import Table

from pipeline.experiments.families import Variant
from pipeline.experiments.ranking import Difference
from pipeline.experiments.results import Outcome, Results

MIB = 1 << 20
REFUSED = "refused"
SPEEDS = (64, 256, 1024)  # new tokens, as in speeds.py

Column = Callable[[Results, Variant, Outcome], str]


def _number(name: str, form: str, scale: float = 1.0) -> Column:
    """The mean of a figure over the runs."""

    def show(found: Results, variant: Variant, outcome: Outcome) -> str:
        mean = outcome.mean(name)
        return "" if mean is None else format(mean / scale, form)

    return show


def _generation(length: int) -> Column:
    def show(found: Results, variant: Variant, outcome: Outcome) -> str:
        rates: Mapping[str, float] = outcome.first("generation") or {}
        return f"{rates[str(length)]:,.0f}" if str(length) in rates else ""

    return show


def _longer(times: int) -> Column:
    def show(found: Results, variant: Variant, outcome: Outcome) -> str:
        row = outcome.longer(times)
        return REFUSED if row and "refused" in row else f"{row['val_loss']:.3f}" if row else ""

    return show


def _runs(found: Results, variant: Variant, outcome: Outcome) -> str:
    return f"{len(outcome.losses)}" + (" failed" if outcome.failed else "")


def _against(found: Results, variant: Variant, outcome: Outcome) -> str:
    return said(found.against_baseline(variant), variant is found.family.groups[variant.group][0])


def said(difference: Difference | None, is_baseline: bool = False) -> str:
    """How a variant does beside its baseline, in a few words."""
    if is_baseline:
        return "baseline"
    if difference is None:
        return ""
    if not difference.counts:
        return f"not told apart ({difference.signed})"
    return f"{difference.word} by {abs(difference.gain):.3f}"


COLUMNS: Mapping[str, Column] = {
    "variant": lambda found, variant, outcome: variant.label,
    "parameters": _number("parameters", ",.0f"),
    "runs": _runs,
    "train loss": _number("train_loss", ".3f"),
    "val loss": _number("val_loss", ".3f"),
    "bits/byte": _number("bits_per_byte", ".3f"),
    "beside the baseline": _against,
    "training tokens/s": _number("tokens_per_second", ",.0f"),
    **{f"new tokens/s over {n:,}": _generation(n) for n in SPEEDS},
    "cache bytes/token": _number("cache_bytes", ",.0f"),
    "peak MiB": _number("peak_bytes", ",.0f", MIB),
}
STRETCHED: Mapping[str, Column] = {
    "val loss at 2×": _longer(2),
    "val loss at 4×": _longer(4),
}
LIVE = ("variant", "runs", "train loss", "val loss", "bits/byte", "training tokens/s", "peak MiB")


def columns(found: Results) -> Mapping[str, Column]:
    """Those of a family: with longer contexts where it asks about positions."""
    return {**COLUMNS, **STRETCHED} if found.family.name == "positions" else COLUMNS


def rows(found: Results, chosen: Mapping[str, Column]) -> list[list[str]]:
    """The cells of each variant."""
    return [
        [column(found, outcome.variant, outcome) for column in chosen.values()]
        for outcome in found.outcomes.values()
    ]


def markdown(found: Results) -> str:
    """A table for a page."""
    chosen = columns(found)
    lines = [list(chosen), ["---"] * len(chosen), *rows(found, chosen)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def whole(found: Results) -> Table:
    """All figures, for the terminal."""
    chosen = columns(found)
    table = _empty(found, chosen)
    for cells in rows(found, chosen):
        table.add_row(*cells)
    return table


def live(found: Results, now: str = "", state: str = "") -> Table:
    """The main figures, with what goes on in the row of a variant."""
    table = _empty(found, (*LIVE, "now"))
    shown = rows(found, {name: COLUMNS[name] for name in LIVE})
    for label, cells in zip(found.outcomes, shown, strict=True):
        table.add_row(*cells, state if label == now else "")
    return table


def _empty(found: Results, names: Iterable[str]) -> Table:
    title = f"{found.family.name}: {found.family.question}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, justify="left" if name in ("variant", "now") else "right")
    return table
