"""Gradients on their way down: vanishing, exploding, and what shortcuts do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder

DEPTH, WIDTH, ROWS = 30, 64, 64

# Name → activation, and the scale of weights drawn with deviation scale / √width.
CASES: Mapping[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "sigmoid, weights × 1": (torch.sigmoid, 1.0),
    "tanh, weights × 0.5": (torch.tanh, 0.5),
    "tanh, weights × 1": (torch.tanh, 1.0),
    "tanh, weights × 4": (torch.tanh, 4.0),
    "sigmoid, weights × 40": (torch.sigmoid, 40.0),
}


def plain(activation: Callable[[Tensor], Tensor], scale: float, shortcut: bool) -> list[float]:
    """|gradient| of what enters each layer, first to last, as shares of the one at the top.

    A layer is f(x W), with a shortcut x + f(x W); the loss is a random direction of the result.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, WIDTH, generator=generator, requires_grad=True)
    entered = []
    for _ in range(DEPTH):
        entered.append(x)
        weights = torch.randn(WIDTH, WIDTH, generator=generator) * scale / math.sqrt(WIDTH)
        branch = activation(x @ weights)
        x = x + branch if shortcut else branch
    entered.append(x)
    loss = (x * torch.randn(x.shape, generator=generator)).sum()
    return _shares(torch.autograd.grad(loss, entered))


def ours() -> list[float]:
    """The same in a new decoder of this project: shortcuts, and a norm before each branch."""
    config = ModelConfig(vocab_size=64, width=WIDTH, layers=DEPTH, heads=4, dropout=0.0)
    decoder = Decoder(config, torch.Generator().manual_seed(0))
    entered: list[Tensor] = []

    def keep(block: nn.Module, given: tuple[Any, ...]) -> None:
        entered.append(given[0])

    for part in (*decoder.blocks, decoder.norm):
        part.register_forward_pre_hook(keep)
    ids = torch.randint(64, (8, 33), generator=torch.Generator().manual_seed(1))
    nats, _ = summed(decoder, ids[:, :-1], ids[:, 1:])
    return _shares(torch.autograd.grad(nats, entered))


def _shares(gradients: tuple[Tensor, ...]) -> list[float]:
    sizes = [float(gradient.double().norm()) for gradient in gradients]
    return [size / sizes[-1] for size in sizes]


def explain(asked: Asked) -> Lesson:
    """Every case without and with shortcuts, and our decoder."""
    without = {name: plain(*case, shortcut=False) for name, case in CASES.items()}
    with_them = {name: plain(*case, shortcut=True) for name, case in CASES.items()}
    decoder = ours()
    rows = [(name, _power(without[name][0]), _power(with_them[name][0])) for name in CASES]
    return Lesson(
        f"Gradients through {DEPTH} layers",
        (
            "The gradient of a layer is that of the layer above times the layer's own slope "
            "(the chain rule). Through many layers these factors multiply: a little less than 1 "
            "each vanishes, a little more explodes. Then the first layers learn nothing, or jump.",
            Table.of(
                "|gradient| at the first layer, beside that at the top",
                "activation and weights | without shortcuts | with shortcuts",
                [*rows, ("our decoder, new", "", _power(decoder[0]))],
            ),
            "The slope of a sigmoid is at most 1/4, that of tanh at most 1, and both are near 0 "
            "where they are flat. So sigmoids lose about three quarters in every layer unless the "
            "weights are very large; with weights that are too large the signal explodes instead.",
            "A shortcut adds what came in: x + f(x W). Its slope is 1 plus that of the branch, so "
            "the gradient has a way down on which nothing is multiplied, and it does not vanish. "
            "It can still grow: with large weights the branches add up.",
            "So our decoder does more: a norm before each branch keeps what enters it at "
            "one scale, and what is added to the stream starts out small (deviation "
            f"0.02 / √(2 × layers)). Through {DEPTH} layers its gradient changes by a factor of "
            f"{decoder[0]:.2f}.",
        ),
        lambda figure: _draw(figure, without, with_them, decoder),
        (9.4, 4.2),
        (
            "Vanishing: Hochreiter 1991; Bengio et al. 1994, Learning Long-Term Dependencies with "
            "Gradient Descent is Difficult; Glorot and Bengio 2010. Shortcuts: He et al. 2015, "
            "arXiv 1512.03385. Norm before the branch: Xiong et al. 2020, arXiv 2002.04745.",
            "Code: transformer/block.py; `initialize` in transformer/decoder.py.",
        ),
    )


def _power(share: float) -> str:
    return f"{share:.2g}" if 0.01 < share < 1000 else f"{share:.0e}"


def _draw(
    figure: Any,
    without: dict[str, list[float]],
    with_them: dict[str, list[float]],
    ours: list[float],
) -> None:
    from pipeline.explain.plots import lines

    left, right = figure.subplots(1, 2, sharey=True)
    at = range(DEPTH + 1)
    lines(left, {name: (at, shares) for name, shares in without.items()})
    lines(right, {name: (at, shares) for name, shares in with_them.items()})
    right.plot(at, ours, "k-", linewidth=3, alpha=0.6, label="our decoder, new")
    left.set(title="without shortcuts", ylabel="|gradient|, that at the top is 1")
    right.set_title("with shortcuts")
    for axes in (left, right):
        axes.set_yscale("log")
        axes.set_xlabel("what enters this layer (0 is the first)")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
