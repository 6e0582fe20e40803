"""How a token knows where it is: waves, rotations, and buckets of distances."""

from __future__ import annotations

import math
from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pipeline.explain.figures import BLUE, COLOURS, GREY, heat, lines
from pipeline.explain.lesson import Lesson, Request, Table
from transformer.config import ModelConfig
from transformer.positions import POSITIONS, NoPosition, Rope, Sinusoidal, bucket_of_distances

BLOCK, WIDTH = 128, 64
BUCKETS, MAX_DISTANCE = 32, 128  # T5's
PAIRS = ((10, 7), (50, 47), (120, 117), (10, 4), (120, 114), (120, 7))  # of query and key
CIRCLES = (0, 4, 8)  # pairs of numbers whose rotations are drawn
ROTATIONS = 12  # positions drawn


def position(name: str) -> NoPosition:
    """A position module of the decoder, for one head as wide as the decoder."""
    sizes = {"vocab_size": 2, "block": BLOCK, "width": WIDTH, "heads": 1}
    return POSITIONS[name](ModelConfig.from_dict({**sizes, "position": name}))


def waves() -> Tensor:
    """The table that is added to the embeddings, (BLOCK, WIDTH)."""
    return cast(Sinusoidal, position("sinusoidal")).table


def rotated(vector: Tensor, positions: Tensor) -> Tensor:
    """A vector (WIDTH,) as RoPE rotates it at each of some positions (T,): (T, WIDTH)."""
    heads = vector.expand(1, len(positions), 1, -1)  # (B, T, H, D)
    return cast(Rope, position("rope")).rotate(positions)(heads)[0, :, 0]


def scores() -> Tensor:
    """q·k for a query and a key at every pair of positions, (BLOCK, BLOCK)."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(WIDTH, generator=generator)
    key = query + 0.7 * torch.randn(WIDTH, generator=generator)  # similar, so near scores high
    positions = torch.arange(BLOCK)
    return rotated(query, positions) @ rotated(key, positions).T


def ones() -> Tensor:
    """A vector (WIDTH,) whose every pair is (1, 0)."""
    return torch.cat((torch.ones(WIDTH // 2), torch.zeros(WIDTH // 2)))


def angles() -> Tensor:
    """By how many radians RoPE rotates each pair from one token to the next, (WIDTH / 2,)."""
    x, y = rotated(ones(), torch.tensor([1]))[0].chunk(2)
    return torch.atan2(y, x)


def lesson(request: Request) -> Lesson:
    """Three ways, each in numbers and as a picture."""
    table, products, angle = waves(), scores(), angles()
    buckets = bucket_of_distances(BUCKETS, MAX_DISTANCE)
    wave_rows = [(n, *(f"{v:.3f}" for v in table[n, :6].tolist())) for n in (0, 1, 2, 3, 100)]
    score_rows = [(q, k, q - k, f"{products[q, k]:.3f}") for q, k in PAIRS]
    angle_rows = [
        (n, f"{math.degrees(angle[n]):.3f}", f"{2 * math.pi / angle[n]:,.0f}")
        for n in (0, 1, 4, 8, 16, WIDTH // 2 - 1)
    ]
    bucket_rows = [(n, _distances(buckets, n)) for n in (0, 1, 15, 16, 20, 24, 28, 31)]
    return Lesson(
        "Positions: how a token knows where it is",
        (
            "Attention compares contents only: if the tokens it looks at change places, the result "
            "stays the same. There are three places where positions can be added.",
            "1. Added to the embedding. Sinusoidal: each pair of numbers is the sine and cosine "
            "of the position, from fast waves to slow ones, like the hands of many clocks. "
            f"Every row has the same length, √{WIDTH // 2} = {table[5].norm():.3f}, and no two "
            "are alike. (GPT-2 learns such a table instead.)",
            Table.of(
                "The beginning of the table",
                "position | sin | cos | sin, slower | cos | sin, slower | cos",
                wave_rows,
            ),
            "2. Rotated. RoPE rotates each pair of numbers of a query and of a key by an angle "
            "that grows with the position. When both are rotated, q·k depends only on the "
            "difference of the angles: the score knows how far apart the tokens are, not where.",
            Table.of(
                "RoPE: the same query and key at different positions",
                "query at | key at | distance | score q·k",
                score_rows,
                left=0,
            ),
            Table.of(
                f"How far pairs are rotated (head of {WIDTH})",
                "pair | degrees per token | tokens per full turn",
                angle_rows,
            ),
            "3. Added to the score. Relative: a learned number for each head and each bucket of "
            f"distances. The first {BUCKETS // 2} of {BUCKETS} buckets hold one distance each, "
            "the others longer and longer ranges, and the last one everything beyond "
            f"{int((buckets < BUCKETS - 1).nonzero().max())}.",
            Table.of("Buckets of distances", "bucket | distances", bucket_rows),
        ),
        lambda figure: _draw(figure, table, products, buckets),
        (9.6, 6.4),
        (
            "Sinusoidal: Vaswani et al. 2017, arXiv 1706.03762, section 3.5. RoPE: Su et al. 2021, "
            "arXiv 2104.09864. Relative buckets: Raffel et al. 2020 (T5), arXiv 1910.10683, "
            "section 2.1.",
            "Code: transformer/positions.py.",
        ),
    )


def _distances(buckets: Tensor, bucket: int) -> str:
    inside = (buckets == bucket).nonzero().flatten().tolist()
    if bucket == BUCKETS - 1:
        return f"{inside[0]} and more"
    return f"{inside[0]} to {inside[-1]}" if len(inside) > 1 else f"{inside[0]}"


def _draw(figure: Figure, table: Tensor, products: Tensor, buckets: Tensor) -> None:
    (wave, circle), (score, step) = figure.subplots(2, 2)
    image = heat(wave, table, "sinusoidal: what is added to the embedding", stretch=True)
    wave.set(xlabel="index in the vector", ylabel="position")
    figure.colorbar(image, ax=wave)
    vectors = rotated(ones(), torch.arange(ROTATIONS))
    for ring, (pair, colour) in enumerate(zip(CIRCLES, COLOURS, strict=False)):
        x, y = ((1 - 0.25 * ring) * vectors[:, n] for n in (pair, pair + WIDTH // 2))
        circle.plot(x, y, "os^"[ring], color=colour, markersize=9 - ring, label=f"pair {pair}")
    for n, (x, y) in enumerate(1.14 * vectors[:, [CIRCLES[0], CIRCLES[0] + WIDTH // 2]]):
        circle.annotate(str(n), (x, y), ha="center", va="center", fontsize=7)
    circle.set(title=f"RoPE: rotations at positions 0 to {ROTATIONS - 1}", aspect="equal")
    circle.set(xticks=[], yticks=[], xlim=(-1.3, 2.6), ylim=(-1.3, 1.3))
    circle.spines[:].set_visible(False)
    circle.legend(loc="center right")
    curves = {f"query at {q}": (range(q + 1), products[q, : q + 1].flip(0)) for q in (40, 80, 127)}
    lines(score, curves)
    score.set(title="RoPE: the score depends on the distance only", xlabel="distance", ylabel="q·k")
    score.legend()
    step.step(range(len(buckets)), buckets, where="post", color=BLUE)
    step.axvline(BUCKETS // 2, color=GREY, linestyle=":")
    step.set(title="relative: the bucket of a distance", xlabel="distance", ylabel="bucket")
    step.grid(alpha=0.3)
