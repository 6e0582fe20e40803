"""Text in bulk to ids: the same ids as ever, from tiktoken, on all processor cores.

tiktoken knows a token by its bytes and merges the pair with the smallest rank first. Our ids are
such ranks: a later merge has a larger id, and no two tokens spell the same. So tiktoken is handed
our vocabulary and our pattern, and gives our ids. A tokenizer of another kind is used as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from minbpe.parallel import spread
from minbpe.regex import RegexTokenizer

_BLANK = 1 << 16  # characters; tiktoken's matcher runs out of stack in a million blanks in a row


class Encoder(Protocol):
    """A tokenizer of any kind, as far as bulk encoding needs it; it must be picklable."""

    special: dict[str, int]

    @property
    def size(self) -> int: ...

    def encode(self, text: str) -> list[int]: ...


class BulkTokenizer(RegexTokenizer):
    """A `RegexTokenizer` with another engine: a dozen times faster in long texts, cold in short."""

    def __reduce__(self) -> tuple[Any, ...]:
        return BulkTokenizer, (list(self.merges), self.pattern, list(self.special))

    def _encode_ordinary(self, text: str) -> list[int]:
        if _has_long_blank(text):
            return super()._encode_ordinary(text)
        ids: list[int] = self._engine.encode_ordinary(text)
        return ids

    @cached_property
    def _engine(self) -> Any:
        import tiktoken

        return tiktoken.Encoding(
            "ours",
            pat_str=self._splitter.pattern,
            mergeable_ranks={token: token_id for token_id, token in self.vocab.items()},
            special_tokens={},
        )


def bulk(tokenizer: Encoder) -> Encoder:
    """The same tokenizer for bulk work: faster where it is one of ours with a pattern."""
    if isinstance(tokenizer, RegexTokenizer):
        assert tokenizer.pattern is not None
        return BulkTokenizer(tokenizer.merges, tokenizer.pattern, tokenizer.special)
    return tokenizer


def id_type(tokenizer: Encoder) -> np.dtype[Any]:
    """In what ids are stored: two bytes each while the vocabulary allows it, else four."""
    return np.dtype(np.uint16 if tokenizer.size <= 1 << 16 else np.uint32)


def encode_pieces(
    tokenizer: Encoder,
    pieces: Iterable[str],
    workers: int | None = None,
    allowed_special: Collection[str] = (),
) -> Iterator[NDArray[Any]]:
    """The ids of each piece, in order, in the tokenizer's `id_type`.

    `stream.pieces` cuts a long text into pieces whose ids, one after another, are those of the
    whole. `workers` is the number of processes, None for one a core; few pieces are encoded in
    this one. Only special tokens named in `allowed_special` are recognised.

    Raises:
        TokenizerError: `allowed_special` names a token that the tokenizer does not have.
    """
    encode: Any = bulk(tokenizer).encode
    if allowed_special:
        encode = partial(encode, allowed_special=tuple(allowed_special))
    return spread(partial(_to_array, encode, id_type(tokenizer)), pieces, workers)


def _to_array(encode: Any, dtype: np.dtype[Any], piece: str) -> NDArray[Any]:
    return np.array(encode(piece), dtype)


def _has_long_blank(text: str) -> bool:
    """Whether white space fills a whole block: found wherever twice `_BLANK` stand in a row."""
    starts = range(0, len(text) - _BLANK + 1, _BLANK)
    return any(text[start : start + _BLANK].isspace() for start in starts)
