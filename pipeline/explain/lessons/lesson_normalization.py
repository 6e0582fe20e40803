"""What norms do: LayerNorm, BatchNorm by a worked table, padding, and features of unequal scale."""

from __future__ import annotations

from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pipeline.explain.figures import BLUE, GREY, lines
from pipeline.explain.lesson import Lesson, Request, Table
from transformer.config import ModelConfig
from transformer.layers import NORMS

WIDTH = 64
SCALES = ((0.2, 0.0), (1.0, 3.0), (5.0, -10.0), (20.0, 50.0))  # deviation and mean of a token
ROWS = ((1.0, 10.0, 3.0), (2.0, 20.0, 1.0), (3.0, 30.0, 4.0), (4.0, 40.0, 2.0))
PADDED = 4  # rows of zeros below them
UNEQUAL = (1.0, 10.0)  # deviations of two features
WEIGHTS = (1.0, 0.5)  # of each feature in the line that is fitted
CONVERGED = 1e-6  # of the first loss


@torch.no_grad()
def normed(kind: str, x: Tensor) -> Tensor:
    """x (N, C) after a new norm (gamma 1, beta 0) of the decoder, in training mode."""
    shape = {"vocab_size": 2, "width": x.size(-1), "heads": 1, "position": "none"}
    settings = {"norm": kind, "bias": True, "laboratory": True}
    y: Tensor = NORMS[kind](ModelConfig.from_dict(shape | settings))(x)
    return y


def tokens() -> Tensor:
    """Four tokens of different scale, (4, WIDTH)."""
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
    longer = torch.cat((rows, torch.zeros(PADDED, rows.size(1))))
    return WithPadding(
        *(normed(kind, x)[: len(rows)] for kind in ("batch", "layer") for x in (rows, longer))
    )


def descent(features: Tensor, chosen: Tensor) -> list[float]:
    """The loss at each step of fitting a line by gradient descent, until it has `CONVERGED`.

    The learning rate is 1 / the largest curvature, the fastest that does not oscillate.
    """
    curvature = features.T @ features / len(features)
    rate = 1 / torch.linalg.eigvalsh(curvature)[-1]
    weights = torch.zeros(features.size(1), dtype=features.dtype)
    losses = [chosen.square().mean().item() / 2]
    while losses[-1] > CONVERGED * losses[0]:
        error = features @ weights - chosen
        weights = weights - rate * (features.T @ error) / len(features)
        losses.append((features @ weights - chosen).square().mean().item() / 2)
    return losses


def descents() -> dict[str, list[float]]:
    """Descent on two features of unequal scale, as they are and after BatchNorm."""
    drawn = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = (drawn - drawn.mean(0)) / drawn.std(0, correction=0)
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    scaled = drawn * torch.tensor(UNEQUAL)
    even = normed("batch", scaled.float()).double()
    return {
        f"scales {UNEQUAL[0]:g} and {UNEQUAL[1]:g}": descent(scaled, drawn @ weights),
        "after BatchNorm": descent(even, even @ weights),
    }


