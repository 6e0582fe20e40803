"""Where the heads of a trained model look."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.explain.tiny import trained
from pipeline.explain.watch import maps

SENTENCE = "the soup is good"
MOST = 8  # layers, and heads of each, that are shown


def habits(map_: Tensor) -> dict[str, float]:
    """How much of its look a head (T, T) gives to itself, the token before, and the first one.

    From the third token on, where these are three different tokens.
    """
    rows = torch.arange(2, len(map_))
    near = {"itself": rows, "the one before": rows - 1, "the first": torch.zeros_like(rows)}
    shares = {name: map_[rows, at].mean().item() for name, at in near.items()}
    return shares | {"others": 1 - sum(shares.values())}


def explain(asked: Asked) -> Lesson:
    """A map for each head, and the habits of each as a table."""
    model = trained(asked.workspace)
    ids = model.encode((asked.texts or (SENTENCE,))[0])
    names = model.names(ids)
    layers = [layer[0] for layer in maps(model.decoder, torch.tensor([ids]))]
    heads = [
        (f"layer {n}, head {h}", head)
        for n, layer in enumerate(layers[:MOST], 1)
        for h, head in enumerate(layer[:MOST], 1)
    ]
    config = model.decoder.config
    return Lesson(
        "Attention: where a trained model looks",
        (
            model.told,
            "For each token a head asks a question (its query), compares it with what every "
            "earlier token offers (their keys), and turns the scores q·k / √D into shares that "
            "sum to 1. The row of a map says where one token looks; what it takes from there are "
            "the values, mixed by these shares.",
            _table(heads),
            "In the first row everything goes to the token itself: there is nothing else to see. "
            "A share on the token before is the simplest useful habit, since pairs of tokens tell "
            "most in a small text. In large models many heads rest on the first token when they "
            "have nothing to say.",
            "A map says where a head looked, not why, and not how much it mattered: the values "
            "that were fetched may be small.",
        ),
        lambda figure: _draw(figure, layers, names),
        (2.35 * min(config.heads, MOST) + 0.6, 2.35 * min(config.layers, MOST) + 0.7),
        (
            "Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1. Resting on the first token: "
            "Xiao et al. 2023, arXiv 2309.17453.",
            "Code: transformer/attention.py, softmax.py; the maps are read by "
            "pipeline/explain/watch.py.",
        ),
    )


def _table(heads: list[tuple[str, Tensor]]) -> Table:
    title = "Mean shares from the third token on"
    columns = "head | itself | the one before | the first | others"
    if len(heads[0][1]) < 3:
        return Table.of("Mean shares need three tokens", columns, ())
    rows = ((name, *(f"{s:.0%}" for s in habits(head).values())) for name, head in heads)
    return Table.of(title, columns, rows)


def _draw(figure: Any, layers: list[Tensor], names: list[str]) -> None:
    from pipeline.explain.plots import heat, ticks

    down, across = min(len(layers), MOST), min(len(layers[0]), MOST)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for n, row in enumerate(panels):
        for h, axes in enumerate(row):
            shown = heat(axes, layers[n][h], f"layer {n + 1}, head {h + 1}", vmin=0, vmax=1)
            ticks(axes.xaxis, names, rotation=90, fontsize=8)
            ticks(axes.yaxis, names, fontsize=8)
    figure.colorbar(shown, ax=panels, label="share", shrink=0.7, aspect=30)
    figure.supxlabel("is looked at")
    figure.supylabel("looks")
