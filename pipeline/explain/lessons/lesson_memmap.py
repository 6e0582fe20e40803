"""Why token ids are in a memory-mapped file and not in a pickle: time and memory, measured here."""

from __future__ import annotations

import pickle
import tempfile
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from timeit import repeat
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.explain.figures import lines
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.training.batches import Blocks
from pipeline.training.memmap import ArrayFile, writing

TOKENS = (250_000, 500_000, 1_000_000)
BLOCK, ROWS = 256, 16
VOCABULARY = 4096
REPEATS = 3
MIB = 2**20

Ids = NDArray[np.integer]


class Cost(NamedTuple):
    """What a format costs until the first batch is ready."""

    file: float  # MiB on disk
    seconds: float
    memory: float  # peak MiB that Python and numpy allocated


def _first_batch(ids: Ids) -> None:
    Blocks(ids, BLOCK, "overlapping", seed=0).batch(0, ROWS)


def _write_mapped(path: Path, ids: Ids) -> None:
    with writing(path, "uint16") as writer:
        writer.append(ids)


def _read_mapped(path: Path) -> None:
    with ArrayFile(path) as file:
        _first_batch(file.values)


# Format → how to write ids, and how to read a first batch.
FORMATS: Mapping[str, tuple[Callable[[Path, Ids], object], Callable[[Path], None]]] = {
    "pickle of a list": (
        lambda path, ids: path.write_bytes(pickle.dumps(ids.tolist())),
        lambda path: _first_batch(np.array(pickle.loads(path.read_bytes()))),
    ),
    "pickle of an array": (
        lambda path, ids: path.write_bytes(pickle.dumps(ids)),
        lambda path: _first_batch(pickle.loads(path.read_bytes())),
    ),
    "memory-mapped file": (_write_mapped, _read_mapped),
}


def cost(name: str, tokens: int, folder: Path) -> Cost:
    """Write `tokens` ids in a format, open the file, and read a batch."""
    write, read = FORMATS[name]
    path = folder / "ids"
    write(path, np.random.default_rng(1).integers(0, VOCABULARY, tokens, dtype=np.uint16))
    seconds = min(repeat(lambda: read(path), number=1, repeat=REPEATS))
    tracemalloc.start()  # counts no pages of a mapped file
    try:
        read(path)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = path.stat().st_size
    path.unlink()
    return Cost(size / MIB, seconds, memory / MIB)


def lesson(request: Request) -> Lesson:
    """Three formats at three sizes."""
    with tempfile.TemporaryDirectory() as folder:
        costs = {name: [cost(name, n, Path(folder)) for n in TOKENS] for name in FORMATS}
    largest = {name: each[-1] for name, each in costs.items()}
    ratio = largest["pickle of a list"].memory / largest["memory-mapped file"].memory

    rows = [
        (name, f"{c.file:.1f}", f"{1000 * c.seconds:.1f}", f"{c.memory:.2f}")
        for name, c in largest.items()
    ]

    def draw(figure: Figure) -> None:
        millions = [n / 1e6 for n in TOKENS]
        left, right = figure.subplots(1, 2)
        times = {name: (millions, [1000 * c.seconds for c in each]) for name, each in costs.items()}
        memory = {name: (millions, [c.memory for c in each]) for name, each in costs.items()}
        for axes, curves, title in (
            (left, times, "until the first batch, ms"),
            (right, memory, "memory allocated, MiB"),
        ):
            lines(axes, curves)
            axes.set(title=title, xlabel="millions of ids", xscale="log", yscale="log")
            axes.set_xticks(millions, [f"{n:g}" for n in millions])
            axes.minorticks_off()
            axes.legend()

    return Lesson(
        "Memmap: opening text that is larger than memory",
        (
            "Training reads a few random places of a long row of ids at a time. A pickle has to be "
            "read to its end first and becomes objects in memory: a list holds an 8-byte pointer "
            "for each id, to a Python number of 28 bytes. Opening a memory-mapped file only notes "
            "where it is. The system loads the pages that are accessed, and drops them again when "
            "memory is short.",
            Table.of(
                f"{TOKENS[-1]:,} ids: until the first batch of {ROWS} rows of {BLOCK}",
                "format | file, MiB | ms | memory, MiB",
                rows,
            ),
            f"The list takes {ratio:,.0f} times the memory of the mapped file here. Both pickles "
            "grow with the text, while the mapped file stays on disk: a billion ids open as "
            "quickly as a thousand. Ids are written as uint16 (two bytes) where the vocabulary has "
            "at most 65,536 tokens. A pickled array is fast too, as long as it fits: it is read "
            "whole, and for a moment is in memory twice.",
            "A pickle is also a program: opening one from somebody else can execute anything. "
            "The array file is a JSON header followed by numbers. And several processes that map "
            "the same file share its pages.",
            "Memory is the peak that Python and numpy allocated. The pages of the mapped file come "
            "on top, as long as the system has room for them. Times vary from run to run.",
        ),
        draw,
        (8.4, 3.7),
        (
            "Python documentation, pickle (its warning) and mmap; numpy.memmap.",
            "Code: pipeline/training/memmap.py, batches.py. Ten gigabytes: bench/memmap.py.",
        ),
    )
