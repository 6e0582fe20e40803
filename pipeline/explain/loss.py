"""Loss, gradient and one update, worked out by hand for one token and the last matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder

WORDS = ("the", "cat", "sat", "on", "mat", ".")
TEXT = (0, 1, 2, 3, 0)  # the cat sat on the …
TARGET = 4  # … mat
RATE = 0.5
EPS = 1e-8  # of AdamW

Row = list[float]
Rows = list[Row]


class ByHand(NamedTuple):
    """The last token of a pass: what went in, what came out, and how the head changes."""

    logits: Row
    shares: Row
    loss: float
    gradient: Rows  # of the head, a row a word
    updated: Rows


def by_hand(hidden: Sequence[float], head: Rows, target: int, rate: float) -> ByHand:
    """Softmax, cross-entropy, its gradient for the head, and a step of gradient descent."""
    logits = [sum(w * h for w, h in zip(row, hidden, strict=True)) for row in head]
    whole = sum(math.exp(logit) for logit in logits)
    shares = [math.exp(logit) / whole for logit in logits]
    errors = [share - (word == target) for word, share in enumerate(shares)]
    gradient = [[error * h for h in hidden] for error in errors]
    updated = [
        [w - rate * g for w, g in zip(weights, slopes, strict=True)]
        for weights, slopes in zip(head, gradient, strict=True)
    ]
    return ByHand(logits, shares, -math.log(shares[target]), gradient, updated)


def first_adamw(head: Rows, gradient: Rows, rate: float) -> Rows:
    """AdamW's first step without decay: its two means, corrected for their start, are g and g²."""
    return [
        [w - rate * g / (math.sqrt(g * g) + EPS) for w, g in zip(*rows, strict=True)]
        for rows in zip(head, gradient, strict=True)
    ]


def small_decoder() -> tuple[Decoder, Tensor, Tensor]:
    """A decoder of six words, and x and y of one row: only the last word is to be learned."""
    config = ModelConfig(
        vocab_size=len(WORDS), block=8, width=4, layers=1, heads=1, dropout=0.0, tied=False
    )
    decoder = Decoder(config, torch.Generator().manual_seed(3)).eval()
    x = torch.tensor([TEXT])
    y = torch.full_like(x, -1)
    y[0, -1] = TARGET
    with torch.no_grad():
        decoder.unembed_weight.mul_(20)  # so that the shares differ enough to be seen
    return decoder, x, y


def automatic(decoder: Decoder, x: Tensor, y: Tensor) -> tuple[float, Rows]:
    """The loss of training and the gradient of the head, as torch has them."""
    nats, targets = summed(decoder, x, y)
    (nats / targets).backward()  # type: ignore[no-untyped-call]
    assert decoder.unembed_weight.grad is not None
    return nats.item() / targets, decoder.unembed_weight.grad.tolist()


def explain(asked: Asked) -> Lesson:
    """The last word of a sentence."""
    decoder, x, y = small_decoder()
    with torch.no_grad():
        hidden: Row = decoder.hidden(x)[0, -1].tolist()
    head: Rows = decoder.unembed_weight.tolist()
    before = by_hand(hidden, head, TARGET, RATE)
    after = by_hand(hidden, before.updated, TARGET, RATE)
    loss, gradient = automatic(decoder, x, y)
    slope = sum(g * g for row in before.gradient for g in row)
    furthest = max(
        abs(a - b)
        for rows in zip(gradient, before.gradient, strict=True)
        for a, b in zip(*rows, strict=True)
    )
    return Lesson(
        "Loss: one word, one gradient, one update",
        (
            'A decoder of six words has read "the cat sat on the"; "mat" follows. Its last layer '
            f"gives four numbers h = ({', '.join(f'{h:.3f}' for h in hidden)}). The head W has a "
            "row of four for each word, and a logit is the row times h, summed.",
            _words(before, after),
            "The share is p = exp(logit) / the sum of all exp(logit). The loss is -ln p of the "
            f"word that came: -ln {before.shares[TARGET]:.4f} = {before.loss:.4f} nats. A blind "
            f"guess among six would be ln 6 = {math.log(6):.4f}.",
            "The gradient of the loss for a logit is p, less 1 at the right word: what is too "
            "high must fall, what is too low must rise. For a weight it is that error times the "
            "number of h it was multiplied with:",
            _matrix(before.gradient),
            f"One update at rate {RATE:g}: W - {RATE:g} × gradient. The loss falls from "
            f"{before.loss:.4f} to {after.loss:.4f}. Along a straight line it would have fallen "
            f"by rate × |gradient|² = {RATE * slope:.4f}; it fell by "
            f"{before.loss - after.loss:.4f}, since the slope gets smaller on the way.",
            f"The loss that training uses gives {loss:.4f}, and torch's gradient differs "
            f"by at most {furthest:.0e}: rounding, no more. Here only the head changed; in "
            "training every weight below gets its gradient by the chain rule, and moves likewise.",
            "AdamW divides a gradient by its usual size, so its first step moves every weight by "
            "the rate itself, up or down; later ones are smaller where gradients change sign. "
            "Hence its rates are small:",
            _ways(head, before),
        ),
        lambda figure: _draw(figure, before, after, head, hidden),
        (9.6, 3.6),
        (
            "Cross-entropy after softmax: Goodfellow et al. 2016, Deep Learning, section 6.2.2. "
            "AdamW: Loshchilov and Hutter 2019, arXiv 1711.05101.",
            "Code: pipeline/training/loss.py, optimizer.py.",
        ),
    )


