"""Loss, gradient and one update, worked out by hand for one token and the last matrix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pipeline.explain.figures import BLUE, GREY, heat, lines, ticks
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder

WORDS = ("the", "cat", "sat", "on", "mat", ".")
TEXT = (0, 1, 2, 3, 0)  # the cat sat on the …
TARGET = 4  # … mat
RATE = 0.5
ADAMW_RATE = RATE / 50
EPS = 1e-8  # of AdamW
INPUTS = ("h1", "h2", "h3", "h4")

Row = list[float]
Rows = list[Row]


class ByHand(NamedTuple):
    """The last token of a pass: its logits and loss, and how the head changes."""

    logits: Row
    probabilities: Row
    loss: float
    gradient: Rows  # of the head, one row per word
    updated: Rows

    @property
    def squared_norm(self) -> float:
        """|gradient|²: how fast the loss falls with the learning rate, at first."""
        return sum(g * g for row in self.gradient for g in row)


def by_hand(hidden: Sequence[float], head: Rows, target: int, rate: float) -> ByHand:
    """Softmax, cross-entropy, its gradient for the head, and a step of gradient descent."""
    logits = [sum(w * h for w, h in zip(row, hidden, strict=True)) for row in head]
    total = sum(math.exp(logit) for logit in logits)
    probabilities = [math.exp(logit) / total for logit in logits]
    errors = [p - (word == target) for word, p in enumerate(probabilities)]
    gradient = [[error * h for h in hidden] for error in errors]
    updated = [
        [w - rate * g for w, g in zip(weights, slopes, strict=True)]
        for weights, slopes in zip(head, gradient, strict=True)
    ]
    return ByHand(logits, probabilities, -math.log(probabilities[target]), gradient, updated)


def first_adamw(head: Rows, gradient: Rows, rate: float) -> Rows:
    """AdamW's first step without decay: its bias-corrected means are g and g²."""
    return [
        [w - rate * g / (math.sqrt(g * g) + EPS) for w, g in zip(*rows, strict=True)]
        for rows in zip(head, gradient, strict=True)
    ]


def small_decoder() -> tuple[Decoder, Tensor, Tensor]:
    """A decoder with six words, and x and y of one row in which only the last word is a target."""
    config = ModelConfig(
        vocab_size=len(WORDS), block=8, width=4, layers=1, heads=1, dropout=0.0, tied=False
    )
    decoder = Decoder(config, torch.Generator().manual_seed(3)).eval()
    x = torch.tensor([TEXT])
    y = torch.full_like(x, -1)
    y[0, -1] = TARGET
    with torch.no_grad():
        decoder.unembed_weight.mul_(20)  # so that the probabilities differ visibly
    return decoder, x, y


