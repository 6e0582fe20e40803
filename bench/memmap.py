"""Ten gigabytes of tokens on disk: what the loaders cost in memory, and beside a training step.

    PYTHONPATH=. python bench/memmap.py                 minutes, and 10 GB of free disk
    PYTHONPATH=. python bench/memmap.py --quick         0.1 and 0.2 GB, few batches
    PYTHONPATH=. python bench/memmap.py --folder /data  where the file is written

Files of 1, 5 and 10 GB of uint16 tokens are written as stage 4 writes them. On each, every loader
of `Blocks`, and a mixture of two halves, draws batches of as many rows as `auto` picks, in a
process of its own. Shown are the process's anonymous memory before (the interpreter, torch and the
opened file) and how much it grew by the end; its pages of the file, which the system takes
back when it wants; and a batch's time with the file out of the page cache ("cold", the cache
dropped before) and in it, both medians. The shares are of one training step of the default small
decoder on the same rows, measured in the same process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

GB = 10**9
WAYS = ("random", "overlapping", "blocks", "mixture")
SIZES, QUICK_SIZES = (1.0, 5.0, 10.0), (0.1, 0.2)


def write(path: Path, size: int, vocabulary: int) -> None:
    """An array file of `size` bytes of random tokens, on the disk and not only in memory."""
    from pipeline.training.memmap import writing

    draw = np.random.default_rng(1)
    with writing(path, "uint16") as writer:
        for left in range(size, 0, -(1 << 26)):
            writer.append(draw.integers(0, vocabulary, min(left, 1 << 26) // 2, dtype=np.uint16))
        writer.info["chat_tokens"] = writer.count // 2


def memory() -> dict[str, float]:
    """This process's anonymous and file-backed resident memory in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in lines if "Rss" in line}


def drop_cache(path: Path) -> None:
    """Let the system forget the file's pages; they are on the disk already."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def alone(
    path: Path, loader: str, batches: int, steps: int, vocabulary: int, threads: int
) -> dict[str, float]:
    """In the measured process: one loader on one file, then training steps on its rows."""
    import torch

    from pipeline.training import auto
    from pipeline.training.batches import Blocks, Mixture
    from pipeline.training.memmap import ArrayFile
    from transformer.decoder import Decoder
    from transformer.presets import preset

    torch.set_num_threads(threads)
    config = preset("small", vocab_size=vocabulary)
    block = config.block
    size = auto.batch("auto", block)
    with ArrayFile(path) as file:
        half = file.info["chat_tokens"]
        if loader == "mixture":
            halves = (Blocks(ids, block, "overlapping", 1) for ids in np.split(file.values, [half]))
            data: Blocks | Mixture = Mixture(*halves, chat_share=0.3, late_chat_share=0.5)
        else:
            data = Blocks(file.values, block, loader, 1)

        def draw(first: int) -> float:
            durations = []
            for number in range(first, first + batches):
                began = time.perf_counter()
                data.batch(number * size, size, late=number % 2 == 1)
                durations.append(time.perf_counter() - began)
            return statistics.median(durations)

        data.batch(0, size)
        drop_cache(path)
        before = memory()
        cold = draw(1)
        warm = draw(1)
        after = memory()
        decoder = Decoder(config, torch.Generator().manual_seed(0))
        step = stepping(decoder, lambda number: data.batch(number * size, size))
        step(0)
        durations = []
        for number in range(1, steps + 1):
            began = time.perf_counter()
            step(number)
            durations.append(time.perf_counter() - began)
    return {
        "rows": size,
        "before": before["RssAnon"],
        "grown": after["RssAnon"] - before["RssAnon"],
        "file": after["RssFile"],
        "cold": cold,
        "warm": warm,
        "step": statistics.median(durations),
    }


def stepping(
    decoder: object, batch: Callable[[int], tuple[object, object]]
) -> Callable[[int], None]:
    """A whole step: the batch, forward, backward, clipping and the optimizers."""
    import torch

    from pipeline.training.loss import summed
    from pipeline.training.optimizer import optimizers, set_rate

    optims = optimizers(decoder, 0.1)
    set_rate(optims, 1e-3)

    def step(number: int) -> None:
        nats, targets = summed(decoder, *batch(number))
        (nats / targets).backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in optims:
            optimizer.step()
        decoder.zero_grad()

    return step


def main() -> None:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="0.1 and 0.2 GB, few batches")
    parser.add_argument("--folder", type=Path, help="for the file; the system's temporary one")
    parser.add_argument("--vocabulary", type=int, default=4096, help="the decoder's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        path, loader, batches, steps = given.alone
        how = int(batches), int(steps), given.vocabulary, given.threads
        figures = alone(Path(path), loader, *how)
        print(json.dumps(figures))
        return
    sizes = [int(n * GB) for n in (QUICK_SIZES if given.quick else SIZES)]
    batches, steps = (50, 1) if given.quick else (500, 5)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        free = shutil.disk_usage(folder).free
        if free < max(sizes) + GB:
            sys.exit(
                f"{folder} has {free / GB:.0f} GB free, too few for the file: name a --folder."
            )
        print(
            "GB     loader     rows before  grown  of the file, MB   cold  warm, ms   step, ms  "
            "shares"
        )
        for size in sizes:
            path = Path(folder) / "tokens.bin"
            write(path, size, given.vocabulary)
            for loader in WAYS:
                words = ["--alone", str(path), loader, str(batches), str(steps)]
                words += ["--threads", str(given.threads), "--vocabulary", str(given.vocabulary)]
                done = subprocess.run(
                    [sys.executable, __file__, *words], stdout=subprocess.PIPE, check=True
                )
                row = json.loads(done.stdout)
                print(
                    f"{size / GB:<6g} {loader:12s} {row['rows']:3d} {row['before']:6.0f} "
                    f"{row['grown']:6.1f} {row['file']:12.0f} "
                    f"{1e3 * row['cold']:10.2f} {1e3 * row['warm']:6.2f} "
                    f"{1e3 * row['step']:12.0f} {row['cold'] / row['step']:9.2%} "
                    f"{row['warm'] / row['step']:6.2%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
