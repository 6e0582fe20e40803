"""What norms do: LayerNorm, BatchNorm by a worked table, padding, and unequal scales."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from transformer.config import ModelConfig
from transformer.layers import NORMS

WIDTH = 64
SCALES = ((0.2, 0.0), (1.0, 3.0), (5.0, -10.0), (20.0, 50.0))  # deviation and mean of a token
ROWS = ((1.0, 10.0, 3.0), (2.0, 20.0, 1.0), (3.0, 30.0, 4.0), (4.0, 40.0, 2.0))
PADDED = 4  # rows of zeros below them
UNEQUAL = (1.0, 10.0)  # deviations of two features
SHARES = (1.0, 0.5)  # of each feature in what is fitted
GOOD = 1e-6  # of the first loss


def norm(kind: str, width: int) -> nn.Module:
    """A norm of the decoder, new: gamma 1, beta 0, in training."""
    shape = {"vocab_size": 2, "width": width, "heads": 1, "position": "none"}
    chosen = {"norm": kind, "bias": True, "laboratory": True}
    return NORMS[kind](ModelConfig.from_dict(shape | chosen))


@torch.no_grad()
def normed(kind: str, x: Tensor) -> Tensor:
    """x (N, C) after a new norm."""
    y: Tensor = norm(kind, x.size(-1))(x)
    return y


def tokens() -> Tensor:
    """Four tokens of unlike size, (4, WIDTH)."""
    drawn = torch.randn(len(SCALES), WIDTH, generator=torch.Generator().manual_seed(0))
    table = torch.tensor(SCALES)
    return drawn * table[:, :1] + table[:, 1:]


class WithPadding(NamedTuple):
    """The rows of the worked table after both norms, alone and with rows of padding below."""

    batch: Tensor
    batch_padded: Tensor
    layer: Tensor
    layer_padded: Tensor


def with_padding() -> WithPadding:
    """What padded rows do to the real ones."""
    rows = torch.tensor(ROWS)
    more = torch.cat((rows, torch.zeros(PADDED, rows.size(1))))
    return WithPadding(
        *(normed(kind, x)[: len(rows)] for kind in ("batch", "layer") for x in (rows, more))
    )


def descent(features: Tensor, wanted: Tensor) -> list[float]:
    """The loss of a line fitted by gradient descent, step by step until it is `GOOD`.

    The rate is 1 / the largest curvature: of all rates that do not swing, the quickest.
    """
    curvature = features.T @ features / len(features)
    rate = 1 / torch.linalg.eigvalsh(curvature)[-1]
    weights = torch.zeros(features.size(1), dtype=features.dtype)
    losses = [wanted.square().mean().item() / 2]
    while losses[-1] > GOOD * losses[0]:
        error = features @ weights - wanted
        weights = weights - rate * (features.T @ error) / len(features)
        losses.append((features @ weights - wanted).square().mean().item() / 2)
    return losses


def descents() -> dict[str, list[float]]:
    """Two features of unequal scale, as they are and after BatchNorm."""
    drawn = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = (drawn - drawn.mean(0)) / drawn.std(0, correction=0)
    scaled = drawn * torch.tensor(UNEQUAL)
    wanted = drawn @ torch.tensor(SHARES, dtype=torch.float64)
    even = normed("batch", scaled.float()).double()
    wanted_even = even @ torch.tensor(SHARES, dtype=torch.float64)
    return {
        f"scales {UNEQUAL[0]:g} and {UNEQUAL[1]:g}": descent(scaled, wanted),
        "after BatchNorm": descent(even, wanted_even),
    }


def explain(asked: Asked) -> Lesson:
    """Four small experiments."""
    before = tokens()
    after = normed("layer", before)
    squares = normed("rms", before).square().mean(1)
    padding, fitted = with_padding(), descents()
    raw, even = (len(losses) - 1 for losses in fitted.values())
    return Lesson(
        "Normalization: keeping numbers at one scale",
        (
            "1. LayerNorm takes each token by itself: less its mean, over its deviation, times "
            "gamma plus beta (1 and 0 at the beginning, then learned).",
            _spread(before, after),
            "RMSNorm leaves the mean alone and divides by the root mean square, which costs less "
            f"and does as well. Mean squares after it: {_numbers(squares, ', ')}.",
            "2. BatchNorm takes each feature over all rows of the batch. With gamma 1 and beta 0:",
            _worked(),
            f"3. Padding. {PADDED} rows of zeros below these four change every mean and deviation "
            "of BatchNorm, and so all real rows, though nothing was added to the text. LayerNorm "
            "looks at one row only:",
            _compared(padding),
            "That is one reason why decoders use LayerNorm or RMSNorm. Two others: BatchNorm lets "
            "a token see later ones through the mean, and needs running means when it talks to "
            "one person only. This project refuses it outside of its laboratory.",
            "4. Unequal scales. A line fitted by gradient descent can go no faster than the "
            f"steepest feature allows. With scales 1 and 10 the curvatures are 1 and 100, and it "
            f"takes {raw:,} steps to bring the loss to a millionth; after BatchNorm {even:,}.",
        ),
        lambda figure: _draw(figure, before, after, padding, fitted),
        (9.4, 6.2),
        (
            "LayerNorm: Ba et al. 2016, arXiv 1607.06450. BatchNorm: Ioffe and Szegedy 2015, "
            "arXiv 1502.03167. RMSNorm: Zhang and Sennrich 2019, arXiv 1910.07467. Scales and "
            "descent: LeCun et al. 1998, Efficient BackProp, section 4.3.",
            "Code: transformer/layers.py.",
        ),
    )


def _numbers(values: Tensor, between: str = " ") -> str:
    return between.join(f"{v:.2f}" for v in values.tolist())


def _spread(before: Tensor, after: Tensor) -> Table:
    columns = "token | mean before | variance before | mean after | variance after"
    rows = (
        (
            n,
            f"{x.mean():.2f}",
            f"{x.var(correction=0):.2f}",
            f"{abs(y.mean()):.4f}",
            f"{y.var(correction=0):.4f}",
        )
        for n, (x, y) in enumerate(zip(before, after, strict=True), 1)
    )
    return Table.of(f"LayerNorm on tokens of {WIDTH} numbers", columns, rows)


def _worked() -> Table:
    x = torch.tensor(ROWS)
    y = normed("batch", x)
    lines = [
        (f"row {n}", *(f"{v:g}" for v in raw), *(f"{v:.3f}" for v in new))
        for n, (raw, new) in enumerate(zip(x.tolist(), y.tolist(), strict=True), 1)
    ]
    both = torch.cat((x, y), dim=1)
    for name, values in (("mean", both.mean(0).abs()), ("variance", both.var(0, correction=0))):
        lines.append((name, *(f"{v:.2f}" for v in values.tolist())))
    return Table.of("BatchNorm on four rows of three features", "| a | b | c | a' | b' | c'", lines)


def _compared(found: WithPadding) -> Table:
    columns = "| BatchNorm alone | with padding | LayerNorm alone | with padding"
    rows = ((f"row {n + 1}", *(_numbers(x[n]) for x in found)) for n in range(len(ROWS)))
    return Table.of("The four real rows", columns, rows)


def _draw(
    figure: Any,
    before: Tensor,
    after: Tensor,
    padding: WithPadding,
    fitted: dict[str, list[float]],
) -> None:
    from pipeline.explain.plots import BLUE, GREY, lines

    (top, top_right), (low, low_right) = figure.subplots(2, 2)
    names = [f"token {n}" for n in range(1, len(SCALES) + 1)]
    for axes, values, title in (
        (top, before, "before LayerNorm"),
        (top_right, after, "after: mean 0, variance 1"),
    ):
        axes.boxplot(values.T.numpy(), tick_labels=names, widths=0.5, flierprops={"markersize": 3})
        axes.set_title(title)
        axes.grid(axis="y", alpha=0.3)
    at = range(len(ROWS))
    pairs = ((padding.batch, padding.batch_padded), (padding.layer, padding.layer_padded))
    for start, (alone, padded) in zip((0, len(ROWS) + 1), pairs, strict=True):
        low.bar([start + n - 0.2 for n in at], alone[:, 0].tolist(), 0.4, color=GREY)
        low.bar([start + n + 0.2 for n in at], padded[:, 0].tolist(), 0.4, color=BLUE, hatch="//")
    low.legend(["alone", f"with {PADDED} padded rows"], loc="upper left")
    low.axhline(0, color="k", linewidth=0.7)
    low.set_xticks([1.5, 6.5], ["BatchNorm, rows 1 to 4", "LayerNorm, rows 1 to 4"])
    low.set_title("padding: feature a of the same four rows")
    low.set_ylim(-1.7, 2.2)
    lines(low_right, {name: (range(len(y)), y) for name, y in fitted.items()})
    low_right.set(title="descent on two features", xlabel="step", ylabel="loss", yscale="log")
    low_right.legend()
