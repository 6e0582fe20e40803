"""Learn the merges of `basic.py`, but in seconds: count once, then keep the counts up to date.

Three ideas. Text repeats itself, so distinct pieces are counted and each is merged once, with
its count as weight. A merge changes only the pieces that contain the pair, and only the counts
beside it. And the most frequent pair comes from a heap that may hold outdated counts: counts of
a pair only fall once its round is over, so an entry that no longer holds is put back with the
lower count when it comes up (Sennrich's and Hugging Face's trainers work alike).

Equal counts: the pair with the smaller left id, then the smaller right id, is merged first. The
result depends on the counts alone, not on the order of the texts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Protocol

from minbpe.base import BYTES, Pair, replace_surrogates

Progress = Callable[[int, int], None]  # progress(merges done, merges asked for)


class Splitter(Protocol):
    """A compiled pattern, as far as counting needs it."""

    def findall(self, string: str, /) -> list[str]: ...


def count_pieces(texts: Iterable[str], splitter: Splitter) -> Counter[str]:
    """How often each piece occurs. No piece reaches from one text into the next."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(splitter.findall(replace_surrogates(text)))
    return counts


def learn_merges(
    pieces: Mapping[str, int], limit: int, progress: Progress | None = None
) -> list[Pair]:
    """Up to `limit` merges, in the order learned; fewer only when no pair is left.

    `pieces` maps each distinct piece to how often it occurs.
    """
    words = _Words(pieces)
    merges: list[Pair] = []
    while len(merges) < limit and (pair := words.most_frequent()) is not None:
        words.join(pair, BYTES + len(merges))
        merges.append(pair)
        if progress is not None:
            progress(len(merges), limit)
    return merges


class _Words:
    """The distinct pieces as ids, with the count of every pair in them."""

    def __init__(self, pieces: Mapping[str, int]) -> None:
        self.words = [list(piece.encode("utf-8")) for piece in pieces]
        self.weights = list(pieces.values())
        self.counts: dict[Pair, int] = defaultdict(int)
        self.where: dict[Pair, set[int]] = defaultdict(set)  # words that have, or had, the pair
        for index, word in enumerate(self.words):
            for pair in pairwise(word):
                self.counts[pair] += self.weights[index]
                self.where[pair].add(index)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]
        heapify(self.heap)

    def most_frequent(self) -> Pair | None:
        """The next pair to merge, taken off the heap; None when no pair is left."""
        while self.heap:
            negative, pair = heappop(self.heap)
            count = self.counts.get(pair, 0)
            if count == -negative:
                return pair
            if count:
                heappush(self.heap, (-count, pair))
        return None

    def join(self, pair: Pair, new_id: int) -> None:
        """Put `new_id` in place of `pair` in all words, and the counts right."""
        changes: dict[Pair, int] = defaultdict(int)
        for index in self.where.pop(pair):
            self._join_in_word(index, pair, new_id, changes)
        changes.pop(pair, None)
        del self.counts[pair]  # none is left: merging from left to right leaves no pair behind
        for changed, change in changes.items():
            count = self.counts.get(changed, 0) + change
            if not count:
                self.counts.pop(changed, None)
                self.where.pop(changed, None)
                continue
            self.counts[changed] = count
            if new_id in changed:
                heappush(self.heap, (-count, changed))

    def _join_in_word(self, index: int, pair: Pair, new_id: int, changes: dict[Pair, int]) -> None:
        """Join `pair` in one word; `changes` gathers what that does to the counts of others."""
        left, right = pair
        word, weight = self.words[index], self.weights[index]
        last = len(word) - 1
        joined: list[int] = []
        i = 0
        while i <= last:
            if word[i] != left or i == last or word[i + 1] != right:
                joined.append(word[i])
                i += 1
                continue
            if joined:
                changes[joined[-1], left] -= weight
                changes[joined[-1], new_id] += weight
                self.where[joined[-1], new_id].add(index)
            if i + 1 < last:
                changes[right, word[i + 2]] -= weight
                changes[new_id, word[i + 2]] += weight
                self.where[new_id, word[i + 2]].add(index)
            joined.append(new_id)
            i += 2
        self.words[index] = joined
