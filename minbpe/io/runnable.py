"""Somebody else's `tokenizer.json` as the `tokenizers` library shall run it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minbpe.base import TokenizerError

if TYPE_CHECKING:
    import tokenizers


def runnable(document: Any) -> dict[str, Any]:
    """The document without padding, truncation, chance and unknown token, and with every id kept.

    Raises:
        TokenizerError: its tokenizer cannot write every text, or a merge is malformed. What else
            is wrong with it ends in one of Python's own errors.
    """
    model: dict[str, Any] = document["model"]
    kind = model.get("type", "BPE")
    if kind != "BPE" or not (is_byte_level(document) or model.get("byte_fallback")):
        raise TokenizerError(
            f"its model is {kind} without bytes, which cannot write every text: use a tokenizer "
            "of byte-level BPE, or of BPE with byte fallback"
        )
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    if not all(len(pair) == 2 and all(isinstance(s, str) for s in pair) for pair in merges):
        raise TokenizerError("damaged: a merge is not of two tokens")
    vocab: dict[str, int] = dict(model["vocab"])
    added = [
        {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, **token}
        for token in document.get("added_tokens") or []
    ]
    free = (i for i in range(len(vocab), len(vocab) + len(added)))
    if any(t["content"] not in vocab and t["id"] != next(free) for t in added):
        # The library would number these on from the size of the vocabulary, whatever they say.
        vocab |= {t["content"]: t["id"] for t in added}
    changed = {"dropout": None, "unk_token": None, "vocab": vocab, "merges": merges}
    return {
        **document,
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "added_tokens": [t | {"special": bool(t.get("special"))} for t in added],
        "model": {**model, "type": "BPE", **changed},
    }


def is_byte_level(document: Mapping[str, Any]) -> bool:
    """Whether bytes are written as letters, by the step before the model."""
    steps = [document.get("pre_tokenizer"), document.get("normalizer")]
    while steps:
        step = steps.pop()
        if isinstance(step, dict):
            if step.get("type") == "ByteLevel":
                return True
            steps += [*(step.get("pretokenizers") or []), *(step.get("normalizers") or [])]
    return False


def open_library(document: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The library's tokenizer of a document, told that text is not control.

    Raises:
        TokenizerError: the library does not read it.
    """
    import tokenizers

    content = json.dumps(document)
    try:
        library = tokenizers.Tokenizer.from_str(content)
        library.encode_special_tokens = True
        library.encode("a")
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise TokenizerError(f"damaged: tokenizers says: {first_line(error)}") from None
    return library


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
