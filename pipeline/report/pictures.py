"""Pictures: the curves of a training run, and habits of real replies against generated ones."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.common.files import atomic, read_jsonl
from pipeline.evaluation.habits import HabitTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"real": "#4c88c8", "generated": "#dd8a35"}
BINS = 16
MAX_MESSAGES = 6  # more are drawn as one


def draw_curves(log: Path, picture: Path, title: str) -> None:
    """Training and validation loss by step, and bits per byte, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = list(read_jsonl(log))
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(steps, [row["train_loss"] for row in rows], label="training (one batch)", alpha=0.6)
    axes.plot(steps, [row["val_loss"] for row in rows], label="validation", linewidth=2)
    axes.set(title=title, xlabel="step", ylabel="nats per token")
    bits = axes.twinx()
    bits.plot(steps, [row["val_bits_per_byte"] for row in rows], "k:", label="bits per byte")
    bits.set_ylabel("validation, bits per byte")
    axes.grid(alpha=0.3)
    axes.legend(handles=[*axes.get_lines(), *bits.get_lines()], frameon=False)
    with atomic(picture, "wb") as file:
        figure.savefig(file, format="png", dpi=110)


def draw_habit(name: str, table: HabitTable, ink: str) -> str:
    """One of `HABIT_PLOTS` as an SVG in a data URI, transparent, with lines in the colour `ink`."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.8, 3.0), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    HABIT_PLOTS[name](axes, table)
    axes.tick_params(which="both", colors=ink)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def _draw_lengths(axes: Axes, table: HabitTable) -> None:
    """Shares of the replies by length, in bins of equal width on a logarithmic scale."""
    lengths = np.maximum(1, np.array(table["values"], dtype=np.int64))
    edges = np.geomspace(1, max(2, lengths.max() + 1), BINS + 1)
    for shares, colour in zip(_shares(table), COLOURS.values(), strict=True):
        in_bins, _ = np.histogram(lengths, bins=edges, weights=shares)
        axes.stairs(100 * in_bins, edges, fill=True, alpha=0.25, color=colour)
        axes.stairs(100 * in_bins, edges, color=colour, linewidth=1.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda length, _: f"{length:,.0f}")
    axes.set(title="Length", xlabel="characters in a reply", ylabel="% of the replies")


def _draw_bursts(axes: Axes, table: HabitTable) -> None:
    """Shares of the replies by number of messages."""
    counts = np.minimum(np.array(table["values"], dtype=np.int64), MAX_MESSAGES)
    numbers = np.arange(1, MAX_MESSAGES + 1)
    for shares, colour, side in zip(_shares(table), COLOURS.values(), (-0.2, 0.2), strict=True):
        by_count = np.bincount(counts, shares, minlength=MAX_MESSAGES + 1)[1:]
        axes.bar(numbers + side, 100 * by_count, width=0.38, color=colour)
    axes.set_xticks(numbers, [*map(str, numbers[:-1]), f"{MAX_MESSAGES}+"])
    axes.set(title="Bursts", xlabel="messages in a reply", ylabel="% of the replies")


def _shares(table: HabitTable) -> tuple[list[float], list[float]]:
    return table["real"], table["generated"]


HABIT_PLOTS: Mapping[str, Callable[[Axes, HabitTable], None]] = {
    "length": _draw_lengths,
    "burst": _draw_bursts,
}
