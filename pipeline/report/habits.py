"""Pictures of two habits, length and bursts: real replies against made ones."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Table = Mapping[str, list[Any]]

COLOURS = {"real": "#4c88c8", "made": "#dd8a35"}
BINS = 16
MANY = 6  # messages; more are drawn as one


def draw_habit(name: str, table: Table, ink: str) -> str:
    """One of `PLOTS` as an SVG in a data URI, on a clear background, lines in the colour `ink`."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.8, 3.0), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    PLOTS[name](axes, table)
    _colour(axes, ink)
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def _draw_lengths(axes: Any, table: Table) -> None:
    """Shares of the replies by length, in bins of equal width on a logarithmic scale."""
    lengths = np.maximum(1, table["values"])
    edges = np.geomspace(1, max(2, lengths.max() + 1), BINS + 1)
    for name, colour in COLOURS.items():
        shares, _ = np.histogram(lengths, bins=edges, weights=table[name])
        axes.stairs(100 * shares, edges, fill=True, alpha=0.25, color=colour)
        axes.stairs(100 * shares, edges, color=colour, linewidth=1.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda length, _: f"{length:,.0f}")
    axes.set(title="Length", xlabel="characters in a reply", ylabel="% of the replies")


def _draw_bursts(axes: Any, table: Table) -> None:
    counts = np.minimum(table["values"], MANY)
    for (name, colour), side in zip(COLOURS.items(), (-0.2, 0.2), strict=True):
        shares = np.bincount(counts, table[name], minlength=MANY + 1)[1:]
        axes.bar(np.arange(1, MANY + 1) + side, 100 * shares, width=0.38, color=colour)
    axes.set_xticks(range(1, MANY + 1), [*map(str, range(1, MANY)), f"{MANY}+"])
    axes.set(title="Bursts", xlabel="messages in a reply", ylabel="% of the replies")


def _colour(axes: Any, ink: str) -> None:
    axes.tick_params(which="both", colors=ink)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)


PLOTS: dict[str, Callable[[Any, Table], None]] = {"length": _draw_lengths, "burst": _draw_bursts}
