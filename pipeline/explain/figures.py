"""The style of all pictures, readable without colour too."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike
from PIL import Image

from pipeline.common.files import atomic

BLUE, ORANGE, GREEN, RED, GREY = "tab:blue", "tab:orange", "tab:green", "tab:red", "0.45"
COLOURS = (BLUE, ORANGE, GREEN, RED, "tab:purple", GREY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
PALETTE = 128  # colours of a PNG, so that it stays small


def save_picture(draw: Callable[[Figure], None], size: tuple[float, float], picture: Path) -> None:
    """Draw a figure of `size` inches and write it as a PNG."""
    with rc_context(STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a script the font lacks
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        draw(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = Image.fromarray(pixels).convert("RGB")
    with atomic(picture, "wb") as file:
        image.quantize(PALETTE, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)


def lines(axes: Axes, curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> None:
    """A curve for each name, told apart by colour and by dashes."""
    styles = zip(cycle(COLOURS), cycle(DASHES), strict=False)
    for (name, (x, y)), (colour, dashes) in zip(curves.items(), styles, strict=False):
        axes.plot(
            np.asarray(x), np.asarray(y), color=colour, linestyle=dashes, linewidth=1.6, label=name
        )
    axes.grid(alpha=0.3)


def heat(
    axes: Axes,
    values: ArrayLike,
    title: str,
    cmap: str | Colormap = "Greys",
    limits: tuple[float | None, float | None] = (None, None),
    stretch: bool = False,
) -> AxesImage:
    """A matrix as shades, dark for high values. `stretch`: fill the axes instead of squares."""
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(True)
    low, high = limits
    aspect: Literal["auto", "equal"] = "auto" if stretch else "equal"
    return axes.imshow(
        np.asarray(values), cmap, aspect=aspect, interpolation="nearest", vmin=low, vmax=high
    )


def escaped(token: str) -> str:
    """Text in which a dollar sign starts no formula."""
    return token.replace("$", r"\$")


def ticks(axis: Axis, names: Sequence[str], *, rotation: int = 0, fontsize: int = 9) -> None:
    """A name at each of 0, 1, …"""
    labels = [escaped(name) for name in names]
    axis.set_ticks(range(len(names)), labels, rotation=rotation, fontsize=fontsize)
