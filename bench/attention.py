"""Causal attention in training on a CPU, ours beside PyTorch's fused one.

    PYTHONPATH=. python bench/attention.py               about a minute
    PYTHONPATH=. python bench/attention.py --threads 1

Forward and backward of one layer, in bfloat16, at shapes of fine-tuning: rows, heads of 64, tokens.
Both sides get the same numbers and take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from transformer.softmax import causal_attention

SHAPES = ((8, 9, 128), (8, 9, 256), (4, 9, 512), (2, 9, 1024))
TURNS = 7


def main() -> None:
    """Time both, and print a row a shape."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    print("rows heads tokens   fused ms   ours ms   ratio")
    for rows, heads, tokens in SHAPES:
        parts = [torch.randn(rows, heads, tokens, 64, dtype=torch.bfloat16) for _ in range(4)]
        for part in parts[:3]:
            part.requires_grad_()
        *given, slope = parts
        sides = (
            lambda given=given: F.scaled_dot_product_attention(*given, is_causal=True),
            lambda given=given: causal_attention(*given),
        )
        times = [[_seconds(side, slope) for side in sides] for _ in range(TURNS)]
        fused, ours = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = sorted(one / other for one, other in times)
        print(
            f"{rows:>4} {heads:>5} {tokens:>6} {fused * 1e3:>10.0f} {ours * 1e3:>9.0f}"
            f" {ratios[TURNS // 2]:>7.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def _seconds(side: Callable[[], torch.Tensor], slope: torch.Tensor) -> float:
    began = time.perf_counter()
    side().backward(slope)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
