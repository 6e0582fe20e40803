"""How a token knows where it is: waves, rotations, and buckets of distances."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from transformer.config import ModelConfig
from transformer.positions import POSITIONS, Relative, Rope, Sinusoidal, bucket_of_distances

BLOCK, WIDTH = 128, 64
BUCKETS, LONGEST = 32, 128  # T5's
PAIRS = ((10, 7), (50, 47), (120, 117), (10, 4), (120, 114), (120, 7))  # of query and key
CIRCLES = (0, 4, 8)  # pairs of numbers whose turns are drawn
TURNS = 12  # positions drawn


def config_of(position: str) -> ModelConfig:
    """One head as wide as the decoder."""
    sizes = {"vocab_size": 2, "block": BLOCK, "width": WIDTH, "heads": 1}
    buckets = {"relative_buckets": BUCKETS, "max_relative_distance": LONGEST}
    return ModelConfig.from_dict({**sizes, **buckets, "position": position})


def waves() -> Tensor:
    """The table that is added to the embeddings, (BLOCK, WIDTH)."""
    return cast(Sinusoidal, POSITIONS["sinusoidal"](config_of("sinusoidal"))).table


def turned(vector: Tensor, at: Tensor) -> Tensor:
    """The same vector (WIDTH,) as RoPE turns it at each of the positions `at`, (T, WIDTH)."""
    rope = cast(Rope, POSITIONS["rope"](config_of("rope")))
    heads = vector.expand(1, len(at), 1, -1)  # (B, T, H, D)
    return rope.rotate(at)(heads)[0, :, 0]


def scores() -> Tensor:
    """q·k for a query and a key that stand anywhere, (BLOCK, BLOCK)."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(WIDTH, generator=generator)
    key = query + 0.7 * torch.randn(WIDTH, generator=generator)  # alike, so that near is high
    at = torch.arange(BLOCK)
    return turned(query, at) @ turned(key, at).T


def angles() -> Tensor:
    """By how much RoPE turns each pair from one token to the next, (WIDTH / 2,), in radians."""
    one = torch.cat((torch.ones(WIDTH // 2), torch.zeros(WIDTH // 2)))
    x, y = turned(one, torch.tensor([1]))[0].chunk(2)
    return torch.atan2(y, x)


def explain(asked: Asked) -> Lesson:
    """Three ways, each as numbers and a picture."""
    table, found, turn = waves(), scores(), angles()
    buckets = bucket_of_distances(BUCKETS, LONGEST)
    relative = cast(Relative, POSITIONS["relative"](config_of("relative")))
    assert torch.equal(relative.buckets, buckets)
    return Lesson(
        "Positions: how a token knows where it is",
        (
            "Attention compares contents: move the tokens that it looks at about, and the answer "
            "stays the same. There are three places to tell it where they stand.",
            "1. Added to the embedding. Sinusoidal: each pair of numbers is the sine and cosine "
            "of the position, from quick waves to slow ones, like the hands of many clocks. "
            f"Every row has the same length, √{WIDTH // 2} = {table[5].norm():.3f}, and no two "
            "are alike. (GPT-2 learns such a table instead.)",
            Table.of(
                "The beginning of the table",
                "position | sin | cos | sin, slower | cos | sin, slower | cos",
                ((at, *(f"{v:.3f}" for v in table[at, :6].tolist())) for at in (0, 1, 2, 3, 100)),
            ),
            "2. Turned. RoPE turns each pair of a query and of a key by an angle that grows with "
            "the position. When both are turned, only the difference of the angles is left in "
            "q·k: the score knows how far apart they are, not where.",
            Table.of(
                "RoPE: the same query and key at different places",
                "query at | key at | distance | score q·k",
                ((q, k, q - k, f"{found[q, k]:.3f}") for q, k in PAIRS),
                left=0,
            ),
            Table.of(
                f"How far pairs turn (head of {WIDTH})",
                "pair | degrees a token | tokens for a full turn",
                (
                    (n, f"{math.degrees(turn[n]):.3f}", f"{2 * math.pi / turn[n]:,.0f}")
                    for n in (0, 1, 4, 8, 16, WIDTH // 2 - 1)
                ),
            ),
            "3. Added to the score. Relative: a learned number for each head and each bucket of "
            f"distances. The first {BUCKETS // 2} of {BUCKETS} buckets hold one distance each, "
            "the others ever longer spans, the last all that is further than "
            f"{int((buckets < BUCKETS - 1).nonzero().max())}.",
            Table.of("Buckets of distances", "bucket | distances", _spans(buckets)),
        ),
        lambda figure: _draw(figure, table, found, buckets),
        (9.6, 6.4),
        (
            "Sinusoidal: Vaswani et al. 2017, arXiv 1706.03762, section 3.5. RoPE: Su et al. 2021, "
            "arXiv 2104.09864. Relative buckets: Raffel et al. 2020 (T5), arXiv 1910.10683, "
            "section 2.1.",
            "Code: transformer/positions.py.",
        ),
    )


def _spans(buckets: Tensor) -> list[tuple[str, str]]:
    """Some buckets, and the distances in each."""
    spans = []
    for bucket in (0, 1, 15, 16, 20, 24, 28, 31):
        inside = (buckets == bucket).nonzero().flatten().tolist()
        last = "" if bucket < BUCKETS - 1 else " and more"
        span = f"{inside[0]} to {inside[-1]}" if len(inside) > 1 else f"{inside[0]}"
        spans.append((str(bucket), f"{inside[0]}{last}" if last else span))
    return spans


def _draw(figure: Any, table: Tensor, found: Tensor, buckets: Tensor) -> None:
    from pipeline.explain.plots import BLUE, COLOURS, GREY, heat, lines

    (wave, circle), (score, step) = figure.subplots(2, 2)
    shown = heat(wave, table, "sinusoidal: what is added to the embedding", aspect="auto")
    wave.set(xlabel="number of the vector", ylabel="position")
    figure.colorbar(shown, ax=wave)
    at = torch.arange(TURNS)
    one = torch.cat((torch.ones(WIDTH // 2), torch.zeros(WIDTH // 2)))
    rotated = turned(one, at)
    for ring, (pair, colour) in enumerate(zip(CIRCLES, COLOURS, strict=False)):
        radius = 1 - 0.25 * ring
        x, y = (radius * rotated[:, n] for n in (pair, pair + WIDTH // 2))
        circle.plot(x, y, "os^"[ring], color=colour, markersize=9 - ring, label=f"pair {pair}")
        for n in at.tolist():
            if ring == 0:
                circle.annotate(
                    str(n), (1.14 * x[n], 1.14 * y[n]), ha="center", va="center", fontsize=7
                )
    circle.set(
        title=f"RoPE: turns at positions 0 to {TURNS - 1}", aspect="equal", xticks=[], yticks=[]
    )
    circle.set(xlim=(-1.3, 2.6), ylim=(-1.3, 1.3))
    circle.spines[:].set_visible(False)
    circle.legend(loc="center right")
    distances = {
        f"query at {q}": (list(range(q + 1)), found[q, : q + 1].flip(0)) for q in (40, 80, 127)
    }
    lines(score, distances)
    score.set(
        title="RoPE: the score depends on the distance alone", xlabel="distance", ylabel="q·k"
    )
    score.legend()
    step.step(range(len(buckets)), buckets, where="post", color=BLUE)
    step.axvline(BUCKETS // 2, color=GREY, linestyle=":")
    step.set(title="relative: the bucket of a distance", xlabel="distance", ylabel="bucket")
    step.grid(alpha=0.3)
