"""The tokenizer that is used: split text into words first, and keep special tokens out of reach.

Splitting keeps merges inside words, numbers, runs of punctuation and runs of spaces, so that
"dog", "dog." and "dog!" share a token. It also makes a text a bag of distinct pieces, which both
training and encoding live from: a piece that was met before costs one look-up.

Special tokens mark what text cannot say: where a turn begins or ends. `encode` never makes one
out of text; whoever means the mark names it in `allowed_special` or uses its id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex  # type: ignore[import-untyped, unused-ignore]

from minbpe.base import Pair, Tokenizer, TokenizerError, check_vocab_size, replace_surrogates
from minbpe.counting import count_pieces
from minbpe.encoder import apply_merges

if TYPE_CHECKING:
    from minbpe.trainer import Progress

# A row must match every character of any text, and be read alike by the `regex` module, by
# Oniguruma (in `tokenizers`) and by fancy-regex (in tiktoken). Their Unicode tables differ in
# age: only a letter too young for one of them can be split differently there. And no row may match
# across the borders of `stream.py`, at which text is cut before it is split.
PATTERNS = {
    # GPT-2's encoder.py: https://github.com/openai/gpt-2/blob/master/src/encoder.py
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # GPT-4's, cl100k_base in tiktoken_ext/openai_public.py: https://github.com/openai/tiktoken
    "gpt4": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
    # GPT-4's, but a word has its marks (vowel signs, diacritics) and joiners within, a digit its
    # keycap, and what stands before a word's first letter is no part of an emoji.
    "scripts": (
        r"'(?i:[sdmt]|ll|ve|re)(?![\p{L}\p{M}])"
        r"|[^\r\n\p{L}\p{N}\p{M}\p{So}\p{Sk}\p{Cf}]?+\p{L}[\p{L}\p{M}\u200c\u200d]*+"
        r"| ?[0-9#*]\ufe0f?\u20e3|\p{N}{1,3}(?!\ufe0f?\u20e3)|\p{N}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
}

DEFAULT = "scripts"  # in no script worse than gpt4, and far better in Indic ones

_CACHED_PIECES = 1 << 16
_CACHED_LENGTH = 32  # characters; longer pieces hardly ever return


class RegexTokenizer(Tokenizer):
    """Byte pair encoding within the pieces of a pattern; see `Tokenizer` for the interface.

    `merges` are pairs of ids in the order learned, `pattern` names a row of `PATTERNS`, and the
    `special` names get the ids after the last merge, in the order given.
    """

    def __init__(
        self, merges: Iterable[Pair] = (), pattern: str = DEFAULT, special: Iterable[str] = ()
    ) -> None:
        super().__init__(merges, special)
        self.pattern = pattern
        self._splitter = _compile(pattern)
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def train(
        cls,
        texts: str | Path | Iterable[str | Path],
        vocab_size: int,
        pattern: str = DEFAULT,
        special: Iterable[str] = (),
        progress: Progress | None = None,
        *,
        minimum_count: int = 1,
        sample: float = 1.0,
        seed: int = 0,
        workers: int | None = None,
    ) -> RegexTokenizer:
        """Learn from one text or many; a `Path` is a UTF-8 file, read as a stream.

        `vocab_size` counts the 256 bytes and the merges, not the special tokens. Training ends
        early, without error, when no pair is left to merge: then there are fewer merges, and the
        special ids follow the last one that there is. So take ids from `special` and the number
        of rows from `size`, never from `vocab_size`. `progress(done, limit)` is called from time
        to time while merges are learned.

        Pairs that occur fewer than `minimum_count` times are not merged. `sample` is the share of
        the text to learn from, chosen by the text itself and the `seed`. `workers` is the number
        of processes that count, None for one a core; a few megabytes are counted in this one.

        Raises:
            TokenizerError: `vocab_size` is below 256, the pattern is unknown, the special names
                are empty or repeated, a file cannot be read, or the sample is empty.
        """
        from minbpe.trainer import learn_merges  # numba takes half a second, and only this needs it

        untrained = cls((), pattern, special)  # refuses bad settings before the long work
        limit = check_vocab_size(vocab_size)
        merges = learn_merges(
            count_pieces(texts, PATTERNS[pattern], workers, sample, seed),
            limit,
            progress,
            minimum_count,
        )
        return cls(merges, pattern, untrained.special)

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
        known = self._cache.get
        for piece in self._splitter.findall(text):
            ids += known(piece) or self._encode_piece(piece)
        return ids

    def _encode_piece(self, piece: str) -> list[int]:
        ids = apply_merges(list(piece.encode("utf-8")), self.merges)
        if len(piece) <= _CACHED_LENGTH:
            if len(self._cache) >= _CACHED_PIECES:
                self._cache.clear()
            self._cache[piece] = ids
        return ids


def _compile(pattern: str) -> Any:
    if pattern not in PATTERNS:
        raise TokenizerError(f"no pattern {pattern!r}: choose one of {', '.join(PATTERNS)}")
    return regex.compile(PATTERNS[pattern])
