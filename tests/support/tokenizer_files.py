"""Tokenizers of other people, small: as the `tokenizers` library or llama.cpp's files hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minbpe.base import BYTES
from minbpe.io.tokenizer_json import (
    LETTERS,
    added_token,
    byte_level,
    document,
    pre_tokenizer,
    to_letters,
)
from minbpe.regex import PATTERNS, RegexTokenizer

PASSAGE = (
    "the cat sat on the mat, <|endoftext|> then the дом и дом 🙂🙂 aaaaaaa   \n\n 2024 don't </s>"
    "  12  34\n\n1. x"
)
CONTROL = ["<|endoftext|>", "<|im_start|>"]


def gpt2_like(pattern: str = "gpt2", **changes: Any) -> dict[str, Any]:
    """Special tokens first, then the bytes in the order of their letters, then the merges."""
    ours = RegexTokenizer.train(PASSAGE * 3, 330, pattern)
    order = sorted(range(BYTES), key=LETTERS.__getitem__)
    letters = {i: to_letters(token) for i, token in ours.vocab.items()}
    tokens = [*CONTROL, *(letters[i] for i in [*order, *range(BYTES, len(ours.vocab))])]
    content = document(
        {token: i for i, token in enumerate(tokens)},
        [[letters[left], letters[right]] for left, right in ours.merges],
        [added_token(name, i) for i, name in enumerate(CONTROL)],
        pre_tokenizer(PATTERNS[pattern]),
        byte_level(),
    )
    return content | changes


def llama_tokens() -> tuple[list[str], list[int], list[float]]:
    """Tokens, kinds and scores of a tiny SentencePiece vocabulary, as a GGUF holds them."""
    words = ["he", "▁he", "ll", "hell", "lo", "▁hello", "hello", "▁w", "or", "▁wor", "ld", "▁world"]
    letters = sorted(set("".join(words)))
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(BYTES))]
    scores = [0.0] * len(tokens) + [-float(n // 2) for n in range(len(words) + len(letters))]
    kinds = [2, 3, 3] + [6] * BYTES + [1] * (len(words) + len(letters))
    return [*tokens, *words, *letters], kinds, scores


def llama_like() -> dict[str, Any]:
    """BPE with byte fallback and a space before the text, as Llama 2's `tokenizer.json`."""
    tokens, _, _ = llama_tokens()
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("l", "o"), ("▁", "he"), ("▁he", "ll")]
    vocab = {token: i for i, token in enumerate([*tokens, "▁hell"])}
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    added = [added_token(name, i) for i, name in enumerate(tokens[:3])]
    decoder = {"type": "Sequence", "decoders": steps}
    content = document(vocab, merges, added, byte_level(), decoder, byte_fallback=True)
    content["model"]["unk_token"] = "<unk>"
    return content | {
        "pre_tokenizer": None,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
    }


def saved(content: dict[str, Any], folder: Path) -> Path:
    """The path of a `tokenizer.json` with this content."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def write_gguf(path: Path, architecture: str = "llama", **facts: Any) -> Path:
    """A GGUF file without tensors; `facts` are the `add_…` methods of gguf's writer to call."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    for name, value in facts.items():
        getattr(writer, f"add_{name}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def byte_level_gguf(path: Path, pre: str | None = "gpt-2", **more: Any) -> Path:
    """The tokenizer of `gpt2_like` as a GGUF file."""
    content = gpt2_like()
    tokens = list(content["model"]["vocab"])
    facts: dict[str, Any] = {"tokenizer_model": "gpt2"}
    if pre is not None:
        facts["tokenizer_pre"] = pre
    kinds = [3 if token in CONTROL else 1 for token in tokens]
    merges = [" ".join(pair) for pair in content["model"]["merges"]]
    facts |= {"token_list": tokens, "token_types": kinds, "token_merges": merges}
    return write_gguf(path, **(facts | {"bos_token_id": 0, "eos_token_id": 0} | more))


def sentencepiece_gguf(path: Path, architecture: str = "llama", **more: Any) -> Path:
    """The vocabulary of `llama_tokens` as a GGUF file."""
    tokens, kinds, scores = llama_tokens()
    facts = {"token_list": tokens, "token_types": kinds, "token_scores": scores}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "unk_token_id": 0}
    return write_gguf(path, architecture, **({"tokenizer_model": "llama"} | facts | ids | more))
