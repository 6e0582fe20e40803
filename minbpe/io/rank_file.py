"""tiktoken's rank file: one token per line, its bytes in base64 and its rank, which is its id.

The file has no merges, pattern or special tokens. Merges follow from the ranks: a token is made of
the two parts that remain after all merges of lower rank are applied to its bytes. Pattern and
special tokens must be supplied by the reader, as with `tiktoken.Encoding`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from minbpe.base import BYTES, Pair, Tokenizer, TokenizerError
from minbpe.io.explicit_ids import tokenizer_with_ids
from minbpe.io.text_file import read_text, write_text
from minbpe.regex import PATTERNS, apply_merges


def from_tiktoken(
    path: str | Path, pattern: str, special: Mapping[str, int] | None = None
) -> Tokenizer:
    """The tokenizer with the file's ranks as ids: tiktoken's ids for the same file and pattern.

    `pattern` is a key of `PATTERNS`; `special` are names with their ids. OpenAI's own files number
    the bytes in another order than ours and open as a `PretrainedTokenizer`.

    Raises:
        TokenizerError: the file is damaged, its ranks cannot come from merges, or the pattern or
            the special tokens are impossible.
    """
    path = Path(path)
    if pattern not in PATTERNS:
        raise TokenizerError(f"no pattern {pattern!r}: choose one of {', '.join(PATTERNS)}")
    ranks = _parse(read_text(path), path)
    vocab = {rank: token for token, rank in ranks.items()}
    try:
        return tokenizer_with_ids(vocab, merges_of(ranks), pattern, special or {})
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None


def to_tiktoken(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write the rank file, which has no room for special tokens and the pattern.

    Raises:
        TokenizerError: tiktoken would infer other merges from the tokens.
    """
    ranks = {token: token_id for token_id, token in tokenizer.vocab.items()}
    if len(ranks) != len(tokenizer.vocab) or merges_of(ranks) != tokenizer.merges:
        raise TokenizerError(
            "this tokenizer's merges do not follow from its tokens, so a rank file cannot hold "
            "it: save it as tokenizer.json"
        )
    rows = sorted(ranks.items(), key=lambda row: row[1])
    lines = (f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in rows)
    write_text(Path(path), "".join(lines))


def merges_of(ranks: Mapping[bytes, int]) -> dict[Pair, int]:
    """(left id, right id) → id of both, in the order of the ranks.

    Raises:
        TokenizerError: a byte has no rank, or a token is not made of two others of lower rank.
    """
    try:
        byte_ids = [ranks[bytes([byte])] for byte in range(BYTES)]
    except KeyError as error:
        raise TokenizerError(f"damaged: no rank for the byte {error.args[0]!r}") from None
    merges: dict[Pair, int] = {}
    for token, rank in sorted(ranks.items(), key=lambda row: row[1]):
        if len(token) == 1:
            continue
        parts = apply_merges([byte_ids[byte] for byte in token], merges)
        if len(parts) != 2 or max(parts) > rank:
            raise TokenizerError(
                f"damaged: the token of rank {rank} is not two tokens of lower rank put together"
            )
        merges[parts[0], parts[1]] = rank
    return merges


def _parse(text: str, path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            encoded, rank = line.split()
            token = base64.b64decode(encoded, validate=True)
            if not token or token in ranks or int(rank) < 0:
                raise ValueError
            ranks[token] = int(rank)
        except (ValueError, binascii.Error):
            raise TokenizerError(
                f"{path}, line {number}: not a new token in base64 and its rank: get the file again"
            ) from None
    if len(set(ranks.values())) != len(ranks):
        raise TokenizerError(f"{path}: damaged: two tokens have one rank")
    return ranks