def _words(before: ByHand, after: ByHand) -> Table:
    return Table.of(
        "Before and after one update",
        "word | logit | share p | wanted | p - wanted | logit after | p after",
        (
            (
                word,
                f"{before.logits[n]:.3f}",
                f"{before.shares[n]:.4f}",
                int(n == TARGET),
                f"{before.shares[n] - (n == TARGET):+.4f}",
                f"{after.logits[n]:.3f}",
                f"{after.shares[n]:.4f}",
            )
            for n, word in enumerate(WORDS)
        ),
    )


def _matrix(rows: Rows) -> Table:
    return Table.of(
        "The gradient of W",
        "word | × h1 | × h2 | × h3 | × h4",
        ((word, *(f"{g:+.4f}" for g in row)) for word, row in zip(WORDS, rows, strict=True)),
    )


def _ways(head: Rows, before: ByHand) -> Table:
    small = RATE / 50
    ways = {
        "W": head,
        f"gradient descent, rate {RATE:g}": before.updated,
        f"AdamW's first step, rate {small:g}": first_adamw(head, before.gradient, small),
    }
    rows = ((name, *(f"{w:.4f}" for w in rows[TARGET])) for name, rows in ways.items())
    return Table.of('The row of "mat"', "| × h1 | × h2 | × h3 | × h4", rows)


def _draw(figure: Any, before: ByHand, after: ByHand, head: Rows, hidden: Row) -> None:
    from pipeline.explain.plots import BLUE, GREY, heat, lines, ticks

    bars, matrix, curve = figure.subplots(1, 3)
    at = range(len(WORDS))
    bars.bar([n - 0.2 for n in at], before.shares, 0.4, color=GREY, label="before")
    bars.bar([n + 0.2 for n in at], after.shares, 0.4, color=BLUE, hatch="//", label="after")
    ticks(bars.xaxis, [f"{w}\n(came)" if n == TARGET else w for n, w in enumerate(WORDS)])
    bars.set_title("shares of the next word")
    bars.legend()
    most = max(abs(g) for row in before.gradient for g in row)
    shown = heat(
        matrix, before.gradient, "gradient of the head", vmin=-most, vmax=most, cmap="RdBu"
    )
    figure.colorbar(shown, ax=matrix, shrink=0.8)
    for n, row in enumerate(before.gradient):
        for m, g in enumerate(row):
            dark = abs(g) > 0.6 * most
            matrix.text(
                m, n, f"{g:+.2f}", ha="center", va="center", fontsize=7, color="w" if dark else "k"
            )
    ticks(matrix.yaxis, WORDS)
    ticks(matrix.xaxis, ["h1", "h2", "h3", "h4"])
    rates = [n / 20 for n in range(61)]
    losses = [
        by_hand(hidden, by_hand(hidden, head, TARGET, rate).updated, TARGET, 0).loss
        for rate in rates
    ]
    slope = sum(g * g for row in before.gradient for g in row)
    straight = [before.loss - rate * slope for rate in rates if rate * slope < before.loss]
    lines(
        curve,
        {
            "loss after one update": (rates, losses),
            "its slope at 0": (rates[: len(straight)], straight),
        },
    )
    curve.plot(RATE, after.loss, "o", color=GREY, label="this update")
    curve.set(title="loss against the rate", xlabel="rate", ylabel="nats", ylim=(0, None))
    curve.legend()
