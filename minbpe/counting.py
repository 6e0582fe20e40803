"""How often each piece of a pattern occurs in a text, counted once on all processor cores.

Most of a text is words that occurred before, and running the pattern over them again is wasted
work. So a text is first cut before every space that follows a visible character, which is a safe
border (`stream.py`) and quick to find; equal parts are counted; and the pattern runs over each
distinct part once. (Worker processes import this module, so it stays free of numba.)
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import regex  # type: ignore[import-untyped, unused-ignore]

from minbpe import stream
from minbpe.base import TokenizerError, replace_surrogates
from minbpe.parallel import parallel_map

SAMPLED = 1 << 14  # characters of a text that a sample includes or omits together

_SPACE = re.compile(r" (?<=\S )")
_SEPARATOR = "\ud800"  # half a surrogate pair, which never occurs in text after replacement
_SEPARATOR_BYTES = _SEPARATOR.encode("utf-8", "surrogatepass")


def count_pieces(
    texts: str | Path | Iterable[str | Path],
    pattern: str,
    workers: int | None = None,
    sample: float = 1.0,
    seed: int = 0,
) -> dict[bytes, int]:
    """The UTF-8 bytes of each distinct piece → how often it occurs.

    No piece spans two texts. `pattern` is a regular expression. The result is the same for any
    number of workers.

    Raises:
        TokenizerError: a file cannot be read, or the sample is empty although there is text.
    """
    if sample < 1:
        batches = stream.batches(_sampled(stream.pieces(texts, SAMPLED), sample, seed))
    else:
        batches = stream.batches(stream.pieces(texts))
    counts: dict[bytes, int] = {}
    for pieces, numbers in parallel_map(partial(_count_batch, pattern), batches, workers):
        known = counts.get
        for piece, number in zip(pieces.split(_SEPARATOR_BYTES), array("q", numbers), strict=True):
            counts[piece] = known(piece, 0) + number
    return counts


def _sampled(texts: Iterable[str], fraction: float, seed: int) -> Iterator[str]:
    """About that fraction of the texts, selected by their content and the seed alone."""
    limit = int(fraction * (1 << 64))
    salt = seed.to_bytes(8, "big")
    seen = selected = 0
    for text in texts:
        seen += 1
        data = replace_surrogates(text).encode("utf-8")
        if int.from_bytes(hashlib.blake2b(data, digest_size=8, salt=salt).digest(), "big") < limit:
            selected += 1
            yield text
    if seen and not selected:
        raise TokenizerError(
            f"a sample of {fraction:g} of so little text is empty: choose a larger fraction"
        )


def _count_batch(pattern: str, texts: list[str]) -> tuple[bytes, bytes]:
    """Some texts' pieces, joined by separators, and their counts as 64-bit integers.

    Two long byte strings pass between processes much faster than a dict does.
    """
    counts = count(texts, regex.compile(pattern).findall)
    joined = _SEPARATOR.join(counts).encode("utf-8", "surrogatepass")
    return joined, array("q", counts.values()).tobytes()


def count(texts: Iterable[str], split: Callable[[str], list[str]]) -> Counter[str]:
    """How often each piece occurs; `split` returns the pieces of a text."""
    counts: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    for text in texts:
        first, *rest = _SPACE.split(replace_surrogates(text))
        counts.update(split(first))
        if rest:
            counts.update(split(" " + rest.pop()))  # it may end in spaces, so it is not joined
        parts.update(rest)
    parts_by_count: dict[int, list[str]] = defaultdict(list)
    for part, number in parts.items():
        parts_by_count[number].append(part)
    for number, equally_frequent in parts_by_count.items():
        for piece, times in Counter(split(" " + " ".join(equally_frequent))).items():
            counts[piece] += number * times
    return counts
