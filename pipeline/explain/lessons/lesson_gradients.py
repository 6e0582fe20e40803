"""Gradients on their way down: vanishing, exploding, and what residual connections do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pipeline.explain.figures import lines
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder

DEPTH, WIDTH, ROWS = 30, 64, 64

# Name → activation, and the scale of weights drawn with standard deviation scale / √width.
CASES: Mapping[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "sigmoid, weights × 1": (torch.sigmoid, 1.0),
    "tanh, weights × 0.5": (torch.tanh, 0.5),
    "tanh, weights × 1": (torch.tanh, 1.0),
    "tanh, weights × 4": (torch.tanh, 4.0),
    "sigmoid, weights × 40": (torch.sigmoid, 40.0),
}


def stacked(activation: Callable[[Tensor], Tensor], scale: float, residual: bool) -> list[float]:
    """|gradient| at the input of each layer, first to last, relative to that at the top.

    A layer is f(x W), or x + f(x W) if `residual`; the loss is a random projection of the output.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, WIDTH, generator=generator, requires_grad=True)
    inputs = [x]
    for _ in range(DEPTH):
        weights = torch.randn(WIDTH, WIDTH, generator=generator) * scale / math.sqrt(WIDTH)
        branch = activation(x @ weights)
        x = x + branch if residual else branch
        inputs.append(x)
    loss = (x * torch.randn(x.shape, generator=generator)).sum()
    return _relative_norms(torch.autograd.grad(loss, inputs))


def decoder_gradients() -> list[float]:
    """The same in an untrained decoder of this project, with a norm before each branch."""
    config = ModelConfig(vocab_size=64, width=WIDTH, layers=DEPTH, heads=4, dropout=0.0)
    decoder = Decoder(config, torch.Generator().manual_seed(0))
    inputs: list[Tensor] = []

    def record(block: nn.Module, args: tuple[Tensor, ...]) -> None:
        inputs.append(args[0])

    for part in (*decoder.blocks, decoder.norm):
        part.register_forward_pre_hook(record)
    ids = torch.randint(64, (8, 33), generator=torch.Generator().manual_seed(1))
    nats, _ = summed(decoder, ids[:, :-1], ids[:, 1:])
    return _relative_norms(torch.autograd.grad(nats, inputs))


def _relative_norms(gradients: tuple[Tensor, ...]) -> list[float]:
    norms = [float(gradient.double().norm()) for gradient in gradients]
    return [norm / norms[-1] for norm in norms]


def lesson(request: Request) -> Lesson:
    """Every case without and with residual connections, and our decoder."""
    without = {name: stacked(*case, residual=False) for name, case in CASES.items()}
    residual = {name: stacked(*case, residual=True) for name, case in CASES.items()}
    decoder = decoder_gradients()

    def short(ratio: float) -> str:
        return f"{ratio:.2g}" if 0.01 < ratio < 1000 else f"{ratio:.0e}"

    rows = [(name, short(without[name][0]), short(residual[name][0])) for name in CASES]
    rows.append(("our decoder, untrained", "", short(decoder[0])))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        x = range(DEPTH + 1)
        lines(left, {name: (x, norms) for name, norms in without.items()})
        lines(right, {name: (x, norms) for name, norms in residual.items()})
        right.plot(x, decoder, "k-", linewidth=3, alpha=0.6, label="our decoder, untrained")
        left.set(title="without residual connections", ylabel="|gradient|, relative to the top")
        right.set_title("with residual connections")
        for axes in (left, right):
            axes.set(yscale="log", xlabel="input of this layer (0 is the first)")
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)

    return Lesson(
        f"Gradients through {DEPTH} layers",
        (
            "The gradient at a layer is the gradient at the layer above times the layer's own "
            "slope (the chain rule). Through many layers these factors multiply: if each is a "
            "little below 1 the gradient vanishes, a little above 1 and it explodes. Then the "
            "first layers learn nothing, or diverge.",
            Table.of(
                "|gradient| at the first layer, relative to the top",
                "activation and weights | plain layers | residual layers",
                rows,
            ),
            "The slope of a sigmoid is at most 1/4, that of tanh at most 1, and both are close to "
            "0 where the curve is flat. So sigmoids lose about three quarters of the gradient in "
            "every layer unless the weights are very large; with weights that are too large it "
            "explodes instead.",
            "A residual connection adds the input: x + f(x W). Its slope is 1 plus that of the "
            "branch, so the gradient has a path down on which nothing is multiplied, and it does "
            "not vanish. It can still grow: with large weights the branches add up.",
            "So our decoder does more: a norm before each branch keeps its input at one scale, "
            "and the weights that write to the residual stream start small (standard deviation "
            f"0.02 / √(2 × layers)). Through {DEPTH} layers its gradient changes by a factor of "
            f"{decoder[0]:.2f}.",
        ),
        draw,
        (9.4, 4.2),
        (
            "Vanishing: Hochreiter 1991; Bengio et al. 1994, Learning Long-Term Dependencies with "
            "Gradient Descent is Difficult; Glorot and Bengio 2010. Residual connections: He et "
            "al. 2015, arXiv 1512.03385. Norm before the branch: Xiong et al. 2020, arXiv "
            "2002.04745.",
            "Code: transformer/block.py; `initialize` in transformer/decoder.py.",
        ),
    )
