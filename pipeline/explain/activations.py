"""The bend inside a feed-forward: every activation that the decoder knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from transformer.block import FEEDFORWARDS, FeedForward
from transformer.config import ModelConfig

NAMES = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "silu": "SiLU",
    "gelu": "GELU, exact",
    "gelu_tanh": "GELU, tanh",
}
AT = (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0)
WIDTH = 768
GATED = "swiglu"


def config_of(name: str) -> ModelConfig:
    """A decoder's config with this feed-forward."""
    return ModelConfig.from_dict(
        {"vocab_size": 2, "width": WIDTH, "heads": 12, "feedforward": name}
    )


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function inside this feed-forward; of a gated one, that of its gate."""
    with torch.device("meta"):  # its matrices are not needed
        return cast(FeedForward, FEEDFORWARDS[name](config_of(name))).activation


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """What SwiGLU makes of its two inner vectors."""
    return activation(GATED)(gate) * up


def slope(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """f'(x), by automatic differentiation."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


def weights(name: str) -> int:
    """Weights of this feed-forward at `WIDTH`."""
    with torch.device("meta"):
        return sum(p.numel() for p in FEEDFORWARDS[name](config_of(name)).parameters())


def furthest() -> tuple[float, float]:
    """Where GELU's tanh form is furthest from the exact one, and by how much."""
    x = torch.linspace(-6, 6, 120_001, dtype=torch.float64)
    apart = (activation("gelu")(x) - activation("gelu_tanh")(x)).abs()
    return abs(float(x[apart.argmax()])), float(apart.max())


def explain(asked: Asked) -> Lesson:
    """Values and slopes as tables and curves, SwiGLU as a surface."""
    x = torch.tensor(AT)
    values = {name: activation(name)(x) for name in NAMES}
    slopes = {name: slope(activation(name), x) for name in NAMES}
    where, most = furthest()
    columns = " | ".join(("f", *(f"{at:g}" for at in AT)))
    silu = activation("silu")
    dense = torch.linspace(-3, 0, 30_001)
    lowest = dense[silu(dense).argmin()]
    return Lesson(
        "Activations: the bend between two matrices",
        (
            "Two matrices in a row are only one matrix. What makes a feed-forward more is the "
            "bend between them, applied to each number by itself: down(f(up(x))).",
            _table("f(x)", columns, values),
            _table("The slope f'(x)", columns, slopes),
            "ReLU is x above 0 and nothing below. Its slope there is 0: a number that is always "
            "negative learns no more. LeakyReLU leaves a hundredth of the slope. SiLU, x times "
            "its sigmoid, and GELU, x times the chance that a normal number is below x, are "
            f"smooth, and dip below 0 (SiLU lowest at x = {lowest:.2f}, {silu(lowest):.3f}).",
            "GELU's tanh form is the same paper's quicker approximation. They differ by at most "
            f"{most:.1e}, at x = ±{where:.2f}. GPT-2's weights were trained with tanh.",
            "SwiGLU has two matrices in: down(SiLU(gate(x)) · up(x)). One decides how much of "
            "the other passes. So that three matrices have no more weights than two, the inner "
            f"width is 8/3 instead of 4 times the width: at width {WIDTH}, "
            f"{config_of(GATED).hidden:,} instead of {config_of('gelu').hidden:,}, and "
            f"{weights(GATED):,} weights beside {weights('gelu'):,}.",
        ),
        _draw,
        (9.6, 3.7),
        (
            "GELU: Hendrycks and Gimpel 2016, arXiv 1606.08415. SiLU: Elfwing et al. 2017, arXiv "
            "1702.03118. SwiGLU: Shazeer 2020, arXiv 2002.05202. LeakyReLU: Maas et al. 2013.",
            "Code: transformer/block.py.",
        ),
    )


def _table(title: str, columns: str, found: dict[str, Tensor]) -> Table:
    rows = ((NAMES[name], *(f"{v:.3f}" for v in row.tolist())) for name, row in found.items())
    return Table.of(title, columns, rows)


def _draw(figure: Any) -> None:
    from pipeline.explain.plots import heat, lines

    curves, slopes, surface = figure.subplots(1, 3)
    x = torch.linspace(-4, 3, 281)
    functions = {NAMES[name]: activation(name) for name in NAMES}
    lines(curves, {name: (x, f(x)) for name, f in functions.items()})
    lines(slopes, {name: (x, slope(f, x)) for name, f in functions.items()})
    curves.set(title="f(x)", xlabel="x", ylim=(-0.5, 2))
    curves.legend()
    slopes.set(title="the slope f'(x)", xlabel="x")
    at = torch.linspace(-4, 4, 81)
    values = gated(at[None, :], at[:, None])
    extent = (-4, 4, -4, 4)
    shown = heat(
        surface, values, "SwiGLU: SiLU(gate) · up", origin="lower", extent=extent, cmap="RdBu"
    )
    marks = surface.contour(
        at, at, values, levels=[-8, -4, -1, 0, 1, 4, 8], colors="k", linewidths=0.7
    )
    surface.clabel(marks, fontsize=7)
    surface.set(xlabel="gate", ylabel="up")
    shown.set_clim(-16, 16)