def lesson(request: Request) -> Lesson:
    """The last word of a sentence."""
    decoder, x, y = small_decoder()
    with torch.no_grad():
        hidden: Row = decoder.hidden(x)[0, -1].tolist()
    head: Rows = decoder.unembed_weight.tolist()
    before = by_hand(hidden, head, TARGET, RATE)
    after = by_hand(hidden, before.updated, TARGET, RATE)
    nats, targets = summed(decoder, x, y)  # the same as training computes it
    (nats / targets).backward()  # type: ignore[no-untyped-call]
    gradient = decoder.unembed_weight.grad
    assert gradient is not None
    largest = float((gradient - torch.tensor(before.gradient, dtype=torch.float64)).abs().max())
    updates = {
        "W": head,
        f"gradient descent, rate {RATE:g}": before.updated,
        f"AdamW's first step, rate {ADAMW_RATE:g}": first_adamw(head, before.gradient, ADAMW_RATE),
    }
    mat_rows = [(name, *(f"{w:.4f}" for w in rows[TARGET])) for name, rows in updates.items()]
    by_word = zip(WORDS, before.gradient, strict=True)
    gradient_rows = [(word, *(f"{g:+.4f}" for g in row)) for word, row in by_word]
    columns = " | ".join(f"× {name}" for name in INPUTS)
    return Lesson(
        "Loss: one word, one gradient, one update",
        (
            'A decoder with six words has read "the cat sat on the"; "mat" follows. Its last layer '
            f"outputs four numbers h = ({', '.join(f'{h:.3f}' for h in hidden)}). The head W has a "
            "row of four numbers for each word; a word's logit is the dot product of row and h.",
            Table.of(
                "Before and after one update",
                "word | logit | probability p | target | p - target | logit after | p after",
                _word_rows(before, after),
            ),
            "The probability is p = exp(logit) / the sum of all exp(logit). The loss is -ln p of "
            f"the word that came: -ln {before.probabilities[TARGET]:.4f} = {before.loss:.4f} nats. "
            f"A uniform guess among six has ln 6 = {math.log(6):.4f}.",
            "The gradient of the loss with respect to a logit is p, minus 1 for the right word: "
            "too high a probability must fall, too low a one must rise. For a weight it is that "
            "error times the number of h that the weight is multiplied with:",
            Table.of("The gradient of W", f"word | {columns}", gradient_rows),
            f"One update with learning rate {RATE:g}: W - {RATE:g} × gradient. The loss falls from "
            f"{before.loss:.4f} to {after.loss:.4f}. Along a straight line it would have fallen by "
            f"rate × |gradient|² = {RATE * before.squared_norm:.4f}; it fell by "
            f"{before.loss - after.loss:.4f}, because the slope flattens on the way.",
            f"The loss function of training gives {nats.item() / targets:.4f}, and torch's "
            f"gradient differs by at most {largest:.0e}, which is rounding. Here only the head "
            "changed; in training, every weight below gets its gradient by the chain rule and is "
            "updated in the same way.",
            "AdamW divides a gradient by its typical size, so its first step moves every weight up "
            "or down by the learning rate itself; later steps are smaller where gradients change "
            "sign. That is why its learning rates are small:",
            Table.of('The row of "mat"', f"| {columns}", mat_rows),
        ),
        lambda figure: _draw(figure, before, after, head, hidden),
        (9.6, 3.6),
        (
            "Cross-entropy after softmax: Goodfellow et al. 2016, Deep Learning, section 6.2.2. "
            "AdamW: Loshchilov and Hutter 2019, arXiv 1711.05101.",
            "Code: pipeline/training/loss.py, optimizer.py.",
        ),
    )


def _word_rows(before: ByHand, after: ByHand) -> Iterator[tuple[object, ...]]:
    pairs = zip(before.logits, before.probabilities, strict=True)
    pairs_after = zip(after.logits, after.probabilities, strict=True)
    for n, ((logit, p), (logit_after, p_after)) in enumerate(zip(pairs, pairs_after, strict=True)):
        target = int(n == TARGET)
        numbers = (f"{logit:.3f}", f"{p:.4f}", target, f"{p - target:+.4f}")
        yield WORDS[n], *numbers, f"{logit_after:.3f}", f"{p_after:.4f}"


def _draw(figure: Figure, before: ByHand, after: ByHand, head: Rows, hidden: Row) -> None:
    bars, matrix, curve = figure.subplots(1, 3)
    x = range(len(WORDS))
    bars.bar([n - 0.2 for n in x], before.probabilities, 0.4, color=GREY, label="before")
    bars.bar([n + 0.2 for n in x], after.probabilities, 0.4, color=BLUE, hatch="//", label="after")
    ticks(bars.xaxis, [f"{w}\n(target)" if n == TARGET else w for n, w in enumerate(WORDS)])
    bars.set_title("probability of the next word")
    bars.legend()
    largest = max(abs(g) for row in before.gradient for g in row)
    image = heat(matrix, before.gradient, "gradient of the head", "RdBu", (-largest, largest))
    figure.colorbar(image, ax=matrix, shrink=0.8)
    for n, row in enumerate(before.gradient):
        for m, g in enumerate(row):
            colour = "w" if abs(g) > 0.6 * largest else "k"
            matrix.text(m, n, f"{g:+.2f}", ha="center", va="center", fontsize=7, color=colour)
    ticks(matrix.yaxis, WORDS)
    ticks(matrix.xaxis, INPUTS)
    rates = [n / 20 for n in range(61)]
    updates = [by_hand(hidden, head, TARGET, rate).updated for rate in rates]
    losses = [by_hand(hidden, updated, TARGET, 0).loss for updated in updates]
    straight = [before.loss - rate * before.squared_norm for rate in rates]
    straight = [loss for loss in straight if loss > 0]
    curves = {
        "loss after one update": (rates, losses),
        "its slope at 0": (rates[: len(straight)], straight),
    }
    lines(curve, curves)
    curve.plot(RATE, after.loss, "o", color=GREY, label="this update")
    curve.set(title="loss against the learning rate", xlabel="learning rate", ylim=(0, None))
    curve.set_ylabel("nats")
    curve.legend()
