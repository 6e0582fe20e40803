"""How all pictures of lessons look: one style, readable without colours too."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pipeline.common.files import atomic

BLUE, ORANGE, GREEN, RED, GREY = "tab:blue", "tab:orange", "tab:green", "tab:red", "0.45"
COLOURS = (BLUE, ORANGE, GREEN, RED, "tab:purple", GREY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))  # told apart in grey
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
DPI = 100


def save(draw: Callable[[Figure], None], size: tuple[float, float], picture: Path) -> None:
    """Write a picture of `size` inches as a PNG with few colours, so that it stays small."""
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a script the font lacks
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        draw(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
    _write(canvas, picture)


def _write(canvas: FigureCanvasAgg, picture: Path) -> None:
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = Image.fromarray(pixels).convert("RGB")
    with atomic(picture, "wb") as file:
        image.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)


def lines(axes: Any, curves: Mapping[str, tuple[Any, Any]]) -> None:
    """A curve for each name, by colour and by dashes."""
    styles = zip(cycle(COLOURS), cycle(DASHES), strict=False)
    for (name, (x, y)), (colour, dashes) in zip(curves.items(), styles, strict=False):
        axes.plot(
            np.asarray(x), np.asarray(y), color=colour, linestyle=dashes, linewidth=1.6, label=name
        )
    axes.grid(alpha=0.3)


def heat(axes: Any, values: Any, title: str, **how: Any) -> Any:
    """A matrix as shades; dark is much."""
    axes.set_title(title)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    return axes.imshow(np.asarray(values), **{"cmap": "Greys", "interpolation": "nearest"} | how)


def label(token: str) -> str:
    """Text as it is: a dollar sign begins no formula."""
    return token.replace("$", r"\$")


def ticks(axis: Any, names: Sequence[str], **how: Any) -> None:
    """A name at each of 0, 1, …"""
    axis.set_ticks(range(len(names)), [label(name) for name in names], **how)
