"""How often each piece of a pattern occurs in a text, counted once by all processor cores.

Most of a text is words that it has had before, and running the pattern over them again teaches
nothing. So a text is first cut before every space that a visible character precedes, which is a
safe border (`stream.py`) and quick to find; equal parts are counted; and the pattern runs over each
distinct part once.
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
from minbpe.parallel import spread

Counts = dict[bytes, int]
Packed = tuple[bytes, bytes]  # the pieces, a separator between; their counts as 64-bit integers

SAMPLED = 1 << 14  # characters of a text that a sample takes or leaves as a whole

_PARTS = re.compile(r" (?<=\S )")
_SEPARATOR = "\ud800"  # half a surrogate pair, which no text has once it is replaced
_SEPARATED = _SEPARATOR.encode("utf-8", "surrogatepass")


def count_pieces(
    texts: str | Path | Iterable[str | Path],
    pattern: str,
    workers: int | None = None,
    sample: float = 1.0,
    seed: int = 0,
) -> Counts:
    """The UTF-8 bytes of each distinct piece → how often it occurs.

    No piece reaches from one text into the next. `pattern` is a regular expression. The result
    is the same for any number of workers.

    Raises:
        TokenizerError: a file cannot be read, or the sample is empty though there is text.
    """
    sized = stream.pieces(texts, stream.SIZE if sample >= 1 else SAMPLED)
    batches = stream.batches(sized if sample >= 1 else _sampled(sized, sample, seed))
    counts: Counts = {}
    for pieces, numbers in spread(partial(_count_batch, pattern), batches, workers):
        known = counts.get
        for piece, number in zip(pieces.split(_SEPARATED), array("q", numbers), strict=True):
            counts[piece] = known(piece, 0) + number
    return counts


def _sampled(texts: Iterable[str], share: float, seed: int) -> Iterator[str]:
    """About that share of the texts, chosen by their content and the seed alone."""
    limit = int(share * (1 << 64))
    salt = seed.to_bytes(8, "big")
    passed = chosen = 0
    for text in texts:
        passed += 1
        data = replace_surrogates(text).encode("utf-8")
        if int.from_bytes(hashlib.blake2b(data, digest_size=8, salt=salt).digest(), "big") < limit:
            chosen += 1
            yield text
    if passed and not chosen:
        raise TokenizerError(
            f"a sample of {share:g} takes nothing of so little text: choose a larger share"
        )


def _count_batch(pattern: str, texts: list[str]) -> Packed:
    """The pieces of some texts, packed for the way between processes."""
    counts = count(texts, regex.compile(pattern).findall)
    joined = _SEPARATOR.join(counts).encode("utf-8", "surrogatepass")
    return joined, array("q", counts.values()).tobytes()


def count(texts: Iterable[str], split: Callable[[str], list[str]]) -> Counter[str]:
    """How often each piece occurs; `split` gives the pieces of a text."""
    counts: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    for text in texts:
        first, *rest = _PARTS.split(replace_surrogates(text))
        counts.update(split(first))
        if rest:
            counts.update(split(" " + rest.pop()))  # it may end in spaces, so it stays alone
        parts.update(rest)
    alike: dict[int, list[str]] = defaultdict(list)
    for part, number in parts.items():
        alike[number].append(part)
    for number, group in alike.items():
        for piece, times in Counter(split(" " + " ".join(group))).items():
            counts[piece] += number * times
    return counts
