"""A step of two processes on this machine: our exchange of gradients beside torch's DDP.

    PYTHONPATH=. python bench/exchange.py [--turns 7]

The same decoder, rows and optimizers, one thread a process, gloo. In each turn both take steps
alternately within the same two processes, and the fastest of three counts; what is printed is the
median ratio with its range. Memory is the peak of the first process, in a run of each way alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel
from train_step import peak

from pipeline.training.exchange import Exchange
from pipeline.training.loss import Objective
from pipeline.training.optimizer import optimizers, set_rate
from transformer.decoder import Decoder
from transformer.presets import preset

ROWS, VOCABULARY, STEPS = 4, 4096, 3
WAYS = ("ours", "DDP")


def made(way: str) -> Callable[[], None]:
    """A step by one way of exchanging gradients."""
    config = preset("small", vocab_size=VOCABULARY, padding_id=0, block=256, tied=False)
    decoder = Decoder(config, torch.Generator().manual_seed(1)).train()
    found = optimizers(decoder, 0.1)
    set_rate(found, 1e-3)
    objective: nn.Module = Objective(decoder)
    exchange = Exchange(decoder) if way == "ours" else None
    if way == "DDP":
        objective = DistributedDataParallel(objective, forward_sync_buffers=False)
    drawn = torch.Generator().manual_seed(distributed.get_rank())
    x, y = torch.randint(0, VOCABULARY, (2, ROWS, 256), generator=drawn)

    def step() -> None:
        if exchange:
            exchange.begin()
        (objective(x, y) / y.numel()).backward()
        if exchange:
            exchange.end()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in found:
            optimizer.step()
        decoder.zero_grad()

    return step


def process(rank: int, place: str, ways: tuple[str, ...], turns: int, out: Any) -> None:
    """One of the two: all steps of all turns; the first one tells what they took."""
    torch.set_num_threads(1)
    store = distributed.FileStore(place, 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    steps = {way: made(way) for way in ways}
    for step in steps.values():
        for _ in range(3):  # DDP orders its buckets anew after the first
            step()
    found = []
    for turn in range(turns):
        order = [*steps.items()][:: -1 if turn % 2 else 1]
        found.append({way: min(taken(step) for _ in range(STEPS)) for way, step in order})
    if rank == 0:
        out.put((found, peak()))
    distributed.barrier()
    distributed.destroy_process_group()


def taken(step: Callable[[], None]) -> float:
    distributed.barrier()
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def measured(ways: tuple[str, ...], turns: int) -> Any:
    """Seconds of a step, turn by turn, and the first process's peak in MB."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "store")
        run = partial(context.Process, target=process)
        both = [run(args=(rank, place, ways, turns, out)) for rank in range(2)]
        for one in both:
            one.start()
        found = out.get(timeout=600)
        for one in both:
            one.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    found, _ = measured(WAYS, turns)
    ratios = sorted(turn["DDP"] / turn["ours"] for turn in found)
    for way in WAYS:
        print(f"{way}: {1e3 * statistics.median(turn[way] for turn in found):.0f} ms a step")
    print(f"{statistics.median(ratios):.2f} x DDP ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    for way in WAYS:
        print(f"{way}: {measured((way,), 1)[1]:.0f} MB at most")


if __name__ == "__main__":
    main()
