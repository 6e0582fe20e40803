"""How long opening published weights takes, and how much memory, beside transformers.

    PYTHONPATH=. python bench/load.py            about five minutes, most of them transformers
    PYTHONPATH=. python bench/load.py --quick    one repetition, without the GGUF file

Two models: a folder of random bfloat16 weights in the shape of SmolLM2-135M, written for this, and
SmolLM2's own GGUF file where it is installed (docs/pretrained.md). Each opening runs in a process
of its own, the two sides in turns; seconds are those of the call, imports left out, and those
until the first logits, since transformers leaves a folder's weights in the file until they are
used. Memory is the process's own (RssAnon, which leaves out mapped files), read a thousand times a
second: its peak while opening and what is held then, both above what was held before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def own_memory() -> float:
    """MiB that belong to this process alone."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def measured(open_it: Callable[[], Callable[[Any], object]]) -> dict[str, float]:
    """Seconds to open and to the first logits, and MiB at the peak and afterwards."""
    import torch

    start, peak, done = own_memory(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    model = open_it()
    seconds = time.perf_counter() - began
    held = own_memory()
    done.set()
    watcher.join()
    with torch.no_grad():
        model(torch.tensor([[1]]))
    logits = time.perf_counter() - began
    return {
        "seconds": seconds,
        "logits": logits,
        "peak": max(peak, held) - start,
        "held": held - start,
    }


def here(path: str) -> dict[str, float]:
    """Open with this project."""
    import transformer.pretrained.gguf_file  # noqa: F401 (now, not during the call)
    from transformer.pretrained.reading import load

    return measured(lambda: load(path))


def there(path: str) -> dict[str, float]:
    """Open with transformers, in the dtype of the file."""
    from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401 (the same)
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder, file = (path, None) if Path(path).is_dir() else (Path(path).parent, Path(path).name)
    return measured(lambda: AutoModelForCausalLM.from_pretrained(folder, gguf_file=file))


def write_random(folder: Path) -> None:
    """A folder in the shape of SmolLM2-135M."""
    import torch

    from transformer import pretrained
    from transformer.config import ModelConfig
    from transformer.decoder import Decoder

    config = ModelConfig(
        vocab_size=49152, block=8192, width=576, layers=30, heads=9, kv_heads=3, hidden=1536
    )
    pretrained.save(Decoder(config).to(torch.bfloat16), folder)


def run(side: str, path: Path) -> dict[str, float]:
    """One opening in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--side", side, str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return values


def main() -> None:
    """Measure and print, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repetition, no GGUF file")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("path", nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(SIDES[args.side](args.path)))
        return
    from transformer import pretrained
    from transformer.io import WeightsError

    with tempfile.TemporaryDirectory() as temporary:
        write_random(Path(temporary))
        models = {"folder, bfloat16": (Path(temporary), 1 if args.quick else 3)}
        if not args.quick:
            try:
                models["GGUF, Q4_1"] = (pretrained.smollm2_path(), 1)
            except WeightsError as error:
                print(f"left out: {error}")
        for name, (path, repetitions) in models.items():
            runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for _ in range(repetitions):
                for side, results in runs.items():
                    results.append(run(side, path))
            for side, results in runs.items():
                best = min(results, key=lambda result: result["seconds"])
                print(
                    f"{name:17s} {side:6s} {best['seconds']:7.2f} s, first logits"
                    f" {best['logits']:7.2f} s, peak {best['peak']:6.0f} MiB,"
                    f" held {best['held']:6.0f} MiB"
                )


SIDES = {"here": here, "there": there}


if __name__ == "__main__":
    main()
