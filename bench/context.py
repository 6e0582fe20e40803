"""What a long context costs: patterns, linear and latent attention beside full attention.

    PYTHONPATH=. python bench/context.py            8,192 tokens, some minutes
    PYTHONPATH=. python bench/context.py --quick    1,024 tokens

A decoder of random float32 weights (vocabulary 1029, width 512, 4 layers, 8 heads, rotary
positions) reads a prompt and then goes on from its cache, token by token. Every variant runs in a
process of its own, so that memory can be told apart, on one thread, and all take turns as often as
there are repetitions; the least time of the processor counts, which a busy machine disturbs less
than that of the clock. Memory is the peak of the process above what it had with weights alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from transformer.config import ModelConfig
from transformer.decoder import Decoder

STEPS = 32


def variants(context: int) -> dict[str, dict[str, Any]]:
    """Each sees about an eighth of the context, where it does not see all of it."""
    near = context // 8
    return {
        "full": {},
        "full, grouped": {"kv_heads": 2},
        "local": {"pattern": "local", "window": near},
        "dilated": {"pattern": "dilated", "window": near // 4, "dilation": 4},
        "chunked": {"pattern": "chunked", "window": near},
        "global_local": {"pattern": "global_local", "window": near, "global_tokens": 16},
        "bigbird": {
            "pattern": "bigbird",
            "window": near // 2,
            "global_tokens": 64,
            "random_blocks": 3,
            "pattern_block": 64,
        },
        "linear": {"attention": "linear"},
        "latent": {"attention": "latent", "kv_heads": 0},
    }


def measure(name: str, context: int, threads: int) -> dict[str, float]:
    """Prompt and steps of one variant, in seconds and bytes."""
    torch.set_num_threads(threads)
    shape = {"vocab_size": 1029, "block": context, "width": 512, "heads": 8, "kv_heads": 8}
    config = ModelConfig(**{**shape, **variants(context)[name]})
    decoder = Decoder(config, torch.Generator().manual_seed(0)).eval()
    ids = torch.randint(1029, (1, context), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        decoder.hidden(ids[:, :64], decoder.new_cache())  # what is made at the first call
        gc.collect()
        before, cache = _resident(), decoder.new_cache()
        start = time.process_time()
        decoder.hidden(ids[:, :-STEPS], cache)
        prompt = time.process_time() - start
        steps = []
        for one in ids[:, -STEPS:].split(1, dim=1):
            start = time.process_time()
            decoder.hidden(one, cache)
            steps.append(time.process_time() - start)
    kept = sum(t.numel() * t.element_size() for layer in cache.layers for t in layer.tensors)
    return {"prompt": prompt, "step": min(steps), "kept": kept, "peak": _peak() - before}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="an eighth of the context")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    context, repetitions = (1024, 1) if args.quick else (8192, 2)
    if args.only:
        print(json.dumps(measure(args.only, context, args.threads)))
        return
    best: dict[str, dict[str, float]] = {}
    for _ in range(repetitions):
        for name in variants(context):
            command = [sys.executable, *sys.argv, "--only", name]
            figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            old = best.get(name, figures)
            best[name] = {key: min(value, old[key]) for key, value in figures.items()}
    print(f"{context} tokens, {args.threads} threads, torch {torch.__version__}")
    print("| | prompt | a token | kept | peak |\n|---|---|---|---|---|")
    full = best["full"]
    for name, figures in best.items():
        share = {key: f"{value / full[key]:.2f}" for key, value in figures.items()}
        print(
            f"| {name} | {figures['prompt']:.2f} s ({share['prompt']}) "
            f"| {figures['step'] * 1e3:.2f} ms ({share['step']}) "
            f"| {figures['kept'] / 2**20:.2f} MiB ({share['kept']}) "
            f"| {figures['peak'] / 2**20:.0f} MiB ({share['peak']}) |"
        )


if __name__ == "__main__":
    main()
