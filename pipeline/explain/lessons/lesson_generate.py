"""One token after another: the five most likely at each step, untrained and trained."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.explain.figures import BLUE, GREY, ticks
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.explain.tiny_model import TrainedModel, load_model, untrained
from transformer.decoder import Decoder

PROMPT = "Good morn"
STEPS = 5
SHOWN = 5

Ranked = list[tuple[int, float]]  # ids and their probabilities, highest first


class Step(NamedTuple):
    """What both models predict after the same ids; the trained model's first choice is appended."""

    context: list[int]
    untrained: Ranked
    trained: Ranked


@torch.no_grad()
def most_likely(decoder: Decoder, ids: list[int]) -> Ranked:
    """The most likely next ids."""
    probabilities = decoder(torch.tensor([ids]))[0, -1].float().softmax(-1)
    top = probabilities.topk(min(SHOWN, len(probabilities)))
    return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))


def generate(model: TrainedModel, ids: list[int]) -> list[Step]:
    """Five steps; each chosen id joins the context of the next."""
    beginner = untrained(model.decoder.config)
    steps = []
    for _ in range(STEPS):
        context = ids[-model.decoder.config.block :]
        best = most_likely(model.decoder, context)
        steps.append(Step(ids, most_likely(beginner, context), best))
        ids = [*ids, best[0][0]]
    return steps


def lesson(request: Request) -> Lesson:
    """The five steps as a table and as bars."""
    model = load_model(request.workspace)
    prompt = (request.texts or (PROMPT,))[0]
    steps = generate(model, model.encode(prompt))
    size = model.decoder.config.vocab_size
    whole = model.tokenizer.decode([*steps[-1].context, steps[-1].trained[0][0]])

    def listed(ranked: Ranked) -> str:
        names = model.names([i for i, _ in ranked])
        return ", ".join(f"{name} {p:.1%}" for name, (_, p) in zip(names, ranked, strict=True))

    columns = "step | after | untrained | trained"
    rows = [
        (n, model.names(step.context)[-1], listed(step.untrained), listed(step.trained))
        for n, step in enumerate(steps, 1)
    ]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(steps), 2, sharex="col")
        panels[0, 0].set_title("untrained (mind the scale)")
        panels[0, 1].set_title("trained: the first is chosen")
        for number, (step, row) in enumerate(zip(steps, panels, strict=True), 1):
            both = (step.untrained, step.trained)
            for axes, ranked, colour in zip(row, both, (GREY, BLUE), strict=True):
                axes.barh(range(len(ranked)), [p for _, p in ranked], color=colour)
                ticks(axes.yaxis, model.names([i for i, _ in ranked]))
                axes.invert_yaxis()
                axes.xaxis.set_major_locator(MaxNLocator(4))
                axes.xaxis.set_major_formatter(PercentFormatter(1))
            row[0].set_ylabel(f"step {number}", rotation=0, ha="right", va="center")
        figure.supxlabel("probability of the next token")

    return Lesson(
        f"Generate: what follows {prompt!r}",
        (
            model.origin,
            "A decoder computes a number (a logit) for each token of its vocabulary. Softmax turns "
            "the logits into probabilities that sum to 1. One token is chosen by these "
            "probabilities and appended to the text, and everything starts again with the longer "
            "text.",
            Table.of("The five most likely next tokens", columns, rows, left=4),
            f"Before training, all {size:,} tokens are about equally likely: 1 / {size:,} = "
            f"{1 / size:.2%}, a loss of ln {size:,} = {math.log(size):.2f} nats. (The token "
            "just read is slightly ahead: where the head is tied, its row in the head is the "
            "embedding that went in.) Training raises the probability of what did follow, and "
            "thereby lowers all others.",
            "Here the most likely token is always chosen (temperature 0), which sooner or later "
            "goes in circles. A chat samples from the probabilities instead: a temperature below 1 "
            "favours the likely tokens, one above 1 evens them out; top-k, top-p and min-p cut off "
            "the tail.",
            f"The text after {STEPS} steps: {whole!r}",
        ),
        draw,
        (7.6, 7.4),
        (
            "Top-p sampling: Holtzman et al. 2019, arXiv 1904.09751; min-p: Nguyen et al. 2024, "
            "arXiv 2407.01082.",
            "Code: transformer/generate.py, sampling.py.",
        ),
    )
