"""The tokenizer inside a GGUF file, the model files of llama.cpp: same ids as transformers gives.

A GGUF holds tokens, their kinds, merges or scores, and the *name* of the way to cut text. What the
names mean is in the tables here; a name that is in none is refused, since a wrong guess would give
ids that the model was not trained with. The ids of any text are those that transformers gives
after its own conversion of the file, `AutoTokenizer.from_pretrained(folder, gguf_file=name)`.

Where transformers and llama.cpp differ, transformers is followed: `smollm` and `starcoder` are cut
as `gpt-2`, while llama.cpp also sets every digit apart, which shows where white space stands
before one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minbpe.base import BYTES, TokenizerError
from minbpe.io.alphabet import spell, unspell
from minbpe.io.files import dump_json
from minbpe.io.gguf_header import read_header
from minbpe.io.tokenizer_json import FOREIGN, added_token, byte_level, document, pre_tokenizer
from minbpe.pretrained import SPACE, PretrainedTokenizer

_KEY = "tokenizer.ggml."
_MODEL, _PRE, _TOKENS, _TYPES, _MERGES, _SCORES, _SPACE_FIRST = (
    _KEY + name
    for name in ("model", "pre", "tokens", "token_type", "merges", "scores", "add_space_prefix")
)
_ARCHITECTURE = "general.architecture"
_NAMED = tuple(_KEY + name for name in ("bos_token_id", "eos_token_id", "unknown_token_id"))
_WANTED = (
    *(_MODEL, _PRE, _TOKENS, _TYPES, _MERGES, _SCORES, _SPACE_FIRST, _ARCHITECTURE),
    *_NAMED,
)

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # kinds of tokens

# How a name cuts text, as in the tokenizer.json of the models that brought it.
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

SPLITS: dict[str, str | None] = {
    **dict.fromkeys(("default", "gpt-2", "smollm", "starcoder", "olmo", "mpt", "phi-2")),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"), _LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe", "falcon-h1"), _LLAMA3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez"), _QWEN2),
    "tekken": _TEKKEN,
    **dict.fromkeys(("gpt-4o", "llama4"), _GPT4O),
}
# SentencePiece vocabularies of these are written or cut in ways of their own.
_OTHER_SENTENCEPIECE = ("gemma", "gemma2", "gemma3", "phi3")


def from_gguf(path: str | Path) -> PretrainedTokenizer:
    """The tokenizer of a GGUF file; its `save` writes it as `tokenizer.json`.

    Raises:
        TokenizerError: the file cannot be read, is damaged, or holds a tokenizer of a kind that
            is in no table here.
    """
    path = Path(path)
    try:
        facts = read_header(path, _WANTED)
        convert = _CONVERTERS.get(facts.get(_MODEL, "none"))
        if convert is None:
            raise TokenizerError(
                f"its tokenizer is of kind {facts.get(_MODEL, 'none')!r}; known are "
                f"{', '.join(_CONVERTERS)}"
            )
        return PretrainedTokenizer(dump_json(convert(facts)))
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error.strerror}") from None
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise TokenizerError(f"{path}: damaged, or no GGUF file: {error}") from None


def _from_byte_level(facts: dict[str, Any]) -> dict[str, Any]:
    """`gpt2`: byte-level BPE, cut by a regular expression."""
    name = facts.get(_PRE, "default")
    if name not in SPLITS:
        raise TokenizerError(f"it cuts text as {name!r}; known are {', '.join(SPLITS)}")
    expression = SPLITS[name]
    gpt2 = byte_level() | {"use_regex": True}  # that component's own expression is GPT-2's
    added = _added(facts)
    names = {token["content"] for token in added}
    vocab = {
        token if token in names else _in_letters(token): token_id
        for token_id, token in enumerate(facts[_TOKENS])
    }
    return document(
        vocab,
        [merge.split(" ") for merge in facts[_MERGES]],
        {},
        pre_tokenizer(expression) if expression else gpt2,
        byte_level(),
        **FOREIGN,
    ) | {"added_tokens": added}


def _from_sentencepiece(facts: dict[str, Any]) -> dict[str, Any]:
    """`llama`: BPE on characters, a space before every text, bytes for what is unknown."""
    if facts.get(_ARCHITECTURE) in _OTHER_SENTENCEPIECE:
        raise TokenizerError(f"SentencePiece as {facts[_ARCHITECTURE]} has it is not supported")
    if facts.get(_SPACE_FIRST) is False:
        raise TokenizerError("SentencePiece without a space before the text is not supported")
    tokens = facts[_TOKENS]
    vocab = {token: token_id for token_id, token in enumerate(tokens)}
    if missing := [b for b in range(BYTES) if f"<0x{b:02X}>" not in vocab]:
        raise TokenizerError(f"its SentencePiece vocabulary has no token for byte {missing[0]}")
    decoders = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    return document(
        vocab,
        (
            [merge.split(" ") for merge in facts[_MERGES]]
            if _MERGES in facts
            else _merges_from_scores(vocab, dict(zip(tokens, facts[_SCORES], strict=True)))
        ),
        {},
        {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False},
        {"type": "Sequence", "decoders": decoders},
        fuse_unk=True,
        byte_fallback=True,
    ) | {"added_tokens": _added(facts)}


_CONVERTERS = {"gpt2": _from_byte_level, "llama": _from_sentencepiece}


def _added(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The tokens that are looked for in text as they stand; control tokens are special."""
    tokens = facts[_TOKENS]
    kinds = facts.get(_TYPES)
    if kinds is None:  # an old file: what it names is control
        named = {facts[key] for key in _NAMED if key in facts}
        kinds = [CONTROL if token_id in named else 0 for token_id in range(len(tokens))]
    return [
        added_token(token, token_id, special=kind != USER_DEFINED)
        for token_id, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (UNKNOWN, CONTROL, USER_DEFINED)
    ]


def _in_letters(token: str) -> str:
    """A token in GPT-2's alphabet, in which nearly all are written already."""
    return token if unspell(token) is not None else spell(token.encode("utf-8"))


def _merges_from_scores(vocab: dict[str, int], scores: dict[str, float]) -> list[tuple[str, str]]:
    """The merges that a SentencePiece vocabulary implies: the best token first.

    Every way to put a token together from two others is a merge of the token's score; among equal
    scores the longer left part is first, then the longer right part.
    """
    pairs = [
        (score, token[:cut], token[cut:])
        for token, score in scores.items()
        for cut in range(1, len(token))
        if token[:cut] in vocab and token[cut:] in vocab
    ]
    pairs.sort(key=lambda row: (-row[0], -len(row[1]), -len(row[2])))
    return [(left, right) for _, left, right in pairs]
