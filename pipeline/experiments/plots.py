"""Pictures of a family: losses while it learns, and speed against length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.common.files import atomic
from pipeline.experiments.results import Outcome, Results
from pipeline.experiments.trial import NEW_TOKENS

SIZE = (9, 5)


def draw(found: Results, folder: Path) -> list[Path]:
    """Write the PNGs of a family; returns those that there was something to draw for."""
    name, made = found.family.name, []
    for kind, plot in (("loss", _losses), ("speed", _speeds)):
        figure, axes = _new(f"{name}: {found.family.question}")
        if plot(axes, list(found.outcomes.values())):
            path = folder / f"{name}-{kind}.png"
            _save(figure, axes, path)
            made.append(path)
    return made


def _new(title: str) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, axes: Any, path: Path) -> None:
    axes.legend(frameon=False, fontsize="small", ncols=2)
    with atomic(path, "wb") as file:
        figure.savefig(file, format="png", dpi=110)


def _losses(axes: Any, outcomes: Sequence[Outcome]) -> bool:
    """Validation against tokens, a thin dashed line for training; of the first seed."""
    axes.set(xlabel="tokens learned from", ylabel="loss, nats per token")
    for number, outcome in enumerate(outcomes):
        curve = outcome.first("curve") or []
        if curve:
            before = outcome.first("tokens") - curve[-1]["tokens"]  # of the model it began from
            tokens, colour = [before + row["tokens"] for row in curve], f"C{number % 10}"
            style = "-" if number < 10 else "-."
            validation, training = ([row[k] for row in curve] for k in ("val_loss", "train_loss"))
            axes.plot(tokens, validation, style, color=colour, label=outcome.variant.label)
            axes.plot(tokens, training, ":", color=colour, linewidth=0.8, alpha=0.6)
    return bool(axes.lines)


def _speeds(axes: Any, outcomes: Sequence[Outcome]) -> bool:
    """New tokens a second, against how many."""
    axes.set(xlabel="new tokens", ylabel="new tokens a second", xscale="log")
    axes.set_xticks(NEW_TOKENS, [f"{length:,}" for length in NEW_TOKENS])
    for number, outcome in enumerate(outcomes):
        rates = outcome.first("generation") or {}
        if rates:
            style = "o-" if number < 10 else "o-."
            lengths = [int(length) for length in rates]
            axes.plot(lengths, list(rates.values()), style, label=outcome.variant.label)
    axes.set_ylim(bottom=0)
    return bool(axes.lines)
