"""The tokenizer in a GGUF file, the model files of llama.cpp: the same ids as transformers gives.

The metadata of a GGUF has the tokens, their types, merges or scores, and the *name* of the rule
that splits text. The tables here say what the names mean; any other name is refused, since a wrong
guess would give ids that the model was not trained with. The ids of any text are those of
transformers' own conversion, `AutoTokenizer.from_pretrained(folder, gguf_file=name)`.

Where transformers and llama.cpp differ, transformers is followed: `smollm` and `starcoder` split
like `gpt-2`, while llama.cpp also separates all digits, which differs if white space precedes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from minbpe.base import BYTES, TokenizerError
from minbpe.io.pretrained import SPACE, PretrainedTokenizer
from minbpe.io.tokenizer_json import (
    FOREIGN_PREFIX,
    AddedToken,
    Document,
    added_token,
    byte_level,
    document,
    dump_json,
    from_letters,
    pre_tokenizer,
    to_letters,
)

Metadata = Mapping[str, object]
Value = TypeVar("Value")

# Metadata keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
_ARCHITECTURE = "general.architecture"
_MODEL = "tokenizer.ggml.model"
_PRE = "tokenizer.ggml.pre"
_TOKENS = "tokenizer.ggml.tokens"
_TYPES = "tokenizer.ggml.token_type"
_MERGES = "tokenizer.ggml.merges"
_SCORES = "tokenizer.ggml.scores"
_SPACE_FIRST = "tokenizer.ggml.add_space_prefix"
_NAMED = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("bos", "eos", "unknown"))

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # token types

# How a named rule splits text, as in the tokenizer.json of the models that introduced it.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")  # Llama 3's, with digits one by one
_LOWER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_TEKKEN = rf"{_LOWER}|{_UPPER}|\p{{N}}{_REST}"
_GPT4O = rf"{_LOWER}{_ENDING}|{_UPPER}{_ENDING}|\p{{N}}{{1,3}}{_REST}"

SPLITS: dict[str, str | None] = {  # None: the `tokenizers` library's built-in pattern, GPT-2's
    **dict.fromkeys(("default", "gpt-2", "smollm", "starcoder", "olmo", "mpt", "phi-2")),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"), _LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe", "falcon-h1"), _LLAMA3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez"), _QWEN2),
    "tekken": _TEKKEN,
    **dict.fromkeys(("gpt-4o", "llama4"), _GPT4O),
}
# The SentencePiece vocabularies of these are stored or split in ways of their own.
_OTHER_SENTENCEPIECE = ("gemma", "gemma2", "gemma3", "phi3")


def from_gguf(metadata: Metadata) -> PretrainedTokenizer:
    """The tokenizer described by the metadata of a GGUF file: its keys and values.

    Raises:
        TokenizerError: the metadata is incomplete or damaged, or describes a kind of tokenizer
            that is not in the tables here.
    """
    kind = _get(metadata, _MODEL, str, "none")
    if kind not in _CONVERTERS:
        raise TokenizerError(
            f"its tokenizer is of kind {kind!r}; known are {', '.join(_CONVERTERS)}"
        )
    return PretrainedTokenizer(dump_json(_CONVERTERS[kind](metadata)))


def _from_byte_level(metadata: Metadata) -> Document:
    """`gpt2`: byte-level BPE, split by a regular expression."""
    name = _get(metadata, _PRE, str, "default")
    if name not in SPLITS:
        raise TokenizerError(f"it splits text by the rule {name!r}; known are {', '.join(SPLITS)}")
    expression = SPLITS[name]
    added = _added_tokens(metadata)
    names = {token["content"] for token in added}
    return document(
        vocab={
            token if token in names else _in_letters(token): token_id
            for token_id, token in enumerate(_list(metadata, _TOKENS, str))
        },
        merges=[merge.split(" ") for merge in _list(metadata, _MERGES, str)],
        added=added,
        pre_tokenizer=pre_tokenizer(expression) if expression else byte_level(use_regex=True),
        decoder=byte_level(),
        prefix=FOREIGN_PREFIX,
    )


def _from_sentencepiece(metadata: Metadata) -> Document:
    """`llama`: BPE on characters, a space before every text, bytes for what is unknown."""
    architecture = metadata.get(_ARCHITECTURE)
    if architecture in _OTHER_SENTENCEPIECE:
        raise TokenizerError(f"SentencePiece as in {architecture} is not supported")
    if metadata.get(_SPACE_FIRST) is False:
        raise TokenizerError("SentencePiece without a space before the text is not supported")
    tokens = _list(metadata, _TOKENS, str)
    vocab = {token: token_id for token_id, token in enumerate(tokens)}
    if missing := [b for b in range(BYTES) if f"<0x{b:02X}>" not in vocab]:
        raise TokenizerError(f"its SentencePiece vocabulary has no token for byte {missing[0]}")
    if _MERGES in metadata:
        merges = [merge.split(" ") for merge in _list(metadata, _MERGES, str)]
    else:
        scores = _list(metadata, _SCORES, float, len(tokens))
        merges = _merges_from_scores(vocab, dict(zip(tokens, scores, strict=True)))
    decoders = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    return document(
        vocab,
        merges,
        _added_tokens(metadata),
        {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False},
        {"type": "Sequence", "decoders": decoders},
        byte_fallback=True,
    )


_CONVERTERS = {"gpt2": _from_byte_level, "llama": _from_sentencepiece}


def _added_tokens(metadata: Metadata) -> list[AddedToken]:
    """The tokens that are searched for in text as they stand; control tokens are special."""
    tokens = _list(metadata, _TOKENS, str)
    if _TYPES in metadata:
        types = _list(metadata, _TYPES, int, len(tokens))
    else:  # an old file: the tokens that it names are control tokens
        named = [metadata.get(key) for key in _NAMED]
        types = [CONTROL if token_id in named else 0 for token_id in range(len(tokens))]
    return [
        added_token(token, token_id, special=type_ != USER_DEFINED)
        for token_id, (token, type_) in enumerate(zip(tokens, types, strict=True))
        if type_ in (UNKNOWN, CONTROL, USER_DEFINED)
    ]


def _in_letters(token: str) -> str:
    """A token in GPT-2's alphabet, in which nearly all are stored already."""
    return token if from_letters(token) is not None else to_letters(token.encode("utf-8"))


def _merges_from_scores(vocab: Mapping[str, int], scores: Mapping[str, float]) -> list[list[str]]:
    """The merges that a SentencePiece vocabulary implies: the token with the best score first.

    Every way to make a token from two others is a merge with the token's score; among equal scores
    the longer left part comes first, then the longer right part.
    """
    pairs = [
        (score, token[:cut], token[cut:])
        for token, score in scores.items()
        for cut in range(1, len(token))
        if token[:cut] in vocab and token[cut:] in vocab
    ]
    pairs.sort(key=lambda row: (-row[0], -len(row[1]), -len(row[2])))
    return [[left, right] for _, left, right in pairs]


def _get(metadata: Metadata, key: str, type_: type[Value], default: Value) -> Value:
    value = metadata.get(key, default)
    if not isinstance(value, type_):
        raise TokenizerError(f"damaged: {key} is not of type {type_.__name__}")
    return value


def _list(
    metadata: Metadata, key: str, type_: type[Value], length: int | None = None
) -> list[Value]:
    values = metadata.get(key)
    if not isinstance(values, list) or not all(isinstance(value, type_) for value in values):
        raise TokenizerError(f"damaged: {key} is not a list of {type_.__name__}")
    if length is not None and len(values) != length:
        raise TokenizerError(f"damaged: {key} has {len(values)} values for {length} tokens")
    return values
