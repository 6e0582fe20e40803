"""`tokenizer.json`, the format of Hugging Face's `tokenizers`, which opens ours with the same ids.

Its ids are explicit, so ours can be kept: byte b is id b there too. Two things it cannot say. A
token is a key, so two ids cannot share a spelling; `base.py` shows why training makes no such
pair. And a special token whose name is also an ordinary token would get that token's id, so
saving one is refused. That library also turns the name of a special token in ordinary text into
the token, unless its `encode_special_tokens` is set to True; `encode` here never does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minbpe.base import BYTES, Pair, Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.io.alphabet import LETTERS, spell
from minbpe.io.files import dump_json, write
from minbpe.regex import PATTERNS, RegexTokenizer


def save(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write `tokenizer.json`.

    Raises:
        TokenizerError: a special token has the spelling of an ordinary one.
    """
    content = document_of(tokenizer)
    for name in tokenizer.special:
        if name in content["model"]["vocab"]:
            raise TokenizerError(
                f"special token {name!r} is also an ordinary token, which tokenizer.json cannot "
                "tell apart: give it another name"
            )
    write(Path(path), dump_json(content))


# Says nothing to the library, and to `is_ours` that a file is not ours, however it numbers bytes.
FOREIGN = {"continuing_subword_prefix": ""}


def is_ours(document: Any) -> bool:
    """Whether a file was made by `save`, by its numbering: whole or damaged, but ours.

    Others number the bytes in the order of their letters, or after the special tokens.
    """
    try:
        model = document["model"]
        numbered = sum(model["vocab"].get(LETTERS[byte]) == byte for byte in range(BYTES))
        return numbered > BYTES // 2 and model["continuing_subword_prefix"] is None
    except (AttributeError, LookupError, TypeError):
        return False


def from_ours(document: Any, path: Path) -> BasicTokenizer | RegexTokenizer:
    """The tokenizer that `save` wrote.

    A file that asks for anything else than `save` would have written (a normalizer, an unknown
    pattern, other ids) is refused, so that ids never come out silently different.

    Raises:
        TokenizerError: the file is damaged or was changed.
    """
    try:
        tokenizer = _rebuilt(document)
    except (AttributeError, LookupError, TypeError, ValueError):
        tokenizer = None
    if tokenizer is None or document_of(tokenizer) != document:
        raise TokenizerError(
            f"{path}: damaged, or made by another program in a way that minbpe does not read: "
            "save the tokenizer again"
        )
    return tokenizer


def document_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of a tokenizer's `tokenizer.json`, as `tokenizers` itself would write it."""
    spelled = {i: spell(token) for i, token in tokenizer.vocab.items()}
    return document(
        vocab={token: i for i, token in spelled.items()},
        merges=[[spelled[left], spelled[right]] for left, right in tokenizer.merges],
        special=tokenizer.special,
        pre_tokenizer=pre_tokenizer(tokenizer.pattern and PATTERNS[tokenizer.pattern]),
        decoder=byte_level(),
    )


def document(
    vocab: Mapping[str, int],
    merges: Sequence[Sequence[str]],
    special: Mapping[str, int],
    pre_tokenizer: dict[str, Any] | None,
    decoder: dict[str, Any],
    **model: Any,
) -> dict[str, Any]:
    """A `tokenizer.json` of byte pair encoding; `model` changes what its model says by default."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(name, i) for name, i in special.items()],
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            **model,
            "vocab": dict(vocab),
            "merges": [list(pair) for pair in merges],
        },
    }


def added_token(name: str, token_id: int, special: bool = True) -> dict[str, Any]:
    """A token that is looked for in the text as it stands."""
    return {
        "id": token_id,
        "content": name,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def byte_level() -> dict[str, Any]:
    """Bytes as letters, without that component's own pattern and extra space."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }


def pre_tokenizer(expression: str | None) -> dict[str, Any]:
    """Text cut by a regular expression, None: not cut; then bytes as letters."""
    if expression is None:
        return byte_level()
    split = {
        "type": "Split",
        "pattern": {"Regex": expression},
        "behavior": "Isolated",
        "invert": False,
    }
    return {"type": "Sequence", "pretokenizers": [split, byte_level()]}


def _rebuilt(document: Any) -> BasicTokenizer | RegexTokenizer:
    """The tokenizer with the document's merges, pattern and special names.

    The rest of the document is left for the caller to compare. A malformed one ends in one of
    the errors that the caller names.
    """
    special = [token["content"] for token in document["added_tokens"]]
    merges = _merges(document["model"]["merges"])
    for name, expression in PATTERNS.items():
        if document["pre_tokenizer"] == pre_tokenizer(expression):
            return RegexTokenizer(merges, name, special)
    return BasicTokenizer(merges, special)


def _merges(spelled: list[list[str]]) -> list[Pair]:
    """Merges as ids; each parent must be spelled out in the file, so no token outgrows it."""
    ids = {letter: byte for byte, letter in enumerate(LETTERS)}
    pairs: list[Pair] = []
    for new_id, (left, right) in enumerate(spelled, BYTES):
        pairs.append((ids[left], ids[right]))
        ids[left + right] = new_id
    return pairs
