"""Learn the merges of `basic.py` in seconds: count once, then keep the counts up to date.

Three ideas. Text repeats itself, so distinct pieces are counted (`counting.py`) and each is merged
once, weighted by its count. A merge changes only the places where its pair occurs, and only the
counts beside them. And the most frequent pair comes from a heap whose counts may be outdated: the
count of a pair only falls once its round is over, so an outdated entry is put back with the lower
count when it reaches the top (Sennrich's and Hugging Face's trainers do the same). The compiled
loops are in `merging.py`.

Equal counts: the pair with the smaller left id, then the smaller right id, is merged first. The
result depends on the counts alone, not on the order of the texts.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

import numpy as np

from minbpe import merging
from minbpe.base import BYTES, Pair, TokenizerError
from minbpe.merging import Int32, Int64

_MAX_PLACES = (1 << 31) - 1  # what 32-bit integers can number
_NEW_PAIRS = 2  # pairs that one merge adds at most, per id
_PROGRESS_SECONDS = 0.1  # between two reports of progress, about


def learn_merges(
    counts: MutableMapping[bytes, int],
    limit: int,
    progress: Callable[[int, int], None] | None = None,
    minimum: int = 1,
) -> list[Pair]:
    """Up to `limit` merges, in the order learned; fewer only when no pair is left.

    `counts` maps each distinct piece to how often it occurs. It is emptied on the way, since it
    may take up much of the memory. Pairs that occur fewer than `minimum` times are not merged.

    Raises:
        TokenizerError: the distinct pieces together are longer than 2 GiB.
    """
    capacity = BYTES * BYTES + _NEW_PAIRS * (BYTES + limit)
    pairs, heap = np.empty((capacity, 5), np.int64), np.empty(capacity, np.int32)
    tokens = np.full((BYTES + limit, 3), merging.NONE, np.int32)
    tokens[:BYTES, merging.SIZE] = 1
    merges, state = np.empty(limit, np.int64), np.zeros(3, np.int64)
    text, steps = _lay_out(counts, pairs, state)
    minimum = max(minimum, 1)  # a pair that no longer occurs must not be merged
    merging.fill_heap(0, minimum, pairs, heap, state)

    step, more, done = 1, True, 0
    while more and done < limit:
        start, until = time.monotonic(), min(limit, done + step)
        more = merging.merge(until, minimum, merges, text, steps, pairs, heap, tokens, state)
        if more and state[merging.MERGES] < until:  # `pairs` is full
            capacity += capacity // 2
            pairs.resize((capacity, 5), refcheck=False)
            heap.resize(capacity, refcheck=False)
        done = int(state[merging.MERGES])
        step = step * 2 if time.monotonic() - start < _PROGRESS_SECONDS else max(1, step // 2)
        if progress is not None:
            progress(done, limit)
    return [(name >> 32, name & 0xFFFFFFFF) for name in merges[:done].tolist()]


def _lay_out(counts: MutableMapping[bytes, int], pairs: Int64, state: Int64) -> tuple[Int32, Int64]:
    """The tables `text` and `steps` of `merging.py`: the words, the most frequent ones first."""
    lengths = np.fromiter(map(len, counts), np.int32, len(counts))
    weights = np.fromiter(counts.values(), np.int64, len(counts))
    letters = np.frombuffer(bytearray().join(counts), np.uint8)
    counts.clear()
    _release_memory()
    order = np.argsort(-weights, kind="stable")
    places = lengths[order] + np.int64(1)
    first = np.cumsum(places) - places + 1
    new = np.flatnonzero(np.diff(weights[order], prepend=0))
    steps = np.stack([first[new], weights[order][new]], axis=1)
    if len(letters) + len(lengths) >= _MAX_PLACES:
        raise TokenizerError("more than 2 GiB of distinct words: learn from a sample of the text")
    del places, first, new
    text = np.empty((len(letters) + len(lengths) + 1, 3), np.int32)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    merging.lay_out(letters, starts, lengths, order, text, steps, pairs, state)
    return text, steps


def _release_memory() -> None:
    """Return freed memory to the system; glibc would keep much of it after the counting."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
