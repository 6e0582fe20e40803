"""The picture of `tokenizer --compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.common.files import atomic

if TYPE_CHECKING:
    from pipeline.cli.tokenizer_figures import Row

BLUE, GREY = "tab:blue", "0.45"


def draw_vocabulary(rows: Sequence[Row], picture: Path) -> None:
    """Tokens per word, and the embedding's share, against the size of the vocabulary; as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(10.5, 4.5), layout=ConstrainedLayoutEngine(wspace=0.05))
    FigureCanvasAgg(figure)
    lengths, shares = figure.subplots(1, 2)
    _draw(lengths, rows, [row.tokens_per_word for row in rows])
    _draw(shares, rows, [100 * row.embedding for row in rows])
    for row in rows:
        below = -14 if row.level == "words" else 7
        place, note = (row.size, row.tokens_per_word), f"{row.bytes_per_token:.1f}"
        lengths.annotate(note, place, (6, below), textcoords="offset points", color=GREY)
    words = rows[0].tokens / rows[0].tokens_per_word
    whole = lengths.secondary_yaxis("right", functions=(lambda y: y * words, lambda n: n / words))
    whole.set_ylabel("tokens in the text")
    whole.yaxis.set_major_formatter(lambda tokens, _: f"{tokens:,.0f}")
    title = "Length of the text (at each point: bytes per token)"
    lengths.set(title=title, ylabel="tokens per word", ylim=(0, None))
    shares.set(
        title="Cost in the decoder",
        ylabel="embedding, % of the decoder's parameters",
        ylim=(0, 100),
    )
    shares.legend(frameon=False, fontsize=8)
    with atomic(picture, "wb") as file:
        figure.savefig(file, format="png", dpi=110)


def _draw(axes: Any, rows: Sequence[Row], heights: Sequence[float]) -> None:
    """One panel: byte pair encoding as a line, letters and words as points of their own."""
    pairs = [n for n, row in enumerate(rows) if row.level == "byte pairs"]
    sizes = [row.size for row in rows]
    axes.plot(
        [sizes[n] for n in pairs], [heights[n] for n in pairs], "o-", color=BLUE, label="byte pairs"
    )
    for n, row in enumerate(rows):
        if row.picked:
            style = {"markersize": 13, "markerfacecolor": "none", "color": "tab:red"}
            axes.plot(row.size, heights[n], "o", label="picked by auto", **style)
        if row.level != "byte pairs":
            marker = {"letters": "s", "words": "D"}[row.level]
            axes.plot(row.size, heights[n], marker, color=GREY, label=row.level)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    axes.tick_params(axis="x", labelrotation=30)
    axes.set_xlabel("tokens in the vocabulary")
    axes.margins(x=0.12, y=0.15)
    axes.grid(alpha=0.3)
