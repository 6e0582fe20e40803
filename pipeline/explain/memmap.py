"""Why the ids lie in a mapped file and not in a pickle: time and memory, measured here."""

from __future__ import annotations

import pickle
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.training.batches import Blocks
from pipeline.training.memmap import ArrayFile, writing

TOKENS = (250_000, 500_000, 1_000_000)
BLOCK, ROWS = 256, 16
VOCABULARY = 4096
TRIES = 3
MIB = 2**20


class Cost(NamedTuple):
    """Of one way to keep the ids, until the first batch is there."""

    file: float  # MiB on disk
    seconds: float
    memory: float  # MiB that Python and numpy asked for, at the most


def _batch(ids: Any) -> None:
    Blocks(ids, BLOCK, "overlapping", seed=0).batch(0, ROWS)


def _write_list(path: Path, ids: Any) -> None:
    path.write_bytes(pickle.dumps(ids.tolist()))


def _write_array(path: Path, ids: Any) -> None:
    path.write_bytes(pickle.dumps(ids))


def _write_mapped(path: Path, ids: Any) -> None:
    with writing(path, "uint16") as writer:
        writer.append(ids)


def _read_list(path: Path) -> None:
    _batch(np.array(pickle.loads(path.read_bytes())))


def _read_array(path: Path) -> None:
    _batch(pickle.loads(path.read_bytes()))


def _read_mapped(path: Path) -> None:
    with ArrayFile(path) as file:
        _batch(file.values)


WAYS: Mapping[str, tuple[Callable[[Path, Any], None], Callable[[Path], None]]] = {
    "pickle of a list": (_write_list, _read_list),
    "pickle of an array": (_write_array, _read_array),
    "mapped file": (_write_mapped, _read_mapped),
}


def cost(way: str, tokens: int, folder: Path) -> Cost:
    """Write so many ids one way, open them, and take a batch."""
    write, read = WAYS[way]
    path = folder / "ids"
    write(path, np.random.default_rng(1).integers(0, VOCABULARY, tokens, dtype=np.uint16))
    opened = partial(read, path)
    found = Cost(path.stat().st_size / MIB, _quickest(opened), _peak(opened) / MIB)
    path.unlink()
    return found


def _quickest(work: Callable[[], None]) -> float:
    """Seconds of the best of some tries: others are slowed by what else the machine does."""
    taken = []
    for _ in range(TRIES):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _peak(work: Callable[[], None]) -> int:
    """The most memory that `work` asked for; pages of a mapped file are not asked for."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def explain(asked: Asked) -> Lesson:
    """Three ways at three sizes."""
    with tempfile.TemporaryDirectory() as folder:
        found = {way: [cost(way, n, Path(folder)) for n in TOKENS] for way in WAYS}
    most = {way: costs[-1] for way, costs in found.items()}
    listed, mapped = most["pickle of a list"], most["mapped file"]
    return Lesson(
        "Memmap: opening text that is larger than the memory",
        (
            "Training wants a few random places of a long row of ids at a time. A pickle must be "
            "read to its end first, and becomes objects in memory: a list holds a pointer of 8 "
            "bytes for each id, to a Python number of 28. A mapped file is opened by noting "
            "where it lies. The system fetches the pages that are looked at, and takes them back "
            "when memory is short.",
            Table.of(
                f"{TOKENS[-1]:,} ids: until the first batch of {ROWS} rows of {BLOCK}",
                "way | file, MiB | ms | memory, MiB",
                (
                    (way, f"{c.file:.1f}", f"{1000 * c.seconds:.1f}", f"{c.memory:.2f}")
                    for way, c in most.items()
                ),
            ),
            f"The list takes {listed.memory / mapped.memory:,.0f} times the memory of the mapped "
            "file here. Both pickles grow with the text, while the mapped file stays where it "
            "is: a billion ids open as quickly as a thousand. Ids are written as uint16 (two "
            "bytes) where the vocabulary has at most 65,536 tokens. A pickled array is quick too, "
            "as long as it fits: it is read whole, and stands in memory twice on the way.",
            "A pickle is also a program: opening one from somebody else can run anything. "
            "The array file is a header of JSON, then numbers. And several processes that map the "
            "same file share its pages.",
            "Memory is what Python and numpy asked for at the most. The pages of the mapped file "
            "come on top, as long as the system has room for them. Times vary from run to run.",
        ),
        lambda figure: _draw(figure, found),
        (8.4, 3.7),
        (
            "Python documentation, pickle (its warning) and mmap; numpy.memmap.",
            "Code: pipeline/training/memmap.py, batches.py. Ten gigabytes: bench/memmap.py.",
        ),
    )


def _draw(figure: Any, found: dict[str, list[Cost]]) -> None:
    from pipeline.explain.plots import lines

    sizes = [n / 1e6 for n in TOKENS]
    time_axes, memory_axes = figure.subplots(1, 2)
    seconds = {way: (sizes, [1000 * c.seconds for c in costs]) for way, costs in found.items()}
    memory = {way: (sizes, [c.memory for c in costs]) for way, costs in found.items()}
    for axes, curves, title in (
        (time_axes, seconds, "until the first batch, ms"),
        (memory_axes, memory, "memory asked for, MiB"),
    ):
        lines(axes, curves)
        axes.set(title=title, xlabel="millions of ids", xscale="log", yscale="log")
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        axes.legend()
