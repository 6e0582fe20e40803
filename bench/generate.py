"""How fast ids come: decoded from the cache, and without one, side by side in one run.

    PYTHONPATH=. python bench/generate.py            about a minute
    PYTHONPATH=. python bench/generate.py --quick    a few seconds
    PYTHONPATH=. python bench/generate.py --threads 1

A decoder of 13 million random float32 weights (vocabulary 1029, width 512, 4 layers, 8 heads, block
256) continues 50 ids by 200. The two ways take turns, so that both meet the same noise; the best
and the median of the repetitions are shown, in new tokens per second and as a ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.generate import generate
from transformer.sampling import Sampling, choose

PROMPT = list(range(50))
SAMPLING = Sampling(temperature=0.8, top_k=50)


def cached(decoder: Decoder, new: int) -> list[int]:
    """Each step reads one token."""
    return list(generate(decoder, PROMPT, new, SAMPLING, generator=torch.Generator()))


@torch.no_grad()
def uncached(decoder: Decoder, new: int) -> list[int]:
    """Each step reads the whole context again; the head only its last token."""
    ids, generator = list(PROMPT), torch.Generator()
    for _ in range(new):
        logits = decoder.head(decoder.hidden(torch.tensor([ids]))[:, -1])
        ids.append(int(choose(logits, SAMPLING, generator)))
    return ids[len(PROMPT) :]


def seconds(way: Callable[[Decoder, int], list[int]], decoder: Decoder, new: int) -> float:
    """How long one run takes."""
    start = time.perf_counter()
    if len(way(decoder, new)) != new:
        raise RuntimeError("fewer tokens than asked for")
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer tokens, fewer repetitions")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    new, repetitions = (40, 2) if args.quick else (200, 5)
    torch.set_num_threads(args.threads)

    config = ModelConfig(vocab_size=1029, width=512, heads=8, kv_heads=8)
    decoder = Decoder(config, torch.Generator().manual_seed(0)).eval()
    size = sum(weight.numel() for weight in decoder.parameters()) / 1e6
    print(f"{size:.1f} M weights, {args.threads} threads, torch {torch.__version__}, {new} tokens")

    times: dict[str, list[float]] = {}
    for way in (cached, uncached):
        seconds(way, decoder, min(new, 20))
    for _ in range(repetitions):
        for way in (cached, uncached):
            times.setdefault(way.__name__, []).append(seconds(way, decoder, new))
    for name, taken in times.items():
        best, median = new / min(taken), new / statistics.median(taken)
        print(f"{name:9s} {best:7.1f} tokens/s best {median:7.1f} median")
    best_ratio = min(times["uncached"]) / min(times["cached"])
    print(f"the cache is {best_ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
