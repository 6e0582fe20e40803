"""LoRA: few numbers that change a large matrix."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.training.adapters import lora
from pipeline.training.auto import Tuning
from transformer.config import ModelConfig
from transformer.decoder import Decoder

WIDTH, RANK = 2048, 2
RANKS = (1, 2, 4, 8, 16, 64, 256, 1024)
SHOWN = 24  # rows and columns of the change that is drawn


class Matrix(NamedTuple):
    """A square matrix of a decoder and the adapter beside it."""

    weight: Tensor  # (WIDTH, WIDTH), frozen
    a: Tensor  # (RANK, WIDTH)
    b: Tensor  # (WIDTH, RANK)
    scale: float
    layer: nn.Module

    @property
    def adapter(self) -> int:
        """How many numbers learn."""
        return self.a.numel() + self.b.numel()


def adapted(width: int = WIDTH, rank: int = RANK) -> Matrix:
    """The matrix after attention in a decoder of one layer, adapted as stage 7 does it."""
    config = ModelConfig(
        vocab_size=2, width=width, layers=1, heads=8, kv_heads=1, hidden=1, dropout=0.0
    )
    decoder = Decoder(config, torch.Generator().manual_seed(0))
    torch.manual_seed(0)  # peft draws A from torch's own generator
    lora.adapted(decoder, Tuning(rank=rank, alpha=2.0 * rank))
    layer = cast(Any, decoder.blocks[0]).attention.out
    a, b = (part["default"].weight for part in (layer.lora_A, layer.lora_B))
    return Matrix(layer.base_layer.weight, a, b, layer.scaling["default"], layer)


class Check(NamedTuple):
    """What the adapter does to what comes out of the matrix."""

    at_start: float  # the largest change while B is 0
    apart: float  # once B is not, beside x (W + s B A)ᵀ
    rank: int  # of the change of W


@torch.no_grad()
def check(matrix: Matrix) -> Check:
    """Whether the layer computes x (W + s B A)ᵀ, and of what rank the change is."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, matrix.a.size(1), generator=generator)
    before = matrix.layer(x)
    at_start = float((before - x @ matrix.weight.T).abs().max())
    matrix.b.copy_(torch.randn(matrix.b.shape, generator=generator) / 100)
    change = matrix.scale * matrix.b @ matrix.a
    after = matrix.layer(x)
    apart = float((after - x @ (matrix.weight + change).T).abs().max())
    part = change[: 4 * SHOWN, : 4 * SHOWN].double()
    return Check(at_start, apart, int(torch.linalg.matrix_rank(part, rtol=1e-5)))


def explain(asked: Asked) -> Lesson:
    """The numbers of one matrix, and a check of the arithmetic."""
    matrix = adapted()
    found = check(matrix)
    whole = matrix.weight.numel()
    return Lesson(
        f"LoRA: {whole:,} numbers, changed by {matrix.adapter:,}",
        (
            f"A matrix W of {WIDTH:,} × {WIDTH:,} has {whole:,} numbers. Fine-tuning all of them "
            "needs a gradient and two means of AdamW for each. LoRA leaves W as it is and learns "
            f"a change of low rank beside it: B ({WIDTH:,} × {RANK}) times A ({RANK} × {WIDTH:,}), "
            f"together {matrix.adapter:,} numbers, one in {whole // matrix.adapter:,}.",
            Table.of(
                f"One matrix of {WIDTH:,} × {WIDTH:,}",
                "rank | numbers to learn | of the matrix | MiB to learn them",
                (
                    (r, f"{n:,}", f"{n / whole:.2%}", f"{16 * n / 2**20:,.2f}")
                    for r, n in ((r, 2 * r * WIDTH) for r in RANKS)
                ),
            ),
            f"All of W: {16 * whole / 2**20:,.0f} MiB for weights, gradients and AdamW's means in "
            "float32, 16 bytes a number. At a rank of half the width, B and A have as many numbers "
            "as W, and nothing is saved.",
            "B begins as 0, so the model begins as it was: the largest change of a result is "
            f"{found.at_start:g}. Once B is something else, the layer gives x (W + s B A)ᵀ with "
            f"s = alpha / rank = {matrix.scale:g} (here to within {found.apart:.1g}), and the "
            f"change of W has rank {found.rank}: every row of it is a mixture of the "
            f"{RANK} rows of A.",
            "When training is over, s B A is added into W, and the model is as large and as "
            "quick as before. An adapter alone is a small file.",
        ),
        lambda figure: _draw(figure, matrix),
        (9.4, 3.4),
        (
            "Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685.",
            "Code: pipeline/training/adapters/lora.py, adapted.py; the setting finetune.rank.",
        ),
    )


def _draw(figure: Any, matrix: Matrix) -> None:
    from pipeline.explain.plots import BLUE, GREY, heat

    b, a, product, sizes = figure.subplots(1, 4, width_ratios=(0.35, 1, 1, 1.5))
    few_b, few_a = matrix.b.detach()[:SHOWN], matrix.a.detach()[:, :SHOWN]
    heat(b, few_b, "B", cmap="RdBu")
    heat(a, few_a, "A", cmap="RdBu")
    heat(product, few_b @ few_a, f"B A: rank {RANK}", cmap="RdBu")
    for axes in (b, a, product):
        axes.set(xticks=[], yticks=[])
    a.set_xlabel(f"(the first {SHOWN} rows and columns)")
    names = [f"rank {r}" for r in RANKS] + ["all of W"]
    numbers = [2 * r * WIDTH for r in RANKS] + [matrix.weight.numel()]
    sizes.barh(names, numbers, color=[BLUE] * len(RANKS) + [GREY])
    for at, number in enumerate(numbers):
        sizes.text(number * 1.2, at, f"{number:,}", va="center", fontsize=8)
    sizes.set(xscale="log", title="numbers to learn", xlim=(1e3, 3e8), xticks=[1e3, 1e5, 1e7])
    sizes.invert_yaxis()
