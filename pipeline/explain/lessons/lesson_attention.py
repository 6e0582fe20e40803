"""Where the heads of a trained model look."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pipeline.explain.decoder_hooks import attention_maps
from pipeline.explain.figures import heat, ticks
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.explain.tiny_model import load_model

SENTENCE = "the soup is good"
MAX_SHOWN = 8  # layers, and heads of each


def habits(weights: Tensor) -> list[float]:
    """The mean weight a head (T, T) gives to the token itself, to the one before, to the first
    one and to the others; from the third token on, where these are different tokens.
    """
    rows = torch.arange(2, len(weights))
    shares = [weights[rows, columns].mean().item() for columns in (rows, rows - 1, 0)]
    return [*shares, 1 - sum(shares)]


def lesson(request: Request) -> Lesson:
    """A map for each head, and the habits of each as a table."""
    model = load_model(request.workspace)
    ids = model.encode((request.texts or (SENTENCE,))[0])
    maps = [layer[0, :MAX_SHOWN] for layer in attention_maps(model.decoder, torch.tensor([ids]))]
    maps = maps[:MAX_SHOWN]
    heads = {
        f"layer {n}, head {h}": head
        for n, layer in enumerate(maps, 1)
        for h, head in enumerate(layer, 1)
    }
    names = model.names(ids)
    title, rows = "Mean weights need three tokens", []
    if len(ids) >= 3:
        title = "Mean weights from the third token on"
        rows = [(name, *(f"{w:.0%}" for w in habits(head))) for name, head in heads.items()]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(maps), len(maps[0]), squeeze=False, sharex=True, sharey=True)
        for axes, (name, head) in zip(panels.flat, heads.items(), strict=True):
            image = heat(axes, head, name, limits=(0, 1))
            ticks(axes.xaxis, names, rotation=90, fontsize=8)
            ticks(axes.yaxis, names, fontsize=8)
        figure.colorbar(image, ax=panels, label="attention weight", shrink=0.7, aspect=30)
        figure.supxlabel("token looked at")
        figure.supylabel("token that looks")

    return Lesson(
        "Attention: where a trained model looks",
        (
            model.origin,
            "For each token, a head asks a question (its query), compares it with what every "
            "earlier token offers (their keys), and turns the scores q·k / √D into weights that "
            "sum to 1. A row of the map says where one token looks; what it gets from there are "
            "the values, mixed with these weights.",
            Table.of(title, "head | itself | the one before | the first | others", rows),
            "In the first row all weight is on the token itself: there is nothing else to see. "
            "Looking at the token before is the simplest useful habit, since pairs of tokens say "
            "most in a small text. In large models many heads rest on the first token when they "
            "have nothing to say.",
            "A map says where a head looked, not why, and not how much it mattered: the values "
            "found there may be small.",
        ),
        draw,
        (2.35 * len(maps[0]) + 0.6, 2.35 * len(maps) + 0.7),
        (
            "Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1. Resting on the first token: "
            "Xiao et al. 2023, arXiv 2309.17453.",
            "Code: transformer/attention.py, scores.py; the maps are read by "
            "pipeline/explain/decoder_hooks.py.",
        ),
    )
