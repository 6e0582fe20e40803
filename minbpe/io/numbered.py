"""A tokenizer whose tokens a file has numbered: ours where the numbering is ours."""

from __future__ import annotations

from collections.abc import Mapping

from minbpe.base import BYTES, Pair, Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.io.alphabet import spell
from minbpe.io.files import dump_json
from minbpe.io.tokenizer_json import FOREIGN, byte_level, document, pre_tokenizer
from minbpe.pretrained import PretrainedTokenizer
from minbpe.regex import PATTERNS, RegexTokenizer


def numbered(
    vocab: Mapping[int, bytes],
    merges: Mapping[Pair, int],
    pattern: str | None,
    special: Mapping[str, int],
) -> Tokenizer:
    """The tokenizer with exactly these ids; `merges` come in order.

    Raises:
        TokenizerError: a special token has the id or the name of another token.
    """
    spelled = {token_id: spell(token) for token_id, token in vocab.items()}
    names = sorted(special, key=special.__getitem__)
    taken = {*vocab, *special.values()}
    if len(taken) != len(vocab) + len(special):
        raise TokenizerError("a special token has the id of another token")
    if all(vocab.get(byte) == bytes([byte]) for byte in range(BYTES)) and (
        [*merges.values(), *map(special.get, names)] == list(range(BYTES, len(taken)))
    ):
        return RegexTokenizer(merges, pattern, names) if pattern else BasicTokenizer(merges, names)
    if clash := set(names) & set(spelled.values()):
        raise TokenizerError(f"special token {min(clash)!r} is also an ordinary token")
    content = document(
        vocab={token: token_id for token_id, token in spelled.items()},
        merges=[[spelled[left], spelled[right]] for left, right in merges],
        special=special,
        pre_tokenizer=pre_tokenizer(pattern and PATTERNS[pattern]),
        decoder=byte_level(),
        **FOREIGN,
    )
    return PretrainedTokenizer(dump_json(content))
