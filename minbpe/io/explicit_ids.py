"""A tokenizer with the ids that a file gives to its tokens."""

from __future__ import annotations

from collections.abc import Mapping

from minbpe.base import BYTES, Pair, Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.io.pretrained import PretrainedTokenizer
from minbpe.io.tokenizer_json import (
    FOREIGN_PREFIX,
    added_token,
    byte_level,
    document,
    dump_json,
    pre_tokenizer,
    to_letters,
)
from minbpe.regex import PATTERNS, RegexTokenizer


def tokenizer_with_ids(
    vocab: Mapping[int, bytes],
    merges: Mapping[Pair, int],
    pattern: str | None,
    special: Mapping[str, int],
) -> Tokenizer:
    """The tokenizer with exactly these ids, of our own kind if its numbering is ours.

    `merges` are in the order in which they apply.

    Raises:
        TokenizerError: a special token has the id or the name of another token.
    """
    letters = {token_id: to_letters(token) for token_id, token in vocab.items()}
    names = sorted(special, key=special.__getitem__)
    ids = {*vocab, *special.values()}
    if len(ids) != len(vocab) + len(special):
        raise TokenizerError("a special token has the id of another token")
    if all(vocab.get(byte) == bytes([byte]) for byte in range(BYTES)) and (
        [*merges.values(), *map(special.get, names)] == list(range(BYTES, len(ids)))
    ):
        return RegexTokenizer(merges, pattern, names) if pattern else BasicTokenizer(merges, names)
    if clash := set(names) & set(letters.values()):
        raise TokenizerError(f"special token {min(clash)!r} is also an ordinary token")
    content = document(
        vocab={token: token_id for token_id, token in letters.items()},
        merges=[[letters[left], letters[right]] for left, right in merges],
        added=[added_token(name, token_id) for name, token_id in special.items()],
        pre_tokenizer=pre_tokenizer(pattern and PATTERNS[pattern]),
        decoder=byte_level(),
        prefix=FOREIGN_PREFIX,
    )
    return PretrainedTokenizer(dump_json(content))
