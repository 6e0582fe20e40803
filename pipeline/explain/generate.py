"""One token after another: the five likeliest at each step, untrained beside trained."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.explain.tiny import Trained, trained, untrained
from transformer.decoder import Decoder

PROMPT = "Good morn"
STEPS = 5
SHOWN = 5

Likeliest = list[tuple[int, float]]  # ids and their shares, the largest first


class Step(NamedTuple):
    """What both models hold likely after the same ids; the trained one's first is taken."""

    before: list[int]
    untrained: Likeliest
    trained: Likeliest


@torch.no_grad()
def likeliest(decoder: Decoder, ids: list[int]) -> Likeliest:
    """The next ids that a decoder holds likeliest."""
    shares = decoder(torch.tensor([ids]))[0, -1].float().softmax(-1)
    top = shares.topk(min(SHOWN, len(shares)))
    return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))


def steps(model: Trained, ids: list[int]) -> list[Step]:
    """Five steps; the chosen id joins the context of the next."""
    beginner = untrained(model.decoder.config)
    found = []
    for _ in range(STEPS):
        context = ids[-model.decoder.config.block :]
        found.append(Step(ids, likeliest(beginner, context), likeliest(model.decoder, context)))
        ids = [*ids, found[-1].trained[0][0]]
    return found


def _row(model: Trained, number: int, step: Step) -> tuple[str, ...]:
    def told(found: Likeliest) -> str:
        names = model.names([i for i, _ in found])
        return ", ".join(f"{n} {s:.1%}" for n, (_, s) in zip(names, found, strict=True))

    return str(number), model.names(step.before)[-1], told(step.untrained), told(step.trained)


def explain(asked: Asked) -> Lesson:
    """The five steps as a table and as bars."""
    model = trained(asked.workspace)
    prompt = (asked.texts or (PROMPT,))[0]
    found = steps(model, model.encode(prompt))
    size = model.decoder.config.vocab_size
    whole = model.tokenizer.decode([*found[-1].before, found[-1].trained[0][0]])
    return Lesson(
        f"Generate: what follows {prompt!r}",
        (
            model.told,
            "A decoder gives a number (a logit) for each token of its vocabulary. Softmax turns "
            "them into shares that sum to 1. One token is chosen by these shares, put behind the "
            "text, and everything begins again with the longer text.",
            Table.of(
                "The five likeliest next tokens",
                "step | after | untrained | trained",
                (_row(model, n, step) for n, step in enumerate(found, 1)),
                left=4,
            ),
            f"Untrained, all {size:,} tokens are about equally likely: 1 / {size:,} = "
            f"{1 / size:.2%}, a loss of ln {size:,} = {math.log(size):.2f} nats. (The token "
            "just read is a little ahead: where the head is tied, its row is the embedding that "
            "went in.) Training raises the share of what did follow, and so lowers all others.",
            "Here the likeliest token is taken each time (temperature 0), which in time goes in "
            "circles. A chat draws by the shares instead: a temperature below 1 favours the "
            "likely ones, above 1 it evens them out; top-k, top-p and min-p cut the tail off.",
            f"The text after {STEPS} steps: {whole!r}",
        ),
        lambda figure: _draw(figure, model, found),
        (7.6, 7.4),
        (
            "Drawing from the top p: Holtzman et al. 2019, arXiv 1904.09751; min-p: Nguyen et al. "
            "2024, arXiv 2407.01082.",
            "Code: transformer/generate.py.",
        ),
    )


def _draw(figure: Any, model: Trained, found: list[Step]) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    from pipeline.explain.plots import BLUE, GREY, ticks

    panels = figure.subplots(len(found), 2, sharex="col")
    panels[0, 0].set_title("untrained (mind the scale)")
    panels[0, 1].set_title("trained: the first is taken")
    for number, (step, row) in enumerate(zip(found, panels, strict=True), 1):
        for axes, likely, colour in zip(
            row, (step.untrained, step.trained), (GREY, BLUE), strict=True
        ):
            axes.barh(range(len(likely)), [share for _, share in likely], color=colour)
            ticks(axes.yaxis, model.names([i for i, _ in likely]))
            axes.invert_yaxis()
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(PercentFormatter(1))
        row[0].set_ylabel(f"step {number}", rotation=0, ha="right", va="center")
    figure.supxlabel("share of the next token")