def lesson(request: Request) -> Lesson:
    """Four small experiments."""
    before = tokens()
    after = normed("layer", before)
    squares = normed("rms", before).square().mean(1)
    padding, fitted = with_padding(), descents()
    raw, even = (len(losses) - 1 for losses in fitted.values())
    worked = torch.cat((torch.tensor(ROWS), padding.batch), dim=1)

    def numbers(values: Tensor, separator: str = " ") -> str:
        return separator.join(f"{v:.2f}" for v in values.tolist())

    moments = torch.stack([m for x in (before, after) for m in torch.var_mean(x, 1, correction=0)])
    layer_rows = [
        (n, f"{mean:.2f}", f"{variance:.2f}", f"{abs(mean_after):.4f}", f"{variance_after:.4f}")
        for n, (variance, mean, variance_after, mean_after) in enumerate(moments.T.tolist(), 1)
    ]
    batch_rows = [
        (f"row {n}", *(f"{v:g}" for v in x), *(f"{v:.3f}" for v in y))
        for n, (x, y) in enumerate(zip(ROWS, padding.batch.tolist(), strict=True), 1)
    ]
    batch_rows.append(("mean", *numbers(worked.mean(0).abs()).split()))
    batch_rows.append(("variance", *numbers(worked.var(0, correction=0)).split()))
    padding_rows = [(f"row {n + 1}", *(numbers(x[n]) for x in padding)) for n in range(len(ROWS))]
    return Lesson(
        "Normalization: keeping numbers at one scale",
        (
            "1. LayerNorm treats each token by itself: it subtracts the token's mean, divides by "
            "its standard deviation, then multiplies by gamma and adds beta (initially 1 and 0, "
            "then learned).",
            Table.of(
                f"LayerNorm on tokens of {WIDTH} numbers",
                "token | mean before | variance before | mean after | variance after",
                layer_rows,
            ),
            "RMSNorm leaves the mean alone and divides by the root mean square, which is cheaper "
            f"and works as well. Mean squares after it: {numbers(squares, ', ')}.",
            "2. BatchNorm normalizes each feature over all rows of the batch. With gamma 1 and "
            "beta 0:",
            Table.of(
                "BatchNorm on four rows of three features", "| a | b | c | a' | b' | c'", batch_rows
            ),
            f"3. Padding. {PADDED} rows of zeros below these four change every mean and deviation "
            "of BatchNorm, and with them all real rows, although nothing was added to the text. "
            "LayerNorm looks at one row only:",
            Table.of(
                "The four real rows",
                "| BatchNorm alone | with padding | LayerNorm alone | with padding",
                padding_rows,
            ),
            "That is one reason why decoders use LayerNorm or RMSNorm. There are two more: through "
            "the mean, BatchNorm lets a token see later ones, and it needs running means when "
            "the model answers a single person. This project allows it in the laboratory only.",
            "4. Unequal scales. The steepest feature limits the learning rate of gradient descent "
            "for all. With scales 1 and 10 the curvatures are 1 and 100, and fitting a line takes "
            f"{raw:,} steps until the loss is a millionth of the first; after BatchNorm {even:,}.",
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


def _draw(
    figure: Figure,
    before: Tensor,
    after: Tensor,
    padding: WithPadding,
    fitted: dict[str, list[float]],
) -> None:
    (top, top_right), (low, low_right) = figure.subplots(2, 2)
    names = [f"token {n}" for n in range(1, len(SCALES) + 1)]
    for axes, values, title in (
        (top, before, "before LayerNorm"),
        (top_right, after, "after: mean 0, variance 1"),
    ):
        axes.boxplot(values.T.numpy(), tick_labels=names, widths=0.5, flierprops={"markersize": 3})
        axes.set_title(title)
        axes.grid(axis="y", alpha=0.3)
    x = range(len(ROWS))
    pairs = ((padding.batch, padding.batch_padded), (padding.layer, padding.layer_padded))
    for start, (alone, padded) in zip((0, len(ROWS) + 1), pairs, strict=True):
        low.bar([start + n - 0.2 for n in x], alone[:, 0].tolist(), 0.4, color=GREY)
        low.bar([start + n + 0.2 for n in x], padded[:, 0].tolist(), 0.4, color=BLUE, hatch="//")
    low.legend(["alone", f"with {PADDED} padded rows"], loc="upper left")
    low.axhline(0, color="k", linewidth=0.7)
    low.set_xticks([1.5, 6.5], ["BatchNorm, rows 1 to 4", "LayerNorm, rows 1 to 4"])
    low.set_title("padding: feature a of the same four rows")
    low.set_ylim(-1.7, 2.2)
    lines(low_right, {name: (range(len(y)), y) for name, y in fitted.items()})
    low_right.set(
        title="gradient descent on two features", xlabel="step", ylabel="loss", yscale="log"
    )
    low_right.legend()
