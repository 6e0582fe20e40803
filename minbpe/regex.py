"""The tokenizer in use: split text into words first, and keep special tokens out of text's reach.

Splitting keeps merges inside words, numbers, runs of punctuation and runs of spaces, so that
"dog", "dog." and "dog!" share a token. It also turns a text into a collection of distinct pieces,
which makes training and encoding fast: a piece that was seen before is looked up.

Special tokens mark what text cannot say: where a turn begins or ends. `encode` never makes one
from text, unless its name is in `allowed_special`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path

import regex  # type: ignore[import-untyped, unused-ignore]

from minbpe.base import Pair, Tokenizer, TokenizerError, merges_for, replace_surrogates

# A pattern must match every character of any text, and mean the same to the `regex` module, to
# Oniguruma (in `tokenizers`) and to fancy-regex (in tiktoken). Their Unicode tables differ in age:
# they may split a recently added letter differently, and nothing else. And no match may cross the
# borders of `stream.py`, where long text is cut before it is split.
PATTERNS = {
    # GPT-2's encoder.py: https://github.com/openai/gpt-2/blob/master/src/encoder.py
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # GPT-4's, cl100k_base in tiktoken_ext/openai_public.py: https://github.com/openai/tiktoken
    "gpt4": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
    # GPT-4's, but a word includes its marks (vowel signs, diacritics) and joiners, a digit its
    # keycap, and the character before a word's first letter is never part of an emoji.
    "scripts": (
        r"'(?i:[sdmt]|ll|ve|re)(?![\p{L}\p{M}])"
        r"|[^\r\n\p{L}\p{N}\p{M}\p{So}\p{Sk}\p{Cf}]?+\p{L}[\p{L}\p{M}\u200c\u200d]*+"
        r"| ?[0-9#*]\ufe0f?\u20e3|\p{N}{1,3}(?!\ufe0f?\u20e3)|\p{N}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
}

DEFAULT = "scripts"  # no worse than gpt4 in any script, and far better in Indic ones

_CACHED_PIECES = 1 << 16
_CACHED_LENGTH = 32  # characters; longer pieces rarely recur


class RegexTokenizer(Tokenizer):
    """Byte pair encoding within the pieces of a pattern; see `Tokenizer` for the interface.

    `merges` are pairs of ids in the order learned, `pattern` is a key of `PATTERNS`, and the
    `special` names get the ids after the last merge, in the order given.
    """

    pattern: str

    def __init__(
        self, merges: Iterable[Pair] = (), pattern: str = DEFAULT, special: Iterable[str] = ()
    ) -> None:
        super().__init__(merges, special)
        if pattern not in PATTERNS:
            raise TokenizerError(f"no pattern {pattern!r}: choose one of {', '.join(PATTERNS)}")
        self.pattern = pattern
        self._split: Callable[[str], list[str]] = regex.compile(PATTERNS[pattern]).findall
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def train(
        cls,
        texts: str | Path | Iterable[str | Path],
        vocab_size: int,
        pattern: str = DEFAULT,
        special: Iterable[str] = (),
        progress: Callable[[int, int], None] | None = None,
        *,
        minimum_count: int = 1,
        sample: float = 1.0,
        seed: int = 0,
        workers: int | None = None,
    ) -> RegexTokenizer:
        """Learn from one text or many; a `Path` is a UTF-8 file, read as a stream.

        `vocab_size` counts the 256 bytes and the merges, not the special tokens. Training ends
        early, without an error, when no pair is left to merge. There are then fewer merges, and
        the special ids follow the last one; so take ids from `special` and the number of
        embedding rows from `size`, never from `vocab_size`.

        Args:
            progress: called as `progress(merges done, merges wanted)` from time to time.
            minimum_count: pairs that occur less often are not merged.
            sample: the fraction of the text to learn from, selected by a hash of the text and
                the `seed`.
            workers: the number of processes that count, one per core by default. A few megabytes
                are counted in this process.

        Raises:
            TokenizerError: `vocab_size` is below 256, the pattern is unknown, the special names
                are empty or repeated, a file cannot be read, or the sample is empty.
        """
        from minbpe.counting import count_pieces
        from minbpe.trainer import learn_merges  # numba takes half a second to import

        untrained = cls((), pattern, special)  # rejects bad settings before the long work
        limit = merges_for(vocab_size)
        counts = count_pieces(texts, PATTERNS[pattern], workers, sample, seed)
        return cls(learn_merges(counts, limit, progress, minimum_count), pattern, untrained.special)

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """The ids of a text. Only special tokens named in `allowed_special` are recognised.

        Where names overlap in the text, the leftmost wins, then the longest.

        Raises:
            TokenizerError: `allowed_special` names a token that this tokenizer does not have.
        """
        text = replace_surrogates(text)
        if not allowed_special:
            return self._encode_ordinary(text)
        if unknown := set(allowed_special) - set(self.special):
            raise TokenizerError(
                f"no special token {min(unknown)!r}: this tokenizer has {list(self.special)}"
            )
        names = sorted(allowed_special, key=len, reverse=True)
        parts = regex.split(f"({'|'.join(map(regex.escape, names))})", text)
        ids = self._encode_ordinary(parts[0])
        for name, between in zip(parts[1::2], parts[2::2], strict=True):
            ids.append(self.special[name])
            ids += self._encode_ordinary(between)
        return ids

    def _encode_ordinary(self, text: str) -> list[int]:
        ids: list[int] = []
        cached = self._cache.get
        for piece in self._split(text):
            ids += cached(piece) or self._encode_piece(piece)
        return ids

    def _encode_piece(self, piece: str) -> list[int]:
        ids = apply_merges(list(piece.encode("utf-8")), self.merges)
        if len(piece) <= _CACHED_LENGTH:
            if len(self._cache) >= _CACHED_PIECES:
                self._cache.clear()
            self._cache[piece] = ids
        return ids


_NONE = -1  # an id that is in no merge: a position that was joined to its left, or the end


def apply_merges(ids: list[int], merges: Mapping[Pair, int]) -> list[int]:
    """`ids` after every merge that applies, the earliest first and each from left to right.

    `merges` maps (left id, right id) to the id of both, which must be larger than either.

    `basic.py` scans the whole piece again for every merge. Here the ids form a linked list, and
    each merge that applies somewhere has a list of the positions where its pair starts. A heap
    gives the earliest merge; joining two ids affects only their two neighbours. Each of the n - 1
    possible joins happens once, so a piece of a megabyte takes nearly linear time.
    """
    starts: dict[int, list[int]] = {}
    for position, new_id in enumerate(map(merges.get, pairwise(ids))):
        if new_id is not None:
            starts.setdefault(new_id, []).append(position)
    if not starts:
        return ids
    heap = list(starts)
    heapify(heap)

    end = len(ids)
    tokens = [*ids, _NONE]  # the end closes the list to a ring, so no border needs a check
    after = [*range(1, end + 1), 0]
    before = [end, *range(end)]
    while heap:
        new_id = heappop(heap)
        for position in sorted(starts.pop(new_id)):
            if merges.get((tokens[position], tokens[after[position]])) != new_id:
                continue  # one of the two has been joined to something else since
            joined = after[position]
            following = after[joined]
            tokens[position], tokens[joined] = new_id, _NONE
            after[position], before[following] = following, position
            for start in (before[position], position):
                later = merges.get((tokens[start], tokens[after[start]]))
                if later is None:
                    continue
                if later not in starts:
                    starts[later] = []
                    heappush(heap, later)
                starts[later].append(start)
    return [token for token in tokens if token != _NONE]
