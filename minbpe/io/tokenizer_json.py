"""`tokenizer.json`, the format of Hugging Face's `tokenizers`, which opens ours with the same ids.

The file lists ids explicitly, so ours are kept: byte b is id b there too. Two things it cannot
express. A token is a key, so two ids cannot have the same bytes; `base.py` shows why training makes
no such pair. And a special token named like an ordinary token would get that token's id, so saving
one is refused. The library also turns the name of a special token in ordinary text into the token,
unless its `encode_special_tokens` is set to True; `encode` here never does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from minbpe.base import BYTES, Pair, Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.regex import PATTERNS, RegexTokenizer

Component = Mapping[str, object]  # a normalizer, a pre-tokenizer or a decoder


class AddedToken(TypedDict):
    """A token that is searched for in the text as it stands."""

    id: int
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


class Model(TypedDict):
    """Byte pair encoding: tokens with their ids, and merges as pairs of tokens."""

    type: str
    dropout: float | None
    unk_token: str | None
    continuing_subword_prefix: str | None
    end_of_word_suffix: str | None
    fuse_unk: bool
    byte_fallback: bool
    ignore_merges: bool
    vocab: Mapping[str, int]
    merges: Sequence[Sequence[str]]


class Document(TypedDict):
    """The whole file."""

    version: str
    truncation: Component | None
    padding: Component | None
    added_tokens: list[AddedToken]
    normalizer: Component | None
    pre_tokenizer: Component | None
    post_processor: Component | None
    decoder: Component | None
    model: Model


def parse_json(text: str) -> Document:
    """The document in a file's text; its content is not checked.

    Raises:
        TokenizerError: the text is not JSON.
    """
    try:
        document: Document = json.loads(text)
    except (ValueError, RecursionError):
        raise TokenizerError("damaged, not JSON: save the tokenizer again") from None
    return document


def dump_json(document: Document) -> str:
    """A document as text, indented and not escaped."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


# --- GPT-2's alphabet: a printable character for every byte, so that bytes can be JSON keys -----


def _byte_letters() -> list[str]:
    """A visible Latin-1 character stands for itself; other bytes get characters from U+0100 on.

    (`bytes_to_unicode` in GPT-2's encoder.py)
    """
    substitutes = map(chr, range(0x100, 0x200))
    visible = [chr(byte).isprintable() and byte != ord(" ") for byte in range(BYTES)]
    return [chr(byte) if visible[byte] else next(substitutes) for byte in range(BYTES)]


LETTERS = _byte_letters()
_BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}


def to_letters(token: bytes) -> str:
    return "".join(LETTERS[byte] for byte in token)


def from_letters(letters: str) -> bytes | None:
    """The bytes behind the letters; None if one of them is not in the alphabet."""
    try:
        return bytes(_BYTES[letter] for letter in letters)
    except KeyError:
        return None


# --- writing -------------------------------------------------------------------------------------

# Means nothing to the library, but tells `is_ours` that a file is not ours, whatever its numbering.
FOREIGN_PREFIX = ""


def document_of(tokenizer: Tokenizer) -> Document:
    """The content of a tokenizer's `tokenizer.json`, as `tokenizers` itself would write it.

    Raises:
        TokenizerError: a special token has the name of an ordinary one.
    """
    letters = {i: to_letters(token) for i, token in tokenizer.vocab.items()}
    vocab = {token: i for i, token in letters.items()}
    for name in tokenizer.special:
        if name in vocab:
            raise TokenizerError(
                f"special token {name!r} is also an ordinary token, which tokenizer.json cannot "
                "tell apart: give it another name"
            )
    return document(
        vocab,
        merges=[[letters[left], letters[right]] for left, right in tokenizer.merges],
        added=[added_token(name, i) for name, i in tokenizer.special.items()],
        pre_tokenizer=pre_tokenizer(tokenizer.pattern and PATTERNS[tokenizer.pattern]),
        decoder=byte_level(),
    )


def document(
    vocab: Mapping[str, int],
    merges: Sequence[Sequence[str]],
    added: list[AddedToken],
    pre_tokenizer: Component,
    decoder: Component,
    *,
    prefix: str | None = None,
    byte_fallback: bool = False,
) -> Document:
    """A `tokenizer.json` of byte pair encoding."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": prefix,
            "end_of_word_suffix": None,
            "fuse_unk": byte_fallback,
            "byte_fallback": byte_fallback,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    }


def added_token(name: str, token_id: int, special: bool = True) -> AddedToken:
    return {
        "id": token_id,
        "content": name,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def byte_level(use_regex: bool = False) -> Component:
    """Bytes as letters, without a leading space; `use_regex` splits by GPT-2's pattern first."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def pre_tokenizer(expression: str | None) -> Component:
    """Split text by a regular expression (None: do not split), then write bytes as letters."""
    if expression is None:
        return byte_level()
    split = {
        "type": "Split",
        "pattern": {"Regex": expression},
        "behavior": "Isolated",
        "invert": False,
    }
    return {"type": "Sequence", "pretokenizers": [split, byte_level()]}


# --- reading -------------------------------------------------------------------------------------


def is_ours(document: Document) -> bool:
    """Whether `save` wrote this document, judging by its numbering; it may be damaged since.

    Other programs number the bytes in the order of their letters, or after the special tokens.
    """
    try:
        model = document["model"]
        in_order = sum(model["vocab"].get(LETTERS[byte]) == byte for byte in range(BYTES))
        return in_order > BYTES // 2 and model["continuing_subword_prefix"] is None
    except (AttributeError, LookupError, TypeError):
        return False


def from_ours(document: Document) -> BasicTokenizer | RegexTokenizer:
    """The tokenizer that `save` wrote.

    A document that asks for anything that `save` would not have written (a normalizer, an unknown
    pattern, other ids) is refused, so ids never change silently.

    Raises:
        TokenizerError: the document is damaged or was changed.
    """
    try:
        tokenizer = _rebuild(document)
        if document_of(tokenizer) == document:
            return tokenizer
    except (AttributeError, LookupError, TypeError, ValueError):
        pass  # malformed; TokenizerError is a ValueError
    raise TokenizerError(
        "damaged, or made by another program in a way that minbpe does not read: "
        "save the tokenizer again"
    )


def _rebuild(document: Document) -> BasicTokenizer | RegexTokenizer:
    """The tokenizer with the document's merges, pattern and special names; the rest is ignored."""
    special = [token["content"] for token in document["added_tokens"]]
    merges = _merge_ids(document["model"]["merges"])
    for name, expression in PATTERNS.items():
        if document["pre_tokenizer"] == pre_tokenizer(expression):
            return RegexTokenizer(merges, name, special)
    return BasicTokenizer(merges, special)


def _merge_ids(merges: Sequence[Sequence[str]]) -> list[Pair]:
    """Merges as ids, numbered in order."""
    ids = {letter: byte for byte, letter in enumerate(LETTERS)}
    pairs: list[Pair] = []
    for new_id, (left, right) in enumerate(merges, BYTES):
        pairs.append((ids[left], ids[right]))
        ids[left + right] = new_id
    return pairs
