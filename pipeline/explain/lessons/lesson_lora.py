"""LoRA: a few numbers that change a large matrix."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pipeline.explain.figures import BLUE, GREY, heat
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.training.adapters import lora
from pipeline.training.auto import Tuning
from transformer.config import ModelConfig
from transformer.decoder import Decoder

WIDTH, RANK = 2048, 2
RANKS = (1, 2, 4, 8, 16, 64, 256, 1024)
SHOWN = 24  # rows and columns of the change that is drawn
MIB = 2**20
TRAINING_BYTES = 16  # per number: weight, gradient and AdamW's two means in float32


class AdaptedMatrix(NamedTuple):
    """A square matrix of a decoder and its adapter."""

    weight: Tensor  # (WIDTH, WIDTH), frozen
    a: Tensor  # (RANK, WIDTH)
    b: Tensor  # (WIDTH, RANK)
    scale: float
    layer: nn.Module

    @property
    def adapter(self) -> int:
        """How many numbers are trained."""
        return self.a.numel() + self.b.numel()


def adapted() -> AdaptedMatrix:
    """The output matrix of attention in a decoder with one layer, adapted as stage 7 does it."""
    config = ModelConfig(
        vocab_size=2, width=WIDTH, layers=1, heads=8, kv_heads=1, hidden=1, dropout=0.0
    )
    decoder = Decoder(config, torch.Generator().manual_seed(0))
    torch.manual_seed(0)  # peft draws A from torch's global generator
    lora.adapted(decoder, Tuning(rank=RANK, alpha=2.0 * RANK))
    layer = decoder.get_submodule("blocks.0.attention.out")
    a, b, weight = (
        layer.get_parameter(f"{part}.weight")
        for part in ("lora_A.default", "lora_B.default", "base_layer")
    )
    scaling = cast(dict[str, float], layer.scaling)
    return AdaptedMatrix(weight, a, b, scaling["default"], layer)


class Check(NamedTuple):
    """What the adapter does to the output of the matrix."""

    at_start: float  # the largest change while B is 0
    error: float  # afterwards, compared with x (W + s B A)ᵀ
    rank: int  # of the change of W


@torch.no_grad()
def check(matrix: AdaptedMatrix) -> Check:
    """Whether the layer computes x (W + s B A)ᵀ, and the rank of the change."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, matrix.a.size(1), generator=generator)
    at_start = float((matrix.layer(x) - x @ matrix.weight.T).abs().max())
    matrix.b.copy_(torch.randn(matrix.b.shape, generator=generator) / 100)
    change = matrix.scale * matrix.b @ matrix.a
    error = float((matrix.layer(x) - x @ (matrix.weight + change).T).abs().max())
    corner = change[: 4 * SHOWN, : 4 * SHOWN].double()
    return Check(at_start, error, int(torch.linalg.matrix_rank(corner, rtol=1e-5)))


def lesson(request: Request) -> Lesson:
    """The numbers of one matrix, and a check of the arithmetic."""
    matrix = adapted()
    checked = check(matrix)
    total = matrix.weight.numel()
    numbers = {rank: 2 * rank * WIDTH for rank in RANKS}

    rows = [
        (rank, f"{n:,}", f"{n / total:.2%}", f"{TRAINING_BYTES * n / MIB:,.2f}")
        for rank, n in numbers.items()
    ]

    def draw(figure: Figure) -> None:
        b, a, product, sizes = figure.subplots(1, 4, width_ratios=(0.35, 1, 1, 1.5))
        few_b, few_a = matrix.b.detach()[:SHOWN], matrix.a.detach()[:, :SHOWN]
        heat(b, few_b, "B", "RdBu")
        heat(a, few_a, "A", "RdBu")
        heat(product, few_b @ few_a, f"B A: rank {RANK}", "RdBu")
        for axes in (b, a, product):
            axes.set(xticks=[], yticks=[])
        a.set_xlabel(f"(the first {SHOWN} rows and columns)")
        bars = {**{f"rank {rank}": n for rank, n in numbers.items()}, "all of W": total}
        sizes.barh(list(bars), list(bars.values()), color=[BLUE] * len(RANKS) + [GREY])
        for y, number in enumerate(bars.values()):
            sizes.text(number * 1.2, y, f"{number:,}", va="center", fontsize=8)
        sizes.set(xscale="log", title="numbers to train", xlim=(1e3, 3e8), xticks=[1e3, 1e5, 1e7])
        sizes.invert_yaxis()

    return Lesson(
        f"LoRA: {total:,} numbers, changed by {matrix.adapter:,}",
        (
            f"A matrix W of {WIDTH:,} × {WIDTH:,} has {total:,} numbers. Fine-tuning all of them "
            "needs a gradient and two means of AdamW for each. LoRA leaves W as it is and trains "
            f"a low-rank change next to it: B ({WIDTH:,} × {RANK}) times A ({RANK} × {WIDTH:,}), "
            f"together {matrix.adapter:,} numbers, one for every {total // matrix.adapter:,}.",
            Table.of(
                f"One matrix of {WIDTH:,} × {WIDTH:,}",
                "rank | numbers to train | of the matrix | MiB to train them",
                rows,
            ),
            f"All of W: {TRAINING_BYTES * total / MIB:,.0f} MiB for weights, gradients and AdamW's "
            "means in float32, 16 bytes per number. At a rank of half the width, B and A have as "
            "many numbers as W, and nothing is saved.",
            "B starts at 0, so the model starts unchanged: the largest change of an output is "
            f"{checked.at_start:g}. Once B is nonzero, the layer computes x (W + s B A)ᵀ with "
            f"s = alpha / rank = {matrix.scale:g} (here to within {checked.error:.1g}), and the "
            f"change of W has rank {checked.rank}: each of its rows is a combination of the "
            f"{RANK} rows of A.",
            "After training, s B A is added to W, and the model is as large and as fast as "
            "before. An adapter by itself is a small file.",
        ),
        draw,
        (9.4, 3.4),
        (
            "Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685.",
            "Code: pipeline/training/adapters/lora.py, lora_linear.py; the setting finetune.rank.",
        ),
    )
