"""How fast ids come: from the cache, without one, and for many rows at once, in one run.

    PYTHONPATH=. python bench/batches.py            about a minute
    PYTHONPATH=. python bench/batches.py --quick    a few seconds
    PYTHONPATH=. python bench/batches.py --threads 1

A decoder of 13 million random float32 weights (vocabulary 1029, width 512, 4 layers, 8 heads, block
256) continues 50 ids by 200: in one row from the cache and without it, and in batches of 8 and 32
rows. The ways take turns, so that all meet the same noise; the best and the median of the
repetitions are shown, in new tokens per second of all rows together, and the ratio of the best to
one row from the cache.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from transformer.batched import generate_batch
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.generate import Sampling, generate, sample_next

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
        ids.append(int(sample_next(logits, SAMPLING, generator)))
    return ids[len(PROMPT) :]


def batched(rows: int, decoder: Decoder, new: int) -> list[int]:
    """Each step reads one token of every row."""
    prompts = [PROMPT] * rows
    made = generate_batch(decoder, prompts, new, SAMPLING, generator=torch.Generator())
    return [i for ids in made for i in ids]


WAYS: dict[str, tuple[int, Callable[[Decoder, int], list[int]]]] = {
    "from the cache": (1, cached),
    "without it": (1, uncached),
    "batch of 8": (8, partial(batched, 8)),
    "batch of 32": (32, partial(batched, 32)),
}


def rate(name: str, decoder: Decoder, new: int) -> float:
    """New tokens a second in one run."""
    rows, generate_rows = WAYS[name]
    start = time.perf_counter()
    if len(generate_rows(decoder, new)) != rows * new:
        raise RuntimeError("fewer tokens than asked for")
    return rows * new / (time.perf_counter() - start)


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

    for name in WAYS:
        rate(name, decoder, min(new, 20))
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repetitions):
        for name, measured in rates.items():
            measured.append(rate(name, decoder, new))
    base = max(rates["from the cache"])
    for name, measured in rates.items():
        best, median = max(measured), statistics.median(measured)
        print(f"{name:15s} {best:8.1f} tokens/s {median:8.1f} median {best / base:6.2f} x")


if __name__ == "__main__":
    main()
