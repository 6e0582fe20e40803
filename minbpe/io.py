"""The files of a tokenizer: `tokenizer.json` for programs, `vocab.txt` for people.

`tokenizer.json` is the format of Hugging Face's `tokenizers`, which opens ours and gives the same
ids. Its ids are explicit, so ours can be kept: byte b is id b there too. Two things it cannot
say. A token is a key, so two ids cannot share a spelling; `base.py` shows why training makes no
such pair. And a special token whose name is also an ordinary token would get that token's id, so
saving one is refused. That library also turns the name of a special token in ordinary text into
the token, unless its `encode_special_tokens` is set to True; `encode` here never does.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from minbpe.base import BYTES, Pair, Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.regex import PATTERNS, RegexTokenizer


def _byte_letters() -> list[str]:
    """One printable character for each byte, GPT-2's alphabet for bytes in JSON.

    A byte that is a visible Latin-1 character stands for itself; the others, space among them,
    take the characters from U+0100 up (`bytes_to_unicode` in GPT-2's encoder.py).
    """
    substitutes = map(chr, range(0x100, 0x200))
    visible = [chr(byte).isprintable() and byte != ord(" ") for byte in range(BYTES)]
    return [chr(byte) if visible[byte] else next(substitutes) for byte in range(BYTES)]


_LETTERS = _byte_letters()
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write `tokenizer.json`.

    Raises:
        TokenizerError: a special token has the spelling of an ordinary one.
    """
    document = _document(tokenizer)
    for name in tokenizer.special:
        if name in document["model"]["vocab"]:
            raise TokenizerError(
                f"special token {name!r} is also an ordinary token, which tokenizer.json cannot "
                "tell apart: give it another name"
            )
    _write(path, json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def load(path: str | Path) -> BasicTokenizer | RegexTokenizer:
    """The tokenizer that `save` wrote to a `tokenizer.json`.

    Only what this library can do is read: a file that asks for anything else (a normalizer, an
    unknown pattern, other ids) is refused, so that ids never come out silently different.

    Raises:
        TokenizerError: the file cannot be read, is damaged, or is of another kind.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise TokenizerError(f"{path}: damaged, not JSON: save the tokenizer again") from None
    try:
        tokenizer = _from_document(document)
    except (AttributeError, LookupError, TypeError, ValueError):
        tokenizer = None
    if tokenizer is None or _document(tokenizer) != document:
        raise TokenizerError(
            f"{path}: damaged, or made by another program in a way that minbpe does not read: "
            "save the tokenizer again"
        )
    return tokenizer


def save_vocab(tokenizer: Tokenizer, path: Path) -> None:
    """Write `vocab.txt`, one token a line: id, token in quotes, and the two it was made of.

    Control and other invisible characters are escaped as in Python. `\\xNN` is always a byte that
    is no character by itself: part of one that the token does not hold whole.
    """
    show = {token_id: _readable(token) for token_id, token in tokenizer.vocab.items()}
    parents = {
        new_id: f"{left} {show[left]} + {right} {show[right]}"
        for (left, right), new_id in tokenizer.merges.items()
    }
    lines = [f"{i}\t{shown}\t{parents.get(i, 'byte')}" for i, shown in show.items()]
    lines += [f"{i}\t{_readable(name.encode())}\tspecial" for name, i in tokenizer.special.items()]
    _write(path, "\n".join(lines) + "\n")


def _document(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of `tokenizer.json`, as `tokenizers` itself would write it."""
    spelled = {i: "".join(_LETTERS[byte] for byte in token) for i, token in tokenizer.vocab.items()}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(name, i) for name, i in tokenizer.special.items()],
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(tokenizer.pattern),
        "post_processor": None,
        "decoder": _byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in spelled.items()},
            "merges": [[spelled[left], spelled[right]] for left, right in tokenizer.merges],
        },
    }


def _added_token(name: str, special_id: int) -> dict[str, Any]:
    return {
        "id": special_id,
        "content": name,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _byte_level() -> dict[str, Any]:
    """Bytes as letters, without that component's own pattern and extra space."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }


def _pre_tokenizer(pattern: str | None) -> dict[str, Any]:
    if pattern is None:
        return _byte_level()
    split = {
        "type": "Split",
        "pattern": {"Regex": PATTERNS[pattern]},
        "behavior": "Isolated",
        "invert": False,
    }
    return {"type": "Sequence", "pretokenizers": [split, _byte_level()]}


def _from_document(document: Any) -> BasicTokenizer | RegexTokenizer:
    """The tokenizer with the document's merges, pattern and special names.

    The rest of the document is left for the caller to compare. A malformed one ends in one of
    the errors that the caller names.
    """
    special = [token["content"] for token in document["added_tokens"]]
    merges = _merges(document["model"]["merges"])
    for name in PATTERNS:
        if document["pre_tokenizer"] == _pre_tokenizer(name):
            return RegexTokenizer(merges, name, special)
    return BasicTokenizer(merges, special)


def _merges(spelled: list[list[str]]) -> list[Pair]:
    """Merges as ids; each parent must be spelled out in the file, so no token outgrows it."""
    ids = {letter: byte for byte, letter in enumerate(_LETTERS)}
    pairs: list[Pair] = []
    for new_id, (left, right) in enumerate(spelled, BYTES):
        pairs.append((ids[left], ids[right]))
        ids[left + right] = new_id
    return pairs


def _readable(token: bytes) -> str:
    """In double quotes; bytes that are no character ride through decoding as lone surrogates."""
    return '"' + "".join(map(_visible, token.decode("utf-8", errors="surrogateescape"))) + '"'


def _visible(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _write(path: Path, text: str) -> None:
    """All or nothing: a reader finds the old file or the new one, never half of one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
