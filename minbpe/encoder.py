"""Encoding in bulk: the same ids a dozen times faster, by tiktoken.

tiktoken identifies a token by its bytes and merges the pair with the lowest rank first. Our ids are
such ranks: a later merge has a larger id, and no two tokens have the same bytes. So tiktoken, given
our vocabulary and our pattern, returns our ids. On all cores, for pieces made by `stream.py`:

    parallel_map(with_tiktoken(tokenizer).encode, pieces)
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from minbpe.base import Pair, Tokenizer
from minbpe.regex import PATTERNS, RegexTokenizer

if TYPE_CHECKING:
    import tiktoken

_BLANK = 1 << 16  # characters; tiktoken's regex engine overflows its stack at a million blanks


class TiktokenTokenizer(RegexTokenizer):
    """A `RegexTokenizer` run by tiktoken: fast for long texts, slow to start; it can be pickled."""

    def __reduce__(self) -> tuple[type[TiktokenTokenizer], tuple[list[Pair], str, list[str]]]:
        return TiktokenTokenizer, (list(self.merges), self.pattern, list(self.special))

    def _encode_ordinary(self, text: str) -> list[int]:
        if _has_long_blank(text):
            return super()._encode_ordinary(text)
        return self._engine.encode_ordinary(text)

    @cached_property
    def _engine(self) -> tiktoken.Encoding:
        import tiktoken

        return tiktoken.Encoding(
            "ours",
            pat_str=PATTERNS[self.pattern],
            mergeable_ranks={token: token_id for token_id, token in self.vocab.items()},
            special_tokens={},
        )


def with_tiktoken(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer for bulk encoding: a faster one if it has a pattern, else itself."""
    if isinstance(tokenizer, RegexTokenizer):
        return TiktokenTokenizer(tokenizer.merges, tokenizer.pattern, tokenizer.special)
    return tokenizer


def id_type(tokenizer: Tokenizer) -> str:
    """The NumPy type that stores ids: two bytes each if the vocabulary allows it, else four."""
    return "uint16" if tokenizer.size <= 1 << 16 else "uint32"


def _has_long_blank(text: str) -> bool:
    """Whether white space fills a whole block; so wherever it runs for twice `_BLANK`."""
    starts = range(0, len(text) - _BLANK + 1, _BLANK)
    return any(text[start : start + _BLANK].isspace() for start in starts)
