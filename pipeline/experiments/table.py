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
from pipeline.experiments.trial import LONGER, NEW_TOKENS

MIB = 1 << 20
REFUSED = "refused"

Column = Callable[[Results, Variant, Outcome], str]
Columns = Mapping[str, Column]


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


def _speed(found: Results, variant: Variant, outcome: Outcome) -> str:
    return "" if outcome.speed is None else f"{outcome.speed:,.0f}"


def _longer(times: int) -> Column:
    def show(found: Results, variant: Variant, outcome: Outcome) -> str:
        row = outcome.longer(times)
        return REFUSED if row and "refused" in row else f"{row['val_loss']:.3f}" if row else ""

    return show


def _runs(found: Results, variant: Variant, outcome: Outcome) -> str:
    return f"{len(outcome.losses)}" + (" failed" if outcome.failed else "")


def _against(found: Results, variant: Variant, outcome: Outcome) -> str:
    if variant is found.family.groups[variant.group][0]:
        return "baseline"
    if variant.start:
        return "not compared"
    return said(found.difference_to_baseline(variant))


def said(difference: Difference | None) -> str:
    """How a variant does beside its baseline; in brackets what cannot be told apart."""
    if difference is None:
        return ""
    word = difference.word
    return f"({difference.signed})" if word == "same" else f"{difference.signed} {word}"


VARIANT: Columns = {"variant": lambda found, variant, outcome: variant.label}
LEARNED: Columns = {
    **VARIANT,
    "parameters": _number("parameters", ",.0f"),
    "tokens": _number("tokens", ",.0f"),
    "runs": _runs,
    "train loss": _number("train_loss", ".3f"),
    "val loss": _number("val_loss", ".3f"),
    "bits/byte": _number("bits_per_byte", ".3f"),
    "to baseline": _against,
}
STRETCHED: Columns = {f"val at {times}×": _longer(times) for times in LONGER}
COSTS: Columns = {
    **VARIANT,
    "training tokens/s": _speed,
    **{f"new tokens/s, {n:,}": _generation(n) for n in NEW_TOKENS},
    "cache bytes/token": _number("cache_bytes", ",.0f"),
    "peak MiB": _number("peak_bytes", ",.0f", MIB),
}
LIVE = ("variant", "runs", "train loss", "val loss", "bits/byte")


def both(found: Results) -> tuple[Columns, Columns]:
    """What was learned, with longer contexts where the family asks about positions; the costs."""
    learned = {**LEARNED, **STRETCHED} if found.family.name == "positions" else LEARNED
    return learned, COSTS


def rows(found: Results, chosen: Columns) -> list[list[str]]:
    """The cells of each variant."""
    return [
        [column(found, outcome.variant, outcome) for column in chosen.values()]
        for outcome in found.outcomes.values()
    ]


def markdown(found: Results) -> str:
    """Two tables for a page."""
    return "\n\n".join(_markdown(found, chosen) for chosen in both(found))


def _markdown(found: Results, chosen: Columns) -> str:
    lines = [list(chosen), ["---"] * len(chosen), *rows(found, chosen)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def whole(found: Results) -> list[Table]:
    """The same for the terminal."""
    title = f"{found.family.name}: {found.family.question}"
    tables = []
    for chosen in both(found):
        table = _empty(chosen, title)
        for cells in rows(found, chosen):
            table.add_row(*cells)
        tables.append(table)
        title = ""
    return tables


def live(found: Results, now: str = "", state: str = "") -> Table:
    """The main figures, with what goes on in the row of a variant."""
    table = _empty((*LIVE, "now"), f"{found.family.name}: {found.family.question}")
    shown = rows(found, {name: LEARNED[name] for name in LIVE})
    for label, cells in zip(found.outcomes, shown, strict=True):
        table.add_row(*cells, state if label == now else "")
    return table


def _empty(names: Iterable[str], title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    table.show_edge, table.padding = False, (0, 1, 0, 0)
    for name in names:
        table.add_column(name, justify="left" if name in ("variant", "now") else "right")
    return table
