"""The nonlinearity inside a feed-forward: every activation that the decoder knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pipeline.explain.figures import lines
from pipeline.explain.lesson import Lesson, Request, Table
from transformer.config import ModelConfig
from transformer.feedforward import FEEDFORWARDS, FeedForward

NAMES = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "silu": "SiLU",
    "gelu": "GELU, exact",
    "gelu_tanh": "GELU, tanh",
}
POINTS = (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0)
WIDTH = 768
GATED = "swiglu"


def feedforward(name: str) -> FeedForward:
    """A feed-forward of the decoder, without memory for its matrices."""
    config = {"vocab_size": 2, "width": WIDTH, "heads": 12, "feedforward": name}
    with torch.device("meta"):
        return cast(FeedForward, FEEDFORWARDS[name](ModelConfig.from_dict(config)))


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function inside a feed-forward; of a gated one, that of its gate."""
    return feedforward(name).activation


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU's combination of its two inner vectors."""
    return activation(GATED)(gate) * up


def slope(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """f'(x), by automatic differentiation."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


def weights(name: str) -> int:
    """Number of weights of a feed-forward at `WIDTH`."""
    return sum(p.numel() for p in feedforward(name).parameters())


def largest_gap() -> tuple[float, float]:
    """Where GELU's tanh form differs most from the exact one, and by how much."""
    x = torch.linspace(-6, 6, 120_001, dtype=torch.float64)
    gap = (activation("gelu")(x) - activation("gelu_tanh")(x)).abs()
    return abs(float(x[gap.argmax()])), float(gap.max())


def lesson(request: Request) -> Lesson:
    """Values and slopes as tables and curves, SwiGLU as a surface."""
    functions = {shown: activation(name) for name, shown in NAMES.items()}
    x = torch.tensor(POINTS)
    columns = " | ".join(("f", *(f"{point:g}" for point in POINTS)))

    def table(title: str, compute: Callable[[Callable[[Tensor], Tensor]], Tensor]) -> Table:
        rows = ((n, *(f"{v:.3f}" for v in compute(f).tolist())) for n, f in functions.items())
        return Table.of(title, columns, rows)

    where, gap = largest_gap()
    silu, dense = activation("silu"), torch.linspace(-3, 0, 30_001)
    lowest = dense[silu(dense).argmin()]
    return Lesson(
        "Activations: the nonlinearity between two matrices",
        (
            "Two matrices in a row amount to one matrix. What makes a feed-forward more than that "
            "is the nonlinear function between them, applied to each number separately: "
            "down(f(up(x))).",
            table("f(x)", lambda f: f(x)),
            table("The slope f'(x)", lambda f: slope(f, x)),
            "ReLU is x above 0 and 0 below. Its slope below 0 is 0 as well, so a unit that is "
            "always negative stops learning. LeakyReLU keeps a hundredth of the slope. SiLU (x "
            "times its sigmoid) and GELU (x times the probability that a standard normal number is "
            "below x) are smooth, and dip below 0 (SiLU is lowest at x = "
            f"{lowest:.2f}, with {silu(lowest):.3f}).",
            "GELU's tanh form is a faster approximation from the same paper. They differ by at "
            f"most {gap:.1e}, at x = ±{where:.2f}. GPT-2's weights were trained with tanh.",
            "SwiGLU has two input matrices: down(SiLU(gate(x)) · up(x)). The gate decides how much "
            "of the other passes. So that three matrices have no more weights than two, the inner "
            f"width is 8/3 instead of 4 times the width: at width {WIDTH}, "
            f"{feedforward(GATED).up.out_features:,} instead of "
            f"{feedforward('gelu').up.out_features:,}, with {weights(GATED):,} and "
            f"{weights('gelu'):,} weights.",
        ),
        _draw,
        (9.6, 3.7),
        (
            "GELU: Hendrycks and Gimpel 2016, arXiv 1606.08415. SiLU: Elfwing et al. 2017, arXiv "
            "1702.03118. SwiGLU: Shazeer 2020, arXiv 2002.05202. LeakyReLU: Maas et al. 2013.",
            "Code: transformer/feedforward.py.",
        ),
    )


def _draw(figure: Figure) -> None:
    curves, slopes, surface = figure.subplots(1, 3)
    functions = {shown: activation(name) for name, shown in NAMES.items()}
    x = torch.linspace(-4, 3, 281)
    lines(curves, {name: (x, f(x)) for name, f in functions.items()})
    lines(slopes, {name: (x, slope(f, x)) for name, f in functions.items()})
    curves.set(title="f(x)", xlabel="x", ylim=(-0.5, 2))
    curves.legend()
    slopes.set(title="the slope f'(x)", xlabel="x")
    axis = torch.linspace(-4, 4, 81)
    values = gated(axis[None, :], axis[:, None]).numpy()
    surface.imshow(values, "RdBu", origin="lower", extent=(-4, 4, -4, 4), vmin=-16, vmax=16)
    levels = [-8, -4, -1, 0, 1, 4, 8]
    marks = surface.contour(axis, axis, values, levels=levels, colors="k", linewidths=0.7)
    surface.clabel(marks, fontsize=7)
    surface.set(title="SwiGLU: SiLU(gate) · up", xlabel="gate", ylabel="up")
    surface.spines[["top", "right"]].set_visible(True)
